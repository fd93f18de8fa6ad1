"""What an ended job costs its session."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from qsession_widget.runtime.model.job import Job


class Cost(NamedTuple):
    """What an ended job costs.

    Attributes:
        device_seconds: how long it was on the device; 0 if it never was.
        preparing_seconds: how long it was prepared before that, and nothing else was counted.
        free_seconds: how much of the time since its start a session is not charged for.
        counted_until: when its time on the device ended; None if that is not known.
    """

    device_seconds: float = 0.0
    preparing_seconds: float = 0.0
    free_seconds: float = 0.0
    counted_until: datetime | None = None


NOTHING = Cost()


def cost_of(job: Job, counted_until: datetime | None, rate: float) -> Cost:
    """Return what an ended job costs.

    A machine prepares a job no faster under a fast clock. Its own seconds count, and those that the
    clock makes of them are free. With several lanes a job is prepared while others of its session
    are, or are on the device: that time is counted once, and is not free.

    Args:
        job: the job.
        counted_until: until when the stages of other jobs of its session are counted.
        rate: how many of the runtime's seconds pass in one.
    """
    preparing, until = job.preparing_seconds, job.post_processing_at or job.ended_at
    if counted_until is not None and job.preparing_at is not None:
        counted = (counted_until - job.preparing_at).total_seconds()
        preparing = max(0.0, preparing - max(0.0, counted))
    own = preparing / max(rate, 1.0)
    return Cost(job.device_seconds, own, preparing - own, until)
