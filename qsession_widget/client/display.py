"""How sessions draw themselves: with the panels, which are loaded at their first use.

Panels import sessions, so this module knows them only by their names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PANELS = "qsession_widget.panel"
TERMINAL = "qsession_widget.panel.terminal"


def panel_of(session: object) -> Any:
    """Return the panel that a session shows at the end of a cell.

    Raises:
        ImportError: if the widget libraries are not installed.
    """
    return import_module(PANELS).panel_of(session)


def live(session: object) -> AbstractContextManager[object]:
    """Return a context in which a session is drawn in the terminal."""
    view: AbstractContextManager[object] = import_module(TERMINAL).live(session)
    return view
