"""Tells how far a job is: prepared, on the device, post-processed. Lives in a worker process.

"On the device" is from the first simulation of a job to the end of its last one, as a device is
held from a job's first circuit to its last.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from qsession_widget.wire.states import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Job:
    """The job that this process runs; it runs one at a time."""

    def __init__(self) -> None:
        self.tell: Callable[[Stage], None] | None = None
        self.simulations = 1
        self.stays = False
        self.stage = Stage.PREPARING


_job = _Job()


def start(tell: Callable[[Stage], None], *, stays: bool) -> None:
    """Begin with a job, which is being prepared.

    Args:
        tell: is given each further stage; returns when the job may go on.
        stays: the job stays on the device until `leave_device`, even if nothing is simulated.
    """
    _job.tell, _job.stays = tell, stays
    _job.simulations, _job.stage = 1, Stage.PREPARING


def expect(simulations: int) -> None:
    """Say how many times the device will be used: after the last one the job leaves it."""
    _job.simulations = simulations


@contextmanager
def on_device() -> Iterator[None]:
    """Use the device."""
    if _job.stage is Stage.PREPARING:
        _enter(Stage.ON_DEVICE)
    yield
    _job.simulations -= 1
    if _job.simulations <= 0 and not _job.stays:
        leave_device()


def leave_device() -> None:
    """Give the device back, if the job has it."""
    if _job.stage is Stage.ON_DEVICE:
        _enter(Stage.POST_PROCESSING)


def _enter(stage: Stage) -> None:
    _job.stage = stage
    if _job.tell is not None:
        _job.tell(stage)
