"""A pool of worker processes on this machine, each with one task at a time.

This is the executor of one machine, see `executor.Executor`. Each worker has a thread that waits on
its pipe; the callbacks run in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from msgspec import msgpack

from qsession_widget.runtime.control import fork_server
from qsession_widget.runtime.control.executor import WorkerPlace
from qsession_widget.runtime.pieces import Content
from qsession_widget.runtime.worker import main
from qsession_widget.runtime.worker.lru_cache import Figures
from qsession_widget.runtime.worker.messages import (
    GOES_ON,
    STAGE_SHOWN_SECONDS,
    Done,
    Event,
    Expected,
    Failed,
    Interim,
    Lost,
    Reached,
    Stopped,
    Task,
    Warm,
)
from qsession_widget.wire.states import Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext
    from multiprocessing.process import BaseProcess

    from qsession_widget.runtime.control.executor import HostPlace, OnEvent

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Given:
    """A task, and whether it was sent to its process already."""

    task: Task
    sent: bool


STOP_SECONDS = 0.3
"""How long a cancelled task may take to stop by itself.

Between two calls of the simulator it stops at once, and its process keeps its caches. Several small
pubs take 0.1 s in one call. A call that takes longer may take minutes, and a new process is there
in 0.05 s.
"""

_SHORT_CHARACTERS = 2**15
"""Length of a payload that always fits into the buffer of a pipe."""


_REWARM_SECONDS = 0.05
"""Delay before a new process is warmed, so that waiting jobs come first."""


class WorkerPool:
    """A pool of worker processes with affinity: a session keeps its worker where possible."""

    def __init__(
        self,
        workers: int,
        on_event: OnEvent,
        on_free: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare the pool; `start` starts the processes.

        Args:
            workers: how many processes.
            on_event: called in the event loop with the id of a job, the attempt, and an event;
                after Done, Failed or Lost, the job's worker is free.
            on_free: called in the event loop when the worker of a cancelled job is free again;
                there are no events of such a job.
        """
        context = fork_server.context()
        self._workers = [_Worker(context, index) for index in range(workers)]
        self._on_event = on_event
        self._on_free = on_free
        self._by_job: dict[str, _Worker] = {}

    @property
    def slots(self) -> int:
        """How many tasks can run at once."""
        return len(self._workers)

    @property
    def free(self) -> int:
        """How many tasks can be submitted now."""
        return sum(each.job_id is None for each in self._workers)

    @property
    def busy(self) -> bool:
        """Whether a worker has a task, also one that was cancelled and has not stopped yet."""
        return self.free < len(self._workers)

    @property
    def giving_up(self) -> bool:
        """Whether a worker will soon be free, since its task was cancelled."""
        return any(each.given_up is not None for each in self._workers)

    def places(self) -> list[WorkerPlace]:
        """Return what each worker does."""
        return [each.place() for each in self._workers]

    def hosts(self) -> list[HostPlace]:
        """Return no other machines: all workers are on this one."""
        return []

    def drain(self, host: str) -> int:  # noqa: ARG002 - an executor's method
        """Return 0: no host is known here."""
        return 0

    async def close(self) -> None:
        """Return at once: the processes die by themselves."""

    def start(self) -> None:
        """Start the processes; returns at once."""
        loop = asyncio.get_running_loop()
        for each in self._workers:
            each.start(loop, self._receive)

    def warm(self, affinity: str, device: str) -> None:
        """Prepare a free worker for tasks to come; does nothing if all workers are busy.

        A process prepares for one device at a time, so that a task waits for no more than that.

        Args:
            affinity: affinity of the tasks.
            device: name under which their device was recorded.
        """
        idle = [each for each in self._workers if each.job_id is None and each.warming is None]
        if idle:
            self._best(idle, affinity).warm(affinity, device)

    def submit(self, task: Task) -> None:
        """Submit a task to a free worker, preferably the last one of its affinity."""
        idle = [each for each in self._workers if each.job_id is None]
        chosen = self._best(idle, task.affinity)
        self._by_job[task.job_id] = chosen
        chosen.give(task)

    def grant_device(self, job_id: str) -> None:
        """Let a task that has asked for its device go on. Unknown jobs are ignored."""
        running = self._by_job.get(job_id)
        if running is not None:
            running.grant_device()

    def _best(self, idle: list[_Worker], affinity: str) -> _Worker:
        return min(
            idle,
            key=lambda each: (each.affinity != affinity, each.warming is not None, each.last_used),
        )

    def cancel(self, job_id: str) -> None:
        """Cancel a task; there are no more events of it. Unknown jobs are ignored.

        The task has `STOP_SECONDS` to stop by itself; then its process is killed.
        """
        running = self._by_job.pop(job_id, None)
        if running is not None:
            given_up = running.give_up()
            asyncio.get_running_loop().call_later(STOP_SECONDS, self._end, running, given_up)

    def kill(self, job_id: str) -> None:
        """Kill the process of a job; a Lost event follows. Unknown jobs are ignored."""
        running = self._by_job.get(job_id)
        if running is not None:
            running.kill()

    @staticmethod
    def _end(running: _Worker, given_up: object) -> None:
        if running.given_up is given_up:
            running.kill()

    def stop(self) -> None:
        """Kill all processes; no event follows."""
        for each in self._workers:
            each.stop()

    def _receive(self, source: _Worker, task: Task, event: Event) -> None:
        unwanted = source.given_up is not None
        if not isinstance(event, GOES_ON):
            source.job_id = source.given_up = None
            if not unwanted:
                self._by_job.pop(task.job_id, None)
            if isinstance(event, Lost):
                # Waiting jobs come first.
                asyncio.get_running_loop().call_later(_REWARM_SECONDS, source.warm_again)
            if unwanted:
                self._on_free()
        if not unwanted:
            self._on_event(task.job_id, task.attempt, event)


class _Worker:
    """One process, replaced when it dies, and the thread that waits on its pipe."""

    def __init__(self, context: ForkServerContext, index: int) -> None:
        self.job_id: str | None = None
        self.given_up: object | None = None
        self.warming: str | None = None
        self.affinity = ""
        self._device = ""
        self.last_used = 0.0
        self._context = context
        self._name = f"worker-{index}"
        self._tasks: queue.SimpleQueue[_Given | Warm | None] = queue.SimpleQueue()
        self._link: _Link | None = None
        self._sending = threading.Lock()
        self._unwanted: str | None = None
        self._stopping = False

    def start(
        self, loop: asyncio.AbstractEventLoop, receive: Callable[[_Worker, Task, Event], None]
    ) -> None:
        self._loop, self._receive = loop, receive
        threading.Thread(target=self._serve, name=self._name, daemon=True).start()

    def warm(self, affinity: str, device: str) -> None:
        self.affinity, self.last_used = affinity, time.monotonic()
        self._device = device
        link = self._link
        if link is None or device not in link.ready:
            self.warming = device
            self._tasks.put(Warm(device))

    def warm_again(self) -> None:
        """Prepare a new process for the tasks of the last one."""
        if self.job_id is None and self.warming is None and self._device:
            self.warm(self.affinity, self._device)

    def _is_warm(self) -> None:
        self.warming = None

    def give_up(self) -> object:
        """Ask the task to stop; returns the value of `given_up` until it has ended."""
        link, self._unwanted = self._link, self.job_id
        self.given_up = object()
        # While the task is being sent, it cannot be asked; the event loop must not wait for that.
        if link is not None and self._sending.acquire(blocking=False):
            try:
                link.pipe.send_bytes(msgpack.encode({"stop": self.job_id}))
            except OSError:
                log.info("%s ended before it could be stopped", self._name)
            finally:
                self._sending.release()
        return self.given_up

    def place(self) -> WorkerPlace:
        link, job_id = self._link, self.job_id
        if link is None:
            return WorkerPlace("starting", job_id, None)
        return WorkerPlace("idle" if job_id is None else "busy", job_id, link.process.pid)

    def give(self, task: Task) -> None:
        self.job_id, self.affinity, self.last_used = task.job_id, task.affinity, time.monotonic()
        self._device = task.device or task.backend
        self._unwanted = None
        self._tasks.put(_Given(task, sent=self._send_at_once(task)))

    def _send_at_once(self, task: Task) -> bool:
        """Send a short task from the event loop, which is faster than waking the thread.

        It fits into the buffer of the pipe, even behind a Warm message. A task that asks for its
        device is sent by the thread, after the answer to such a message.
        """
        link = self._link
        params = task.params
        if link is None or self.warming or task.asks:
            return False
        if not isinstance(params, str) or len(params) > _SHORT_CHARACTERS:
            return False
        try:
            self._send(link, task)
        except OSError:
            # The process has died; the thread starts another one.
            return False
        return True

    def _send(self, link: _Link, message: Task | dict[str, str]) -> None:
        with self._sending:
            if not isinstance(message, Task) or isinstance(message.params, str):
                link.pipe.send_bytes(msgpack.encode(message))
                return
            pieces = message.params.pieces
            head = {**asdict(replace(message, params="")), "pieces": len(pieces)}
            link.pipe.send_bytes(msgpack.encode(head))
            for piece in pieces:
                link.pipe.send_bytes(piece)

    def grant_device(self) -> None:
        link = self._link
        if link is not None and link.asks:
            link.asks = False
            try:
                link.pipe.send_bytes(msgpack.encode({"go": self.job_id}))
            except OSError:
                # The process has died: Lost follows.
                log.info("%s ended before it could go on", self._name)

    def kill(self) -> None:
        link, self._unwanted = self._link, self.job_id
        if link is not None:
            link.killed_for = self.job_id
            link.process.kill()

    def stop(self) -> None:
        self._stopping = True
        self._tasks.put(None)
        self.kill()

    def _serve(self) -> None:
        """Start a process, hand tasks to it, and replace it when it dies."""
        self._renew()
        while (task := self._tasks.get()) is not None and not self._stopping:
            if isinstance(task, Warm):
                self._get_ready(task)
            else:
                self._report(task.task, self._outcome(task.task, sent=task.sent))
            # Its payload may be large, and the next task may come much later.
            del task
        if self._link is not None:
            self._link.close()

    def _get_ready(self, message: Warm) -> None:
        """Warm the process, and wait for its answer.

        A process that does not answer is replaced before its next task.
        """
        link = self._link
        with contextlib.suppress(OSError, EOFError, ValueError):
            if link is not None:
                self._send(link, {"warm": message.device})
                msgpack.decode(link.pipe.recv_bytes())
                link.ready.add(message.device)
        with contextlib.suppress(RuntimeError):
            # The event loop may have ended.
            self._loop.call_soon_threadsafe(self._is_warm)

    def _outcome(self, task: Task, *, sent: bool) -> Event:
        if not sent and (self._link is None or self._link.pipe.poll()):
            # An idle process sends nothing, so this is its end: not this task's fault.
            self._renew()
        # A task may be cancelled before its process is up. A task that was sent has to be read to
        # its end, or its last answer would be taken for that of the next task.
        while sent or self._unwanted != task.job_id:
            link = self._link
            event = self._attempt(task, sent=sent)
            sent = False
            if not isinstance(event, Lost):
                return event
            self._renew()
            if link is None or link.killed_for in {None, task.job_id}:
                return event
            # The kill was meant for the previous task, and came too late for it.
        return Lost(None)

    def _renew(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._stopping:
            return
        try:
            self._link = _Link.open(self._context, self._name)
        except (OSError, EOFError):
            # EOFError: the fork server has died.
            log.exception("%s could not be started", self._name)

    def _attempt(self, task: Task, *, sent: bool) -> Event:
        if self._link is None:
            return Lost(None)
        untold: list[Event] = []
        try:
            if not sent:
                self._send(self._link, task)
            while True:
                answer = msgpack.decode(self._link.pipe.recv_bytes())
                count = answer.get("pieces", 0)
                if count:
                    pieces = [self._link.pipe.recv_bytes() for _ in range(count)]
                    answer["result"] = Content(pieces)
                event = _event(answer)
                if answer.get("retires"):
                    # Before the next task could be given to the retiring process.
                    self._renew()
                if not isinstance(event, GOES_ON):
                    self._report(task, *untold)
                    return event
                self._link.asks = task.asks and event == Reached(Stage.ON_DEVICE)
                untold.append(event)
                waits = isinstance(event, Reached) and not task.asks
                if not waits or not self._link.pipe.poll(STAGE_SHOWN_SECONDS):
                    self._report(task, *untold)
                    untold.clear()
        except (EOFError, OSError, ValueError):
            # ValueError: an answer that cannot be decoded. The process is in an unknown state.
            self._link.process.kill()
            self._link.process.join()
            return Lost(self._link.process.exitcode)

    def _report(self, task: Task, *events: Event) -> None:
        if events and not self._stopping:
            self._loop.call_soon_threadsafe(self._pass_on, task, events)

    def _pass_on(self, task: Task, events: tuple[Event, ...]) -> None:
        for event in events:
            self._receive(self, task, event)


@dataclass
class _Link:
    """A running process with the server's ends of its two pipes.

    Attributes:
        killed_for: the job because of which the process was killed.
        asks: its task waits for the device.
        ready: devices for which the process was warmed.
    """

    process: BaseProcess
    pipe: Connection
    lifeline: Connection
    killed_for: str | None = None
    asks: bool = False
    ready: set[str] = field(default_factory=set)

    @classmethod
    def open(cls, context: ForkServerContext, name: str) -> _Link:
        pipe, their_pipe = context.Pipe()
        lifeline, their_lifeline = context.Pipe()
        process = context.Process(
            target=main.main, args=(their_pipe, their_lifeline), name=name, daemon=True
        )
        process.start()
        their_pipe.close()
        their_lifeline.close()
        return cls(process, pipe, lifeline)

    def close(self) -> None:
        self.pipe.close()
        self.lifeline.close()


def _event(answer: dict[str, Any]) -> Event:
    match answer["kind"]:
        case "interim":
            return Interim(answer["text"])
        case "reached":
            return Reached(Stage(answer["stage"]), time.monotonic())
        case "expected":
            return Expected(answer["seconds"], answer["by"])
        case "done":
            figures = Figures(**answer["cache"])
            return Done(answer["result"], answer["busy_seconds"], figures, answer["summary"])
        case "stopped":
            return Stopped()
        case _:
            return Failed(answer["reason"], answer["traceback"])
