"""What a session has cost by the time of its snapshot. `js/src/view/usage.ts` counts the same."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from qsession_widget.wire.states import JobState, Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from qsession_widget.monitoring.snapshot import Snapshot, UsageSplit

Part = tuple[float, str]
"""Seconds, and what they went into."""

OTHER = "other"

_MINUTE = 60
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


def shares(total: float, parts: Sequence[Part], unit: float) -> list[tuple[int, str]] | None:
    """Give parts in whole units that add up to the total in whole units (largest remainder).

    What is left of the total, if that is a unit or more, becomes a part of its own.

    Args:
        total: in seconds.
        parts: of it.
        unit: in seconds.

    Returns:
        How many units each part has; None where the parts are more than the total, as of jobs
        that overlap, and cannot add up to it.
    """
    known = math.fsum(seconds for seconds, _ in parts)
    if known - total >= unit:
        return None
    if total - known >= unit:
        parts = [*parts, (total - known, OTHER)]
        known = total
    units = units_of(total, unit)
    quotas = [seconds / known * units if known else 0.0 for seconds, _ in parts]
    found = [math.floor(quota) for quota in quotas]
    by_remainder = sorted(range(len(parts)), key=lambda at: quotas[at] - found[at], reverse=True)
    for at in by_remainder[: units - sum(found)]:
        found[at] += 1
    return [(count, what) for count, (_, what) in zip(found, parts, strict=True)]


def units_of(total: float, unit: float) -> int:
    """Say how many whole units are shown of a total: rounded, but minutes as on a clock."""
    return round(total) // _MINUTE if unit == _MINUTE else round(total / unit)
