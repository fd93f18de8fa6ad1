"""Gives jobs to worker processes on this machine, and kills those whose job must stop.

The interface is six calls (`start`, `warm`, `submit`, `give_device`, `kill`, `stop`), `free` and
one callback, so that another engine can take its place. Each worker has a thread that waits on
its pipe; the callback runs in the event loop.
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

from qsession_widget.runtime import worker
from qsession_widget.runtime.caching import Figures
from qsession_widget.runtime.limits import Limits
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
class Lost:
    """The worker died, by itself or because it was killed; `exit_code` as of the process."""

    exit_code: int | None


Event = Interim | Reached | Done | Failed | Lost
GOES_ON = (Interim, Reached)
"""What is not a job's end."""

STAGE_SHOWN_SECONDS = 0.2
"""A stage is told once it has lasted so long, or with what comes after it.

A short job then wakes the event loop once, with its end.
"""


_SHORT_CHARACTERS = 2**15
"""Of a payload that surely fits into a pipe."""


@dataclass(frozen=True)
class Place:
    """What a worker does at this moment.

    Attributes:
        state: "starting", "idle" or "busy".
        job_id: its job, if it has one.
        pid: its process, if there is one.
    """

    state: str
    job_id: str | None
    pid: int | None


class LocalExecutor:
    """Worker processes, one task each at a time."""

    def __init__(self, workers: int, on_event: Callable[[str, Event], None]) -> None:
        """Prepare, start nothing.

        Args:
            workers: how many processes.
            on_event: is called in the event loop with a job's id and what happened to it; after
                Done, Failed or Lost its worker is free.
        """
        # Spinning OpenMP threads slow each other down badly where cores are shared.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["qsession_widget.runtime.simulation"])
        self._workers = [_Worker(context, index) for index in range(workers)]
        self._on_event = on_event
        self._by_job: dict[str, _Worker] = {}

    @property
    def free(self) -> int:
        """How many tasks can be submitted now."""
        return sum(each.job_id is None for each in self._workers)

    def places(self) -> list[Place]:
        """Say what each worker does."""
        return [each.place() for each in self._workers]

    def start(self) -> None:
        """Start the processes; returns at once."""
        loop = asyncio.get_running_loop()
        for each in self._workers:
            each.start(loop, self._receive)

    def warm(self, affinity: str, device: str) -> None:
        """Have a free worker get ready for tasks that will come; without a free one, do nothing.

        Args:
            affinity: of the tasks.
            device: name under which their device was recorded.
        """
        if self.free:
            self._chosen(affinity).warm(affinity, device)

    def submit(self, task: Task) -> None:
        """Give a task to a free worker, best to one that knows its session."""
        chosen = self._chosen(task.affinity)
        self._by_job[task.job_id] = chosen
        chosen.give(task)

    def give_device(self, job_id: str) -> None:
        """Let a task that asks go on the device. Unknown jobs are ignored."""
        running = self._by_job.get(job_id)
        if running is not None:
            running.give_device()

    def _chosen(self, affinity: str) -> _Worker:
        idle = [each for each in self._workers if each.job_id is None]
        return min(idle, key=lambda each: (each.affinity != affinity, each.last_used))

    def kill(self, job_id: str) -> None:
        """End the process that runs a job; Lost follows. Unknown jobs are ignored."""
        running = self._by_job.get(job_id)
        if running is not None:
            running.kill()

    def stop(self) -> None:
        """End all processes; no event follows."""
        for each in self._workers:
            each.stop()

    def _receive(self, source: _Worker, job_id: str, event: Event) -> None:
        if not isinstance(event, GOES_ON):
            source.job_id = None
            self._by_job.pop(job_id, None)
        self._on_event(job_id, event)


class _Worker:
    """A place for a process, and the thread that waits on its pipe."""

    def __init__(self, context: ForkServerContext, index: int) -> None:
        self.job_id: str | None = None
        self.affinity = ""
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
        self._tasks.put(Warm(device))

    def place(self) -> Place:
        link, job_id = self._link, self.job_id
        if link is None:
            return Place("starting", job_id, None)
        return Place("idle" if job_id is None else "busy", job_id, link.process.pid)

    def give(self, task: Task) -> None:
        self.job_id, self.affinity, self.last_used = task.job_id, task.affinity, time.monotonic()
        self._tasks.put(_Given(task, sent=self._send_at_once(task)))

    def _send_at_once(self, task: Task) -> bool:
        """Send a short task from the event loop: sooner than the thread can wake up for it.

        It is short enough for the pipe to take it, even if a wish is still to be read there. One
        that asks for the device comes after such a wish, which must not be taken for the answer.
        """
        link = self._link
        if link is None or task.asks or len(task.params) > _SHORT_CHARACTERS:
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
                link.pipe.send_bytes(b"go")
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
        if self._link is not None:
            self._link.close()

    def _get_ready(self, wish: Warm) -> None:
        """Pass a wish on; a process that cannot take it is replaced before its next task."""
        with contextlib.suppress(OSError):
            if self._link is not None:
                self._send(self._link, {"warm": wish.device})

    def _outcome(self, task: Task, *, sent: bool) -> Event:
        if not sent and (self._link is None or self._link.pipe.poll()):
            # An idle process says nothing, so this is its end: not this task's fault.
            self._renew()
        # A task may be killed while its process is still on its way up.
        while self._unwanted != task.job_id:
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
    """

    process: BaseProcess
    pipe: Connection
    lifeline: Connection
    killed_for: str | None = None
    asks: bool = False

    @classmethod
    def open(cls, context: ForkServerContext, name: str) -> _Link:
        pipe, their_pipe = context.Pipe()
        lifeline, their_lifeline = context.Pipe()
        process = context.Process(
            target=worker.main, args=(their_pipe, their_lifeline), name=name, daemon=True
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
        case _:
            return Failed(answer["reason"], answer["traceback"])
