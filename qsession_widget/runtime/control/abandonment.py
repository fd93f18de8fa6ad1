"""Takes devices back from idle sessions whose programs have ended, when another job waits.

Such a session only becomes inactive before its time. Nothing is closed: a program that opens it
again by its id goes on with it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from qsession_widget.runtime.model import lifecycle
from qsession_widget.wire import processes

if TYPE_CHECKING:
    from qsession_widget.runtime.control.heartbeats import Heartbeats
    from qsession_widget.runtime.control.state import RuntimeState
    from qsession_widget.runtime.control.transitions import Transitions
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.scheduling.scheduler import Scheduler

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.5
"""Pause between two checks of the processes."""


class Abandonment:
    """Checks for abandoned sessions periodically while a job waits for another session.

    The pause is in real time, since processes do not follow the runtime's clock.

    Args:
        state: the unfinished sessions and jobs.
        transitions: carries out changes.
        scheduler: knows which sessions others wait for.
        heartbeats: the reports of programs elsewhere.
    """

    def __init__(
        self,
        state: RuntimeState,
        transitions: Transitions,
        scheduler: Scheduler,
        heartbeats: Heartbeats,
    ) -> None:
        self._state = state
        self._transitions = transitions
        self._scheduler = scheduler
        self._heartbeats = heartbeats
        self._next: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Release the devices of abandoned sessions, unless the last check was just now."""
        if self._next is not None or not self._state.settings.yield_abandoned:
            return
        contested = self._scheduler.contested()
        for session_id in contested:
            session = self._transitions.current(session_id)
            if session is not None and session.idles and self.is_abandoned(session):
                log.info("session %s gives up its device: its program has ended", session_id)
                given_up = lifecycle.give_up_device(session, self._state.now)
                self._transitions.apply(lifecycle.Step(given_up))
        if contested:
            loop = asyncio.get_running_loop()
            self._next = loop.call_later(_AGAIN_SECONDS, self._look_again)

    def stop(self) -> None:
        """Schedule no further check."""
        if self._next is not None:
            self._next.cancel()

    def _look_again(self) -> None:
        self._next = None
        if not self._state.notifier.closed:
            self._state.wake_up.request()

    def is_abandoned(self, session: Session) -> bool:
        """Whether all processes that use a session are known to have ended."""
        owner = session.owner
        return bool(session.processes) and all(
            has_ended(self._heartbeats, owner, each) for each in session.processes
        )


def has_ended(heartbeats: Heartbeats, owner: str, process: str) -> bool:
    """Whether a process of an owner is known to have ended: by the system, or by its reports."""
    return processes.has_ended(process) or heartbeats.has_stopped(owner, process)
