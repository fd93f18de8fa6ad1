"""IBM's packages, of which we use parts that no release promises to keep.

Every import of them at run time is in a `with needed(...)` block, or goes through
`runtime/worker/official_package`. A part that the installed release lacks then ends in a sentence
that names the installed release and those that have been tested.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from qsession_widget.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "qiskit-ibm-runtime"
TESTED = ">=0.50,<0.52"
"""The releases of it that the tests have run against; as in pyproject.toml."""

_MODULES = ("qiskit_ibm_runtime", "ibm_quantum_schemas", "samplomatic", "qiskit_mitigation")
"""The package, and those that it brings along."""


@contextmanager
def needed(what: str) -> Iterator[None]:
    """Explain imports of IBM's packages that fail in this block.

    Args:
        what: what needs them, as the beginning of a sentence.

    Raises:
        UnsupportedError: a part of them is missing.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _MODULES:
            raise
        raise UnsupportedError(
            f"{what} needs {PACKAGE}{TESTED}, and {_installed()}: {error}. Install it with: "
            f"pip install '{PACKAGE}{TESTED}'"
        ) from error


def _installed() -> str:
    try:
        return f"{version(PACKAGE)} is installed"
    except PackageNotFoundError:
        return "none is installed"
