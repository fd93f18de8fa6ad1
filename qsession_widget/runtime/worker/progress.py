"""Reports the stages of the running job (preparing, on the device, post-processing), and its end.

"On the device" lasts from the first simulation of a job to the end of its last one, as a device is
held from a job's first circuit to its last. A worker process runs one job at a time, whose stage is
module-level state here (`_job`).
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qsession_widget.wire.states import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


LONG_SECONDS = 600.0
"""An estimate of the time left is reported for jobs that take longer than this."""

_MOST_BETWEEN = 60.0
"""Shortest time between two estimates, so that a long job does not report one for each part."""


class _Job:
    """The stage of the job that this process runs."""

    def __init__(self) -> None:
        self.tell: Callable[[Stage], None] | None = None
        self.on_estimate: Callable[[float, str], None] | None = None
        self.simulations = self.all = self.together = 1
        self.entered = self.reported_at = 0.0
        self.stays = False
        self.stage = Stage.PREPARING


_job = _Job()


def start(
    tell: Callable[[Stage], None],
    *,
    stays: bool,
    on_estimate: Callable[[float, str], None] | None = None,
) -> None:
    """Start a job, at the stage of preparing.

    Args:
        tell: called with each further stage; returns when the job may go on.
        stays: whether the job stays on the device until `leave_device`, without simulations too.
        on_estimate: called with an estimate of the seconds that the job will still take, if that is
            at least `LONG_SECONDS`, and with what the estimate is based on.
    """
    _job.tell, _job.stays, _job.on_estimate = tell, stays, on_estimate
    _job.stage, _job.reported_at = Stage.PREPARING, 0.0
    expect(1)


def expect(simulations: int) -> None:
    """Set how many times the device will be used; the job leaves it after the last one."""
    _job.simulations = _job.all = simulations


@contextmanager
def on_device(simulations: int = 1) -> Iterator[None]:
    """Enter the device, at the first simulation, and leave it after the last.

    Args:
        simulations: how many of those that were set by `expect` this is.
    """
    if _job.stage is Stage.PREPARING:
        _job.entered = time.monotonic()
        _enter(Stage.ON_DEVICE)
    _job.together = simulations
    yield
    _job.simulations -= simulations
    _look_ahead()
    if _job.simulations <= 0 and not _job.stays:
        leave_device()


def report_estimate(seconds: float, by: str) -> None:
    """Report how long the job will take if its other simulations are like those that start now.

    Args:
        seconds: how long those that start now will take.
        by: what that estimate is based on.
    """
    seconds *= max(1.0, _job.simulations / _job.together)
    if _job.on_estimate is not None and seconds >= LONG_SECONDS:
        _job.reported_at = time.monotonic()
        _job.on_estimate(seconds, by)


def basis(count: int, of: int, what: str) -> str:
    """Return in words what an estimate of a job's time is based on."""
    return f"the first{f' {count:,}' if count > 1 else ''} of {of:,} {what}"


def _look_ahead() -> None:
    """Estimate the time left from the simulations that are done."""
    done, now = _job.all - _job.simulations, time.monotonic()
    if _job.simulations > 0 and now - max(_job.reported_at, _job.entered) >= _MOST_BETWEEN:
        _job.together = _job.simulations
        seconds = (now - _job.entered) / done * _job.simulations
        report_estimate(seconds, basis(done, _job.all, "parts"))


def leave_device() -> None:
    """Release the device, if the job is on it."""
    if _job.stage is Stage.ON_DEVICE:
        _enter(Stage.POST_PROCESSING)


def _enter(stage: Stage) -> None:
    _job.stage = stage
    if _job.tell is not None:
        _job.tell(stage)
