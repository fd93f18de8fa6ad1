"""The settings of a running runtime, kept in a file beside its store.

A runtime that takes over after a crash reads them, so that it serves the same machines within the
same limits. A runtime that shuts down removes the file.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from qsession_widget.runtime.settings import Settings
from qsession_widget.wire import private_files

_PATHS = ("tls_cert", "tls_key", "executor_ca", "executor_cert", "executor_key")
"""Settings that are paths, besides the folder itself."""


class UnreadableError(Exception):
    """The file cannot be read, or another release has written it."""


def path(home: Path) -> Path:
    """Return the path of the file in a runtime's folder."""
    return home / "settings.json"


def write(settings: Settings) -> None:
    """Write the file atomically, readable by its owner only."""
    found: dict[str, Any] = {
        each.name: getattr(settings, each.name) for each in fields(settings) if each.name != "home"
    }
    for name in _PATHS:
        # The next runtime may have another working directory.
        found[name] = None if found[name] is None else str(Path(found[name]).absolute())
    private_files.write(path(settings.home), json.dumps(found).encode())


def read(home: Path, *, needed: bool) -> Settings | None:
    """Read the file; None if there is none.

    Args:
        home: the runtime's folder.
        needed: whether the file must exist.

    Raises:
        UnreadableError: it cannot be read, or another release has written it.
    """
    try:
        found = json.loads(path(home).read_text())
        for name in _PATHS:
            found[name] = None if found[name] is None else Path(found[name])
        return Settings(home=home, **found)
    except FileNotFoundError as error:
        if needed:
            raise UnreadableError("there is no such file") from error
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnreadableError(str(error)) from error
