"""Reports the stages of the running job: preparing, on the device, post-processing.

"On the device" lasts from the first simulation of a job to the end of its last one, as a device is
held from a job's first circuit to its last. A worker process runs one job at a time, whose stage is
module-level state here (`_job`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from qsession_widget.wire.states import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Job:
    """The stage of the job that this process runs."""

    def __init__(self) -> None:
        self.tell: Callable[[Stage], None] | None = None
        self.simulations = 1
        self.stays = False
        self.stage = Stage.PREPARING


_job = _Job()


def start(tell: Callable[[Stage], None], *, stays: bool) -> None:
    """Start a job, at the stage of preparing.

    Args:
        tell: called with each further stage; returns when the job may go on.
        stays: whether the job stays on the device until `leave_device`, without simulations too.
    """
    _job.tell, _job.stays = tell, stays
    _job.simulations, _job.stage = 1, Stage.PREPARING


def expect(simulations: int) -> None:
    """Set how many times the device will be used; the job leaves it after the last one."""
    _job.simulations = simulations


@contextmanager
def on_device(simulations: int = 1) -> Iterator[None]:
    """Enter the device, at the first simulation, and leave it after the last.

    Args:
        simulations: how many of those that were set by `expect` this is.
    """
    if _job.stage is Stage.PREPARING:
        _enter(Stage.ON_DEVICE)
    yield
    _job.simulations -= simulations
    if _job.simulations <= 0 and not _job.stays:
        leave_device()


def leave_device() -> None:
    """Release the device, if the job is on it."""
    if _job.stage is Stage.ON_DEVICE:
        _enter(Stage.POST_PROCESSING)


def _enter(stage: Stage) -> None:
    _job.stage = stage
    if _job.tell is not None:
        _job.tell(stage)
