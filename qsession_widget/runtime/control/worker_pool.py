"""Gives jobs to worker processes on this machine, and kills those whose job must stop.

The interface is six calls (`start`, `warm`, `submit`, `give_device`, `cancel`, `stop`), `free` and
two callbacks, so that another engine can take its place. Each worker has a thread that waits on
its pipe; the callbacks run in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import msgpack

from qsession_widget.runtime.worker import main
from qsession_widget.runtime.worker.limits import Limits
from qsession_widget.runtime.worker.lru_cache import Figures
from qsession_widget.wire.states import Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext
    from multiprocessing.process import BaseProcess

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What a worker needs to know of a job.

    Attributes:
        affinity: tasks of the same affinity (session or device) go to the same worker where
            possible, since its caches are warm.
        backend: name under which the device is served.
        min_seconds: the task lasts at least so long.
        device: name under which the device was recorded; empty where that is the same.
        limits: what the job may ask of the process.
        asks: it waits for `give_device` before it goes on the device.
    """

    job_id: str
    affinity: str
    program_id: str
    params: str
    backend: str
    optimization_level: int
    min_seconds: float
    device: str = ""
    limits: Limits = field(default_factory=Limits)
    asks: bool = False


@dataclass(frozen=True)
class Warm:
    """A device for which a worker is to be made ready; nothing comes back."""

    device: str


@dataclass(frozen=True)
class _Given:
    """A task, and whether its process has it already."""

    task: Task
    sent: bool


@dataclass(frozen=True)
class Interim:
    """A part of the result, of one pub."""

    text: str


@dataclass(frozen=True)
class Reached:
    """A further stage of a job; `at` is `time.monotonic()` when the worker told it."""

    stage: Stage
    at: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Done:
    """The result, how long the simulation took, and what the worker's caches did."""

    result: str
    busy_seconds: float
    cache: Figures = field(default_factory=Figures)


@dataclass(frozen=True)
class Failed:
    """Why there is no result."""

    reason: str
    traceback: str = ""


@dataclass(frozen=True)
class Stopped:
    """The task was given up before its end, as it was asked to be."""


@dataclass(frozen=True)
class Lost:
    """The worker died, by itself or because it was killed; `exit_code` as of the process."""

    exit_code: int | None


Event = Interim | Reached | Done | Failed | Stopped | Lost
GOES_ON = (Interim, Reached)
"""What is not a job's end."""

STAGE_SHOWN_SECONDS = 0.2
"""A stage is told once it has lasted so long, or with what comes after it.

A short job then wakes the event loop once, with its end.
"""


STOP_SECONDS = 1.0
"""How long a task that is cancelled may take to stop by itself.

Between two pubs it does so at once, and its process keeps what it has made ready. To end a process
and make a new one ready takes about as long as this.
"""

_SHORT_CHARACTERS = 2**15
"""Of a payload that surely fits into a pipe."""


_REWARM_SECONDS = 0.05
"""Jobs that wait go on a new process before it is made ready for others."""


@dataclass(frozen=True)
class WorkerPlace:
    """What a worker does at this moment.

    Attributes:
        state: "starting", "idle" or "busy".
        job_id: its job, if it has one.
        pid: its process, if there is one.
    """

    state: str
    job_id: str | None
    pid: int | None


class WorkerPool:
    """Worker processes, one task each at a time."""

    def __init__(
        self,
        workers: int,
        on_event: Callable[[str, Event], None],
        on_free: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare, start nothing.

        Args:
            workers: how many processes.
            on_event: is called in the event loop with a job's id and what happened to it; after
                Done, Failed or Lost its worker is free.
            on_free: is called in the event loop when the worker of a job that was cancelled is
                free again; of such a job nothing else is told.
        """
        # Spinning OpenMP threads slow each other down badly where cores are shared.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["qsession_widget.runtime.worker.simulation"])
        self._workers = [_Worker(context, index) for index in range(workers)]
        self._on_event = on_event
        self._on_free = on_free
        self._by_job: dict[str, _Worker] = {}

    @property
    def free(self) -> int:
        """How many tasks can be submitted now."""
        return sum(each.job_id is None for each in self._workers)

    @property
    def giving_up(self) -> bool:
        """Whether a worker is about to be free, since its task was cancelled."""
        return any(each.given_up is not None for each in self._workers)

    def places(self) -> list[WorkerPlace]:
        """Say what each worker does."""
        return [each.place() for each in self._workers]

    def start(self) -> None:
        """Start the processes; returns at once."""
        loop = asyncio.get_running_loop()
        for each in self._workers:
            each.start(loop, self._receive)

    def warm(self, affinity: str, device: str) -> None:
        """Have a free worker get ready for tasks that will come.

        One at a time gets ready in each process, so that a task waits for no more than that; where
        all of them are busy, with tasks or with getting ready, nothing is done.

        Args:
            affinity: of the tasks.
            device: name under which their device was recorded.
        """
        idle = [each for each in self._workers if each.job_id is None and each.warming is None]
        if idle:
            self._best(idle, affinity).warm(affinity, device)

    def submit(self, task: Task) -> None:
        """Give a task to a free worker, best to one that knows its session."""
        idle = [each for each in self._workers if each.job_id is None]
        chosen = self._best(idle, task.affinity)
        self._by_job[task.job_id] = chosen
        chosen.give(task)

    def give_device(self, job_id: str) -> None:
        """Let a task that asks go on the device. Unknown jobs are ignored."""
        running = self._by_job.get(job_id)
        if running is not None:
            running.give_device()

    def _best(self, idle: list[_Worker], affinity: str) -> _Worker:
        return min(
            idle,
            key=lambda each: (each.affinity != affinity, each.warming is not None, each.last_used),
        )

    def cancel(self, job_id: str) -> None:
        """Have a task given up; nothing more is told of it. Unknown jobs are ignored.

        It may stop by itself for a second, then its process is ended.
        """
        running = self._by_job.pop(job_id, None)
        if running is not None:
            given_up = running.give_up()
            asyncio.get_running_loop().call_later(STOP_SECONDS, self._end, running, given_up)

    def kill(self, job_id: str) -> None:
        """End the process that runs a job, at once; Lost follows. Unknown jobs are ignored."""
        running = self._by_job.get(job_id)
        if running is not None:
            running.kill()

    @staticmethod
    def _end(running: _Worker, given_up: object) -> None:
        if running.given_up is given_up:
            running.kill()

    def stop(self) -> None:
        """End all processes; no event follows."""
        for each in self._workers:
            each.stop()

    def _receive(self, source: _Worker, job_id: str, event: Event) -> None:
        unwanted = source.given_up is not None
        if not isinstance(event, GOES_ON):
            source.job_id = source.given_up = None
            if not unwanted:
                self._by_job.pop(job_id, None)
            if isinstance(event, Lost):
                # Jobs that wait go first.
                asyncio.get_running_loop().call_later(_REWARM_SECONDS, source.warm_again)
            if unwanted:
                self._on_free()
        if not unwanted:
            self._on_event(job_id, event)


class _Worker:
    """A place for a process, and the thread that waits on its pipe."""

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
        self, loop: asyncio.AbstractEventLoop, receive: Callable[[_Worker, str, Event], None]
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
        """Make a new process ready for what the last one did."""
        if self.job_id is None and self.warming is None and self._device:
            self.warm(self.affinity, self._device)

    def _is_warm(self) -> None:
        self.warming = None

    def give_up(self) -> object:
        """Ask for the end of the task; gives what `given_up` is until it has ended."""
        link, self._unwanted = self._link, self.job_id
        self.given_up = object()
        # A task that is only being sent can hear nothing; nor may the event loop wait for it.
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
        """Send a short task from the event loop: sooner than the thread can wake up for it.

        It is short enough for the pipe to take it, even if a wish is still to be read there. One
        that asks for the device comes after such a wish, which must not be taken for the answer.
        """
        link = self._link
        if link is None or self.warming or task.asks or len(task.params) > _SHORT_CHARACTERS:
            return False
        try:
            self._send(link, task)
        except OSError:
            # The process has died; the thread brings another one up.
            return False
        return True

    def _send(self, link: _Link, message: Task | dict[str, str]) -> None:
        with self._sending:
            link.pipe.send_bytes(msgpack.encode(message))

    def give_device(self) -> None:
        link = self._link
        if link is not None and link.asks:
            link.asks = False
            try:
                link.pipe.send_bytes(msgpack.encode({"go": self.job_id}))
            except OSError:
                # The process died meanwhile: Lost is on its way.
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
        """Keep a process ready, hand tasks to it, and replace it when it dies."""
        self._renew()
        while (task := self._tasks.get()) is not None and not self._stopping:
            if isinstance(task, Warm):
                self._get_ready(task)
            else:
                self._report(task.task, self._outcome(task.task, sent=task.sent))
            # Its payload may be large, and the next task may be long in coming.
            del task
        if self._link is not None:
            self._link.close()

    def _get_ready(self, wish: Warm) -> None:
        """Pass a wish on, and wait until it is fulfilled.

        A process that cannot take it is replaced before its next task.
        """
        link = self._link
        with contextlib.suppress(OSError, EOFError, ValueError):
            if link is not None:
                self._send(link, {"warm": wish.device})
                msgpack.decode(link.pipe.recv_bytes())
                link.ready.add(wish.device)
        with contextlib.suppress(RuntimeError):
            # The event loop may have ended meanwhile.
            self._loop.call_soon_threadsafe(self._is_warm)

    def _outcome(self, task: Task, *, sent: bool) -> Event:
        if not sent and (self._link is None or self._link.pipe.poll()):
            # An idle process says nothing, so this is its end: not this task's fault.
            self._renew()
        # A task may be given up while its process is still on its way up. One that the process has
        # is heard to its end, or its last word would be taken for the next one's.
        while sent or self._unwanted != task.job_id:
            link = self._link
            event = self._attempt(task, sent=sent)
            sent = False
            if not isinstance(event, Lost):
                return event
            self._renew()
            if link is None or link.killed_for in {None, task.job_id}:
                return event
            # The kill was meant for the task before this one, and came too late for it.
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
            # EOFError: the process from which all workers are forked died at this moment.
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
                event = _event(answer)
                if answer.get("retires"):
                    # Before the next task can be given to a process that is on its way out.
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
            # ValueError: an answer that cannot be read; whoever sends that has lost its way.
            self._link.process.kill()
            self._link.process.join()
            return Lost(self._link.process.exitcode)

    def _report(self, task: Task, *events: Event) -> None:
        if events and not self._stopping:
            self._loop.call_soon_threadsafe(self._pass_on, task.job_id, events)

    def _pass_on(self, job_id: str, events: tuple[Event, ...]) -> None:
        for event in events:
            self._receive(self, job_id, event)


@dataclass
class _Link:
    """A running process with the server's ends of its two pipes.

    Attributes:
        killed_for: the job for whose sake the process was killed.
        asks: it waits until it may go on the device.
        ready: devices for which the process was made ready.
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
        case "done":
            return Done(answer["result"], answer["busy_seconds"], Figures(**answer["cache"]))
        case "stopped":
            return Stopped()
        case _:
            return Failed(answer["reason"], answer["traceback"])
