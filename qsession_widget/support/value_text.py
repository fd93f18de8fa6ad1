"""The text of a refused value in its error message."""

from __future__ import annotations

_SHOWN_CHARACTERS = 300


def shown(value: object) -> str:
    """Return a short text of a value, even if its `repr` is long or fails."""
    try:
        said = repr(value)
    # A user's class may raise anything, and so does Python for a number of 5,000 digits.
    except Exception:  # noqa: BLE001 - the message matters more than the value
        return f"<{type(value).__qualname__}>"
    return said if len(said) <= _SHOWN_CHARACTERS else f"{said[:_SHOWN_CHARACTERS]}..."
