"""Tells which notebook or script this process runs, by its file's name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_LONGEST = 100


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
