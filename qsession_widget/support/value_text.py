"""How a value that was refused stands in the message that says so."""

from __future__ import annotations

_SHOWN_CHARACTERS = 300


def shown(value: object) -> str:
    """Return a value's text, however long or odd the value is."""
    try:
        said = repr(value)
    # Whatever a user's class does, and Python itself with a number of 5,000 digits.
    except Exception:  # noqa: BLE001 - the message matters more than the value
        return f"<{type(value).__qualname__}>"
    return said if len(said) <= _SHOWN_CHARACTERS else f"{said[:_SHOWN_CHARACTERS]}..."
