"""Warnings that point at the user's line, through any number of our own calls."""

from __future__ import annotations

import sys
import warnings

_OURS = f"{__name__.partition('.')[0]}."


def warn_user(message: str) -> None:
    """Warn at the innermost line outside of this package.

    Args:
        message: what happens, and what to write instead.
    """
    level, frame = 1, sys._getframe()  # noqa: SLF001 - what the warnings module itself looks at
    while frame.f_back is not None and f"{frame.f_globals.get('__name__')}.".startswith(_OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
