"""Computes a session's usage at its snapshot, as `js/src/view/head/usage.ts` does."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from qsession_widget.wire.documents import known
from qsession_widget.wire.states import JobState, Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from qsession_widget.monitoring.snapshot import Snapshot, UsageSplit

Part = tuple[float, str]
"""Seconds, and what they were used for."""

OTHER = "other"

_MINUTE = 60
_COUNTING = {SessionState.ACTIVE, SessionState.PENDING_INACTIVE, SessionState.PENDING_CLOSED}


def spent(snapshot: Snapshot) -> tuple[float | None, UsageSplit | None]:
    """Return the usage in seconds, and its parts; None for what is not known.

    The service counts jobs that have ended, up to its last response. The time since then, and the
    stages of running jobs, are added here.
    """
    session, split = snapshot.session, snapshot.usage
    total = known(session.elapsed_time)
    goes_on = session.mode == Mode.DEDICATED and session.state in _COUNTING
    if total is None or snapshot.details_at is None or not goes_on:
        return total, split
    since = _seconds(snapshot.details_at, snapshot.now)
    if split is None:
        return total + since, None
    preparing = on_device = 0.0
    for job in snapshot.jobs.running:
        if job.stages is not None:
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
    """Return parts in whole units that add up to the total in whole units (largest remainder).

    The rest of the total, if it is a unit or more, becomes a separate part.

    Args:
        total: in seconds.
        parts: of it.
        unit: in seconds.

    Returns:
        How many units each part has; None if the parts are more than the total, as for jobs that
        overlap.
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
    """Return the whole units of a total: rounded, except for minutes, which count as on a clock."""
    return round(total) // _MINUTE if unit == _MINUTE else round(total / unit)
