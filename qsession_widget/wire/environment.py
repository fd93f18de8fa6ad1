"""Chooses the environment variables that the runtime inherits: what it needs, and no secrets.

A kernel's environment may hold API keys of many services. The runtime runs other people's circuits
for hours, so an allowlist is safer than a denylist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMES = frozenset(
    {
        "HOME",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "LIBRARY_PATH",
        "LOCPATH",
        "LOGNAME",
        "PATH",
        "PWD",
        "PGPASSFILE",  # where libpq finds how to reach the store, if that is in PostgreSQL
        "PGSERVICEFILE",
        "QSESSION_HOME",
        "QSESSION_HOST",
        "QSESSION_STORE",
        "SHELL",
        "SOURCE_DATE_EPOCH",
        "TEMP",
        "TERM",
        "TMP",
        "TMPDIR",
        "TZ",
        "TZDIR",
        "USER",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
    }
)
_PREFIXES = (
    "DASK_DISTRIBUTED__",  # how Dask connects; its secrets are in files
    "DYLD_",  # search paths of libraries on macOS
    "GOMP_",  # threads of OpenMP and of linear algebra libraries
    "KMP_",
    "LC_",
    "MALLOC_",
    "MKL_",
    "OMP_",
    "OPENBLAS_",
    "PYTHON",
    "XDG_",
)


def for_runtime(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the runtime needs."""
    return {
        name: value
        for name, value in variables.items()
        if name in _NAMES or name.startswith(_PREFIXES)
    }
