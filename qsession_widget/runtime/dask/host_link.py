"""The server's end of one host: commands in order, events once each, and the age of its lease."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from qsession_widget.runtime.dask import frames
from qsession_widget.runtime.dask.lease import LeaseEndedError
from qsession_widget.runtime.worker.messages import GOES_ON, HostLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.runtime.control.executor import OnEvent
    from qsession_widget.runtime.dask.frames import Frames
    from qsession_widget.runtime.dask.lease import Lease
    from qsession_widget.runtime.dask.worker_host import HostCalls
    from qsession_widget.runtime.worker.messages import Task

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.2
"""Pause before a call that failed is made again."""


@dataclass(eq=False)
class Slot:
    """A place for one task on a host.

    Attributes:
        link: the host.
        index: its number there.
        affinity: of the last task.
        device: of the last task, or what it was warmed for.
        last_used: `time.monotonic()` when it got something to do.
        task: what it runs, also if that was cancelled.
        given_up: whether that was cancelled.
    """

    link: HostLink
    index: int
    affinity: str = ""
    device: str = ""
    last_used: float = 0.0
    task: Task | None = None
    given_up: bool = False


class HostLink:
    """Makes the calls to one host for as long as it has its lease.

    Args:
        address: of the Dask worker.
        about: what the host said when it was opened.
        lease: the terms.
        calls: the host.
        on_event: is told the events of tasks that were not cancelled.
        on_change: is called when a slot may be free that was not, and when the host is over.
    """

    def __init__(
        self,
        address: str,
        about: dict[str, Any],
        *,
        lease: Lease,
        calls: HostCalls,
        on_event: OnEvent,
        on_change: Callable[[], None],
    ) -> None:
        self.address = address
        self.host: str = about["host"]
        self.process: str = about["process"]
        self.slots = [Slot(self, index) for index in range(about["slots"])]
        self.draining = False
        self.over = False
        self._lease = lease
        self._calls = calls
        self._on_event = on_event
        self._on_change = on_change
        self._commands: list[Frames] = []
        self._some = asyncio.Event()
        self._number = 0
        self._arrived = 0
        self._beat = 0
        self._closing: asyncio.Task[None] | None = None
        self._ends: asyncio.TimerHandle | None = None
        self._renewed_at = asyncio.get_running_loop().time()
        self._loops = [asyncio.create_task(each()) for each in (self._send, self._hear)]

    @property
    def ready(self) -> bool:
        """Whether it takes tasks."""
        return not (self.over or self.draining)

    @property
    def busy(self) -> int:
        """How many of its slots have a task."""
        return sum(slot.task is not None for slot in self.slots)

    def submit(self, slot: Slot, task: Task) -> None:
        """Submit a task to a free slot."""
        slot.task, slot.given_up = task, False
        slot.affinity, slot.device = task.affinity, task.device or task.backend
        slot.last_used = time.monotonic()
        self._put(frames.encode_task(task, do="submit", slot=slot.index))

    def warm(self, slot: Slot, affinity: str, device: str) -> None:
        """Prepare a free slot for tasks to come."""
        slot.affinity, slot.device, slot.last_used = affinity, device, time.monotonic()
        self._command(slot, "warm", affinity=affinity, device=device)

    def grant_device(self, slot: Slot) -> None:
        """Let the task of a slot go on its device."""
        if slot.task is not None:
            self._command(slot, "grant", job_id=slot.task.job_id)

    def cancel(self, slot: Slot) -> None:
        """Cancel the task of a slot, which is free a little later."""
        if slot.task is not None:
            slot.given_up = True
            self._command(slot, "cancel", job_id=slot.task.job_id)

    @property
    def state(self) -> str:
        """What it is, in a word: "ready", "draining" or "drained"."""
        if not self.draining:
            return "ready"
        return "drained" if self.over else "draining"

    def drain(self) -> None:
        """Submit no more tasks to it, and let it go once those that it has are over."""
        if not self.draining:
            self.draining = True
            log.info("host %s takes no more jobs; %d run on it", self.host, self.busy)
        self._let_go()

    def abandon(self) -> None:
        """Make no more calls, and take it for lost once its lease has surely ended."""
        for each in self._loops:
            each.cancel()
        loop = asyncio.get_running_loop()
        seconds = self._lease.lost_after_seconds
        self._ends = loop.call_at(self._renewed_at + seconds, self.lose, "its lease has ended")

    def lose(self, why: str) -> None:
        """Take it for lost: its tasks have to be run again elsewhere."""
        if self._end():
            log.warning("host %s is lost: %s", self.host, why)
            for slot in self.slots:
                task, slot.task = slot.task, None
                if task is not None and not slot.given_up:
                    self._on_event(task.job_id, task.attempt, HostLost(self.host))
            self._on_change()

    async def close(self, seconds: float, why: str = "") -> None:
        """End the host's processes, or give up after a time; no event follows."""
        self._end()
        try:
            async with asyncio.timeout(seconds):
                await self._calls.leave(why)
        except Exception as error:  # noqa: BLE001 - its lease ends the processes in any case
            log.info("host %s did not hear that it may go: %s", self.host, error)

    def _end(self) -> bool:
        """Stop the calls; returns whether they had not been stopped before."""
        before, self.over = self.over, True
        if self._ends is not None:
            self._ends.cancel()
        for each in self._loops:
            each.cancel()
        return not before

    def _let_go(self) -> None:
        if self.draining and not self.over and not self.busy:
            log.info("host %s is drained, and leaves", self.host)
            self._closing = asyncio.create_task(self.close(self._lease.seconds))
            self._on_change()

    def _command(self, slot: Slot, do: str, **fields: Any) -> None:
        self._put(frames.encode({"do": do, "slot": slot.index, **fields}))

    def _put(self, command: Frames) -> None:
        self._commands.append(command)
        self._some.set()

    async def _send(self) -> None:
        """Send commands, in order, those that have gathered together."""
        while True:
            await self._some.wait()
            self._some.clear()
            batch, self._commands = self._commands, []
            self._number += 1
            await self._insist(partial(self._calls.take, self._number, batch))

    async def _hear(self) -> None:
        """Ask for events, again and again, which renews the lease."""
        loop = asyncio.get_running_loop()
        while True:
            self._beat += 1
            sent_at = loop.time()
            told = await self._insist(partial(self._calls.tell, self._beat, self._arrived))
            self._renewed_at = sent_at
            for each in told or ():
                head = frames.decode(each)
                if head["number"] > self._arrived:
                    self._arrived = head["number"]
                    self._receive(head, each)

    async def _insist(self, call: Callable[[], Any]) -> Any:
        """Make a call until it is answered, or the lease has surely ended."""
        loop = asyncio.get_running_loop()
        while True:
            left = self._renewed_at + self._lease.lost_after_seconds - loop.time()
            if left <= 0:
                self.lose(f"no answer for {self._lease.lost_after_seconds:g} s")
                # It is cancelled by that.
                await asyncio.sleep(0)
            try:
                async with asyncio.timeout(min(left, 2 * self._lease.beat_seconds)):
                    return await call()
            except LeaseEndedError:
                self.lose("it has ended its processes, since it heard nothing from here")
            except Exception as error:  # noqa: BLE001 - whatever it is, the lease runs
                log.debug("a call to host %s failed: %r", self.host, error)
            # It is cancelled here where the host is lost.
            await asyncio.sleep(_AGAIN_SECONDS)

    def _receive(self, head: dict[str, Any], message: Frames) -> None:
        kind = head["kind"]
        if kind == "leaving":
            self.drain()
            return
        slot = self.slots[head["slot"]]
        if kind == "free":
            self._free(slot)
            return
        job_id, attempt, event = frames.decode_event(message)
        goes_on, unwanted = isinstance(event, GOES_ON), slot.given_up
        if not goes_on:
            # Where a cancellation came too late, no other message says that the slot is free.
            slot.task, slot.given_up = None, False
        if not unwanted:
            self._on_event(job_id, attempt, event)
        elif not goes_on:
            self._on_change()
        self._let_go()

    def _free(self, slot: Slot) -> None:
        slot.task, slot.given_up = None, False
        self._on_change()
        self._let_go()
