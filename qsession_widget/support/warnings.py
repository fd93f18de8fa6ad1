"""Warnings that point at the user's line, through any number of our own calls."""

from __future__ import annotations

import warnings

from qsession_widget.support import whereabouts


def warn_user(message: str) -> None:
    """Warn at the innermost line outside of this package.

    Args:
        message: what happens, and what to write instead.
    """
    found = whereabouts.users_frame()
    # This function is the first of the calls.
    warnings.warn(message, UserWarning, stacklevel=1 if found is None else 1 + found.calls)
