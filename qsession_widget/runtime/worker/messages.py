"""The messages between the pool and its workers: tasks, and events of their jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qsession_widget.runtime.worker.limits import Limits
from qsession_widget.runtime.worker.lru_cache import Figures

if TYPE_CHECKING:
    from qsession_widget.runtime.pieces import Content, LongText
    from qsession_widget.wire.states import Stage


@dataclass(frozen=True)
class Task:
    """A job as a worker needs it.

    Attributes:
        params: JSON text of the job's payload.
        affinity: tasks of the same affinity (session or device) go to the same worker where
            possible, since its caches are warm.
        backend: name of the served backend.
        min_seconds: how long the task lasts at least.
        device: name under which its device was recorded; empty if that is the same.
        limits: the limits of the job.
        asks: whether it waits for `grant_device` before it goes on the device.
        attempt: which start of the job this is, from 1 on. Unlike `Job.attempts` it counts every
            one, so that each has a number of its own: events say which they are of.
    """

    job_id: str
    affinity: str
    program_id: str
    params: str | Content
    backend: str
    optimization_level: int
    min_seconds: float
    device: str = ""
    limits: Limits = field(default_factory=Limits)
    asks: bool = False
    attempt: int = 0


@dataclass(frozen=True)
class Warm:
    """Prepare for tasks of a recorded device; no event follows."""

    device: str


@dataclass(frozen=True)
class Interim:
    """The result of one pub."""

    text: str


@dataclass(frozen=True)
class Reached:
    """The job has reached a stage; `at` is the `time.monotonic()` when this was reported."""

    stage: Stage
    at: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Expected:
    """An estimate of how many more seconds the job will take, and what it is based on."""

    seconds: float
    by: str


@dataclass(frozen=True)
class Done:
    """The result, the time of the simulation, and the figures of the worker's caches.

    Attributes:
        summary: JSON of the result in few characters; None if it has no such form.
    """

    result: str | Content | LongText
    busy_seconds: float
    cache: Figures = field(default_factory=Figures)
    summary: str | None = None


@dataclass(frozen=True)
class Failed:
    """The job failed."""

    reason: str
    traceback: str = ""


@dataclass(frozen=True)
class Stopped:
    """The task stopped because it was cancelled."""


@dataclass(frozen=True)
class Lost:
    """The worker process died, or was killed."""

    exit_code: int | None


@dataclass(frozen=True)
class HostLost:
    """The machine of the worker is gone, or cannot be reached for longer than its lease."""

    host: str


Event = Interim | Reached | Expected | Done | Failed | Stopped | Lost | HostLost
GOES_ON = (Interim, Reached, Expected)
"""Events after which the job goes on."""

STAGE_SHOWN_SECONDS = 0.2
"""A stage is reported after this time, or together with the next event.

A short job then wakes the event loop only once, at its end.
"""
