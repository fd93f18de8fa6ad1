"""Computes the deadlines of a session: those that are known, without guesses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from qsession_widget.monitoring.job_row import parse_time
from qsession_widget.wire.documents import known
from qsession_widget.wire.states import JobState, SessionState

if TYPE_CHECKING:
    from qsession_widget.monitoring.snapshot import Snapshot


@dataclass(frozen=True)
class Countdown:
    """A deadline.

    Attributes:
        kind: "first_job", "interactive" or "max".
        ends_at: when, on the service's clock.
        seconds: how long it was when it began.
    """

    kind: str
    ends_at: datetime
    seconds: float

    @property
    def label(self) -> str:
        """The name that views show."""
        return LABELS[self.kind]

    def left_seconds(self, now: datetime) -> float:
        """Return the seconds that are left."""
        return min(max((self.ends_at - now).total_seconds(), 0.0), self.seconds)


LABELS = {
    "first_job": "Time to first job",
    "interactive": "Idle time left",
    "max": "Time left",
}


def countdowns(snapshot: Snapshot) -> list[Countdown]:
    """Return the deadlines of a session, the nearest consequence first."""
    if snapshot.simulator or snapshot.session.state == SessionState.CLOSED:
        return []
    found = (_to_first_job(snapshot), _to_idle(snapshot), _to_max_time(snapshot))
    return [countdown for countdown in found if countdown is not None]


def idle_since(snapshot: Snapshot) -> datetime | None:
    """Return since when an active session has had no jobs, or None if it is not idle.

    The service sends the end of the last job that ran. A job that was cancelled in the queue later
    kept the session busy until then.
    """
    busy = snapshot.count(JobState.QUEUED) or snapshot.count(JobState.RUNNING)
    if busy or snapshot.session.state != SessionState.ACTIVE:
        return None
    last = parse_time(snapshot.session.last_job_completed)
    ends = (last, snapshot.jobs.last_end)
    return max((when for when in ends if when is not None), default=None)


def _to_first_job(snapshot: Snapshot) -> Countdown | None:
    if (
        parse_time(snapshot.session.started_at) is not None
        or snapshot.count(JobState.QUEUED)
        or not snapshot.session.accepting_jobs
    ):
        return None
    return _from("first_job", snapshot.created_at, snapshot.first_job_seconds)


def _to_idle(snapshot: Snapshot) -> Countdown | None:
    seconds = known(snapshot.session.interactive_ttl)
    return _from("interactive", idle_since(snapshot), seconds)


def _to_max_time(snapshot: Snapshot) -> Countdown | None:
    session = snapshot.session
    return _from("max", parse_time(session.started_at), known(session.max_ttl))


def _from(kind: str, start: datetime | None, seconds: float | None) -> Countdown | None:
    if start is None or seconds is None or seconds <= 0:
        return None
    return Countdown(kind, start + timedelta(seconds=seconds), float(seconds))
