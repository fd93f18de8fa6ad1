"""Computes the deadlines of a session from what a service sends: those that are known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from qsession_widget.monitoring.job_row import parse_time
from qsession_widget.wire.documents import known
from qsession_widget.wire.states import SessionState

if TYPE_CHECKING:
    from qsession_widget.wire.documents import SessionDocument

LABELS = {
    "first_job": "Time to first job",
    "interactive": "Idle time left",
    "max": "Time left",
}


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


@dataclass(frozen=True)
class Evidence:
    """What deadlines depend on.

    Attributes:
        session: the session.
        queued: how many of its jobs are queued.
        running: how many run.
        created_at: when it was opened; None if that is not known.
        first_job_seconds: how long it stays open without any job; None likewise.
        last_end: when the last of its known jobs ended; None if none has.
    """

    session: SessionDocument
    queued: int
    running: int
    created_at: datetime | None
    first_job_seconds: float | None
    last_end: datetime | None = None

    @property
    def idle_since(self) -> datetime | None:
        """Since when an active session has had no jobs, or None if it is not idle.

        The service sends the end of the last job that ran. A job that was cancelled in the queue
        later kept the session busy until then.
        """
        if self.queued or self.running or self.session.state != SessionState.ACTIVE:
            return None
        ends = (parse_time(self.session.last_job_completed), self.last_end)
        return max((when for when in ends if when is not None), default=None)

    def countdowns(self) -> list[Countdown]:
        """Return the deadlines, the nearest consequence first."""
        if self.session.state == SessionState.CLOSED:
            return []
        idle_seconds = known(self.session.interactive_ttl)
        started_at, most = parse_time(self.session.started_at), known(self.session.max_ttl)
        found = (
            self._to_first_job(started_at),
            _from("interactive", self.idle_since, idle_seconds),
            _from("max", started_at, most),
        )
        return [countdown for countdown in found if countdown is not None]

    def _to_first_job(self, started_at: datetime | None) -> Countdown | None:
        if started_at is not None or self.queued or not self.session.accepting_jobs:
            return None
        return _from("first_job", self.created_at, self.first_job_seconds)


def _from(kind: str, start: datetime | None, seconds: float | None) -> Countdown | None:
    if start is None or seconds is None or seconds <= 0:
        return None
    return Countdown(kind, start + timedelta(seconds=seconds), float(seconds))
