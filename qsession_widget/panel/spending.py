"""What a session has cost by the time of its snapshot. `js/src/view/usage.ts` counts the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qsession_widget.wire.states import JobState, Mode, SessionState

if TYPE_CHECKING:
    from datetime import datetime

    from qsession_widget.snapshot import Snapshot, UsageSplit

_COUNTING = {SessionState.ACTIVE, SessionState.PENDING_INACTIVE, SessionState.PENDING_CLOSED}


def spent(snapshot: Snapshot) -> tuple[float | None, UsageSplit | None]:
    """Give the usage in seconds, and what that went into; None for what is not known.

    The service counts of its jobs those that have ended, and answered when something changed last:
    what has gone on since, and the stages of the jobs that run, are added.
    """
    total, split = snapshot.details.get("usage_time"), snapshot.usage
    goes_on = (
        snapshot.details.get("mode") == Mode.DEDICATED
        and snapshot.details.get("state") in _COUNTING
    )
    if total is None or snapshot.details_at is None or not goes_on:
        return total, split
    since = _seconds(snapshot.details_at, snapshot.now)
    if split is None:
        return total + since, None
    preparing = on_device = 0.0
    for job in snapshot.jobs:
        if job.state == JobState.RUNNING and job.stages is not None:
            stages = job.stages
            preparing += _seconds(stages.preparing_at, stages.on_device_at or snapshot.now)
            on_device += _seconds(stages.on_device_at, stages.post_processing_at or snapshot.now)
    idle = 0.0 if snapshot.count(JobState.RUNNING) else since
    return total + since, replace(
        split,
        preparing=_sum(split.preparing, preparing),
        on_device=_sum(split.on_device, on_device),
        idle=_sum(split.idle, idle),
    )


def _seconds(start: datetime | None, end: datetime) -> float:
    return 0.0 if start is None else max(0.0, (end - start).total_seconds())


def _sum(known: float | None, more: float) -> float | None:
    return None if known is None else known + more
