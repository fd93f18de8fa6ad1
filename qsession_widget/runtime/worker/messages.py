"""What the worker pool and its workers tell each other of: tasks, and events of their jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qsession_widget.runtime.worker.limits import Limits
from qsession_widget.runtime.worker.lru_cache import Figures

if TYPE_CHECKING:
    from qsession_widget.wire.states import Stage


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
        asks: it waits for `grant_device` before it goes on the device.
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
