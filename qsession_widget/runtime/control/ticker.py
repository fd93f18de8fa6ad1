"""The scheduling loop: runs timers out, starts what can start, and lets virtual time pass."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from qsession_widget.runtime.clock import VirtualClock
from qsession_widget.runtime.control.dispatcher import safely
from qsession_widget.runtime.store.writes import SetClock

if TYPE_CHECKING:
    from qsession_widget.runtime.control.dispatcher import Dispatcher
    from qsession_widget.runtime.control.state import RuntimeState
    from qsession_widget.runtime.control.transitions import Transitions

_LONGEST_SLEEP_SECONDS = 30.0


class Ticker:
    """The scheduling loop: each look runs due timers out, then dispatches.

    Args:
        state: the unfinished sessions and jobs.
        transitions: carries out changes.
        dispatcher: starts and ends jobs.
    """

    def __init__(
        self, state: RuntimeState, transitions: Transitions, dispatcher: Dispatcher
    ) -> None:
        self.timer: asyncio.TimerHandle | None = None
        self._state = state
        self._transitions = transitions
        self._dispatcher = dispatcher
        self._looked = asyncio.Event()
        self._advancing = asyncio.Lock()

    def stop(self) -> None:
        """Plan no further look."""
        if self.timer is not None:
            self.timer.cancel()

    def look(self) -> None:
        """Run due timers out, start what can start, and plan the next look."""
        self._looked.set()
        state = self._state
        if state.notifier.closed:
            return
        now, failed = state.now, []
        while (due := state.timers.take_due(now)) is not None:
            if not safely(partial(self._look_at, due)):
                failed.append(due)
        for each in failed:
            state.timers.set(each, now)
        done = safely(self._dispatcher.dispatch) and not failed
        self._plan(again_seconds=None if done else _LONGEST_SLEEP_SECONDS)

    def _look_at(self, due: str) -> None:
        """Run the timer of a session or a job out."""
        job = self._state.job(due)
        if job is None:
            self._transitions.current(due)
        else:
            self._dispatcher.look_at(job)

    def _plan(self, again_seconds: float | None) -> None:
        """Plan the next look: at the next timer, or after a fixed time where something failed."""
        if self.timer is not None:
            self.timer.cancel()
        following = self._state.timers.next()
        delay = again_seconds
        if delay is None and following is not None and self._state.clock.rate:
            # The cap limits how late a timer can be when the machine's clock is set.
            wait = max(0.0, (following - self._state.now).total_seconds()) / self._state.clock.rate
            delay = min(wait, _LONGEST_SLEEP_SECONDS)
        if delay is not None:
            self.timer = asyncio.get_running_loop().call_later(delay, self._state.wake_up.request)

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass, and return when all that was due has happened and is on disk.

        Time goes from one timer to the next, so that each runs out at its own time, and stands
        still while a worker computes: a job takes `min_job_seconds`, however long its simulation
        takes.

        Raises:
            TypeError: the clock is not a virtual one.
        """
        state, clock = self._state, self._state.clock
        if not isinstance(clock, VirtualClock):
            raise TypeError(f"a {clock.kind} clock cannot be advanced")
        async with self._advancing:
            await self._settled()
            target = state.now + timedelta(seconds=seconds)
            following = state.timers.next()
            # A timer that is still due has failed, and is tried again later.
            while following is not None and state.now < following <= target:
                clock.advance_to(following)
                state.wake_up.request()
                await self._settled()
                following = state.timers.next()
            clock.advance_to(target)
            # Requests that wait for a session return the new time with it.
            sessions = tuple(map(self._transitions.put_session, state.sessions()))
            await state.write(SetClock(target, sessions))

    async def _settled(self) -> None:
        """Wait until no worker computes and no look is pending."""
        while not self._state.notifier.closed and (
            self._state.wake_up.requested or self._dispatcher.busy
        ):
            self._looked.clear()
            await self._looked.wait()
