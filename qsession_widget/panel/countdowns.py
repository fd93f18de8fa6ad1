"""The deadlines of a session in a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qsession_widget.monitoring.deadlines import Evidence
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from datetime import datetime

    from qsession_widget.monitoring.deadlines import Countdown
    from qsession_widget.monitoring.snapshot import Snapshot


def countdowns(snapshot: Snapshot) -> list[Countdown]:
    """Return the deadlines of a session, the nearest consequence first."""
    return [] if snapshot.simulator else _evidence(snapshot).countdowns()


def idle_since(snapshot: Snapshot) -> datetime | None:
    """Return since when an active session has had no jobs, or None if it is not idle."""
    return _evidence(snapshot).idle_since


def _evidence(snapshot: Snapshot) -> Evidence:
    return Evidence(
        snapshot.session,
        snapshot.count(JobState.QUEUED),
        snapshot.count(JobState.RUNNING),
        snapshot.created_at,
        snapshot.first_job_seconds,
        snapshot.jobs.last_end,
    )
