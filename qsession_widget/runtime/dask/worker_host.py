"""What a Dask worker holds for a server: worker processes, commands to them, events from them.

Nothing here imports Dask, which only carries the calls. All of it runs in the Dask worker's event
loop, so that a command is heard while a job runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from qsession_widget.runtime.control.worker_pool import WorkerPool
from qsession_widget.runtime.dask import frames
from qsession_widget.runtime.dask.lease import LeaseEndedError
from qsession_widget.runtime.dask.versions import versions
from qsession_widget.runtime.machine import processors
from qsession_widget.runtime.worker.messages import GOES_ON

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.runtime.dask.frames import Frames
    from qsession_widget.runtime.dask.lease import Lease
    from qsession_widget.runtime.worker.messages import Event, Task

log = logging.getLogger(__name__)

SLOTS = "QSESSION_WORKER_SLOTS"
"""The environment variable with the number of a host's processes."""

PROCESS = uuid.uuid4().hex
"""Names this process, which may come back to the cluster under another address."""

_hosts: dict[str, WorkerHost] = {}
"""The host of each server that this process serves, by the server's name."""


class HostCalls(Protocol):
    """The calls that a server makes to a host: to a `WorkerHost`, or to Dask's proxy of one."""

    async def open(self) -> Frames:
        """See `WorkerHost.open`."""

    async def take(self, number: int, commands: list[Frames]) -> None:
        """See `WorkerHost.take`."""

    async def tell(self, beat: int, after: int) -> list[Frames]:
        """See `WorkerHost.tell`."""

    async def leave(self, reason: str) -> None:
        """See `WorkerHost.leave`."""


class WorkerHost:
    """The worker processes of one server on one Dask worker.

    Args:
        server: names the server. Its next host in this process takes the place of this one.
        lease: the terms under which it runs.
    """

    def __init__(self, server: str, lease: Lease) -> None:
        self._server = server
        self._lease = lease
        self._slots: list[WorkerPool] = []
        self._tasks: dict[int, Task] = {}
        self._taken = 0
        self._beat = 0
        self._renewed_at = 0.0
        self._told = 0
        self._untold: deque[tuple[int, Frames]] = deque()
        self._news: asyncio.Event | None = None
        self._watching: asyncio.TimerHandle | None = None
        self._ended = False

    async def open(self) -> Frames:
        """Start the processes.

        Returns:
            A message about the host: `slots`, `host`, `pid`, `process` and `versions`.
        """
        if self._news is None:
            previous = _hosts.get(self._server)
            if previous is not None:
                previous.end()
            _hosts[self._server] = self
            self._news = asyncio.Event()
            self._renewed_at = asyncio.get_running_loop().time()
            self._watch()
            for index in range(slots()):
                pool = WorkerPool(1, partial(self._on_event, index), partial(self._on_free, index))
                pool.start()
                self._slots.append(pool)
        return frames.encode(
            {
                "slots": len(self._slots),
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "process": PROCESS,
                "versions": versions(),
            }
        )

    async def take(self, number: int, commands: list[Frames]) -> None:
        """Carry out commands, in order; a batch that came before is left out.

        Args:
            number: of the batch, from 1 on.
            commands: messages whose heads have `do` and `slot`.

        Raises:
            LeaseEndedError: the lease has ended.
        """
        self._check()
        if number > self._taken:
            self._taken = number
            for each in commands:
                self._do(each)

    async def tell(self, beat: int, after: int) -> list[Frames]:
        """Wait for events, and return them; renews the lease.

        Args:
            beat: how many of these requests were answered. Only an increase renews the lease, so
                that answers that never arrive do not keep it alive.
            after: number of the last event that has arrived; later ones are returned.

        Returns:
            Messages whose heads have `number`. They come again until they have arrived.

        Raises:
            LeaseEndedError: the lease has ended.
        """
        self._check()
        if beat > self._beat:
            self._beat = beat
            self._renewed_at = asyncio.get_running_loop().time()
        while self._untold and self._untold[0][0] <= after:
            self._untold.popleft()
        if not self._untold and self._news is not None:
            self._news.clear()
            try:
                async with asyncio.timeout(self._lease.beat_seconds):
                    await self._news.wait()
            except TimeoutError:
                pass
        self._check()
        return [each for _, each in self._untold]

    async def leave(self, reason: str) -> None:
        """End the processes, since the server needs this host no more.

        Args:
            reason: why, for who started the host; empty if it was asked to leave.
        """
        self.end()
        if reason:
            log.warning("the server does not use this host: %s", reason)
        if not hosts():
            _departure(reason)

    def end(self) -> None:
        """End the processes at once."""
        self._ended = True
        if _hosts.get(self._server) is self:
            del _hosts[self._server]
        if self._watching is not None:
            self._watching.cancel()
        for each in self._slots:
            each.stop()
        if self._news is not None:
            self._news.set()

    def ask_to_leave(self) -> None:
        """Ask the server for no more jobs, and to be let go once those that it has are over."""
        self._add(frames.encode({"kind": "leaving", "number": self._next()}))

    def _do(self, message: Frames) -> None:
        command = frames.decode(message)
        index = command["slot"]
        pool = self._slots[index]
        match command["do"]:
            case "submit":
                self._tasks[index] = task = frames.decode_task(message)
                pool.submit(task)
            case "warm":
                pool.warm(command["affinity"], command["device"])
            case "grant":
                pool.grant_device(command["job_id"])
            case "cancel":
                pool.cancel(command["job_id"])
            case unknown:
                log.error("a command that is unknown here: %s", unknown)

    def _on_event(self, index: int, _job_id: str, _attempt: int, event: Event) -> None:
        task = self._tasks[index]
        if not isinstance(event, GOES_ON):
            del self._tasks[index]
        self._add(frames.encode_event(task, event, number=self._next(), slot=index))

    def _on_free(self, index: int) -> None:
        self._tasks.pop(index, None)
        self._add(frames.encode({"kind": "free", "slot": index, "number": self._next()}))

    def _next(self) -> int:
        self._told += 1
        return self._told

    def _add(self, message: Frames) -> None:
        self._untold.append((self._told, message))
        if self._news is not None:
            self._news.set()

    def _check(self) -> None:
        if self._ended or self._news is None:
            raise LeaseEndedError(self._lease.key)

    def _watch(self) -> None:
        """End everything once the lease is too old."""
        loop = asyncio.get_running_loop()
        left = self._renewed_at + self._lease.seconds - loop.time()
        if left > 0:
            self._watching = loop.call_later(left, self._watch)
            return
        log.warning("nothing was heard from the server for %g s", self._lease.seconds)
        self.end()


def slots() -> int:
    """Return how many processes a host in this process has."""
    return int(os.environ.get(SLOTS, "0")) or processors()


def hosts() -> list[WorkerHost]:
    """Return the hosts of this process whose lease lasts."""
    return list(_hosts.values())


def end_all() -> None:
    """End all hosts of this process, as when it leaves the cluster."""
    for each in hosts():
        each.end()


def on_departure(callback: Callable[[str], Any]) -> None:
    """Set what is called when the last server lets this process go, with its reason."""
    global _departure  # noqa: PLW0603 - one worker for each process
    _departure = callback


def _stay(_reason: str) -> None:
    """Do nothing: a Dask worker that others started may have other work."""


_departure: Callable[[str], Any] = _stay
