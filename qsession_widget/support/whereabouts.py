"""Tells which notebook or script this process runs, which of its cells, and which line of code."""

from __future__ import annotations

import linecache
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from types import FrameType

_LONGEST = 100
_LONGEST_LINE = 160
_PACKAGE = __name__.partition(".")[0]


def notebook_or_script() -> str | None:
    """Return the file's name, without its folder; None for a console, and where nothing says it."""
    main = sys.modules.get("__main__")
    # VS Code tells the kernel in a variable, Jupyter's server in the environment.
    told = getattr(main, "__vsc_ipynb_file__", None) or os.environ.get("JPY_SESSION_NAME")
    if told and str(told).endswith(".ipynb"):
        return _name(str(told))
    script = getattr(main, "__file__", None)
    if script is None or script.startswith("<") or Path(script).name == "ipykernel_launcher.py":
        return None
    return _name(str(script))


def _name(path: str) -> str:
    file = Path(path)
    # A package that is run by `python -m`.
    return (file.parent if file.name == "__main__.py" else file).name[:_LONGEST]


def cell_id() -> str | None:
    """Return the id of the notebook's cell that runs now, as its page has told the kernel.

    None outside of a notebook, and where its page tells nothing.
    """
    kernel: Any = getattr(_shell(), "kernel", None)
    try:
        found = kernel.get_parent()["metadata"]["cellId"]
    except (AttributeError, LookupError, TypeError):
        return None
    return found[:_LONGEST] if isinstance(found, str) else None


class UsersFrame(NamedTuple):
    """The innermost frame whose code is not this package's.

    Attributes:
        frame: itself.
        calls: how many of this package's frames are above it, without `users_frame`'s own.
    """

    frame: FrameType
    calls: int


def users_frame() -> UsersFrame | None:
    """Return the frame that called into this package; None if a thread has only our own."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - inspect's own way takes a hundred times as long
    calls = 0
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] != _PACKAGE:
            return UsersFrame(frame, calls)
        frame, calls = frame.f_back, calls + 1
    return None


def users_line() -> tuple[str, int] | None:
    """Return file and line of the innermost code that is not this package's."""
    found = users_frame()
    return None if found is None else (found.frame.f_code.co_filename, found.frame.f_lineno)


def described(file: str, line: int) -> str:
    """Return a line of code with where it stands: a notebook's cell, or a file's name."""
    place = _cell(file) or Path(file).name[:_LONGEST]
    text = linecache.getline(file, line).strip()[:_LONGEST_LINE]
    return f"{place}, line {line}: {text}" if text else f"{place}, line {line}"


def _cell(file: str) -> str | None:
    """Return how IPython names the cell that was compiled as a file; None if it was not."""
    naming = getattr(getattr(_shell(), "compile", None), "format_code_name", None)
    found = None if naming is None else naming(file)
    return None if found is None else str(found[1])


def _shell() -> object:
    """Return IPython's shell; None outside of IPython, which is not imported for this."""
    return getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
