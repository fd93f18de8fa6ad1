"""How sessions and jobs draw themselves, and report events: modules loaded at their first use.

Those import sessions and jobs, so this module knows them only by their names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

PANELS = "qsession_widget.panel"
TERMINAL = "qsession_widget.panel.terminal"
JOB_CARD = "qsession_widget.panel.job_card"
LIVE_CARD = "qsession_widget.panel.live_card"
EVENTS = "qsession_widget.monitoring.events"


def panel_of(session: object) -> Any:
    """Return the panel that a session shows at the end of a cell.

    Raises:
        ImportError: if the widget libraries are not installed.
    """
    return import_module(PANELS).panel_of(session)


def card_of(job: object) -> dict[str, str]:
    """Return what a job shows at the end of a cell, by MIME type.

    Raises:
        ImportError: if the widget libraries are not installed.
    """
    cards = import_module(JOB_CARD)
    card = cards.card_of(job)
    return {"text/plain": cards.as_text(card), "text/html": cards.as_html(card)}


def follow(job: object) -> bool:
    """Display a job that goes on as a card that follows it; return whether that was possible.

    Raises:
        ImportError: if the widget libraries are not installed.
    """
    return bool(import_module(LIVE_CARD).display(job))


def live(session: object) -> AbstractContextManager[object]:
    """Return a context in which a session is drawn in the terminal."""
    view: AbstractContextManager[object] = import_module(TERMINAL).live(session)
    return view


def subscribe(
    session: object, event: str, function: Callable[[Any], object], minutes: float
) -> Callable[[], None]:
    """Call a function at each event of a session; return what ends that."""
    stop: Callable[[], None] = import_module(EVENTS).subscribe(session, event, function, minutes)
    return stop
