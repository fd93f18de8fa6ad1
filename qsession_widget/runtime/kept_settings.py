"""The settings of the runtime that serves in a folder, kept beside its store.

They are for the one that takes over when it dies: it serves the same machines, within the same
limits. A runtime that ends takes them along.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from qsession_widget.runtime.settings import Settings

_PATHS = ("tls_cert", "tls_key")
"""Settings that are paths, besides the folder itself."""


class UnreadableError(Exception):
    """The file holds no settings of this release."""


def path(home: Path) -> Path:
    """Give the file's place in a runtime's folder."""
    return home / "settings.json"


def write(settings: Settings) -> None:
    """Write the file in one step, readable by its owner alone."""
    found: dict[str, Any] = {
        each.name: getattr(settings, each.name) for each in fields(settings) if each.name != "home"
    }
    for name in _PATHS:
        # The next runtime may have another present folder.
        found[name] = None if found[name] is None else str(Path(found[name]).absolute())
    handle, name = tempfile.mkstemp(dir=settings.home, prefix=".settings-")
    with os.fdopen(handle, "w") as file:
        json.dump(found, file)
    Path(name).replace(path(settings.home))


def read(home: Path, *, needed: bool) -> Settings | None:
    """Read the file; None where there is none.

    Args:
        home: the runtime's folder.
        needed: whether there has to be one.

    Raises:
        UnreadableError: where it cannot be read, or another release has written it.
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
