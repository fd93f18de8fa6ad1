"""A session at one moment, as its monitor saw it: plain values that any view can draw."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from qsession_widget.privacy import without_secrets
from qsession_widget.wire.fields import EXTRA
from qsession_widget.wire.states import FINAL_JOB_STATES, JobState

if TYPE_CHECKING:
    from collections.abc import Mapping


class LinkState(StrEnum):
    """How the monitor and the service get on."""

    CONNECTING = "connecting"
    LIVE = "live"
    RETRYING = "retrying"
    ENDED = "ended"


@dataclass(frozen=True)
class Link:
    """How the monitor and the service get on.

    Attributes:
        state: `ended` means that there is nothing left to watch: closed, and all jobs final.
        error: what went wrong at the last try, None where nothing did.
        since: since when it is so.
        retry_seconds: how long after this moment it tries again, None where nothing went wrong.
    """

    state: LinkState
    since: datetime
    error: str | None = None
    retry_seconds: float | None = None


@dataclass(frozen=True)
class JobRow:
    """One job. Times are None where they are not known.

    Attributes:
        state: `state.status` of the job's JSON.
        reason: why it failed or was cancelled.
    """

    id: str
    program_id: str
    state: str
    created_at: datetime | None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    tags: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, job: Mapping[str, Any]) -> JobRow:
        """Read the JSON of GET /jobs/{id}; the times of running are the local runtime's only."""
        extra = job.get(EXTRA) or {}
        state = job.get("state") or {}
        reason = state.get("reason")
        return cls(
            id=str(job["id"]),
            program_id=str((job.get("program") or {}).get("id", "")),
            state=str(state.get("status") or job.get("status") or ""),
            created_at=parse_time(job.get("created")),
            started_at=parse_time(extra.get("running_at")),
            ended_at=parse_time(extra.get("finished_at")),
            reason=without_secrets(str(reason)) if reason else None,
            tags=tuple(map(str, job.get("tags") or ())),
        )

    @property
    def final(self) -> bool:
        """Whether it will never change again."""
        return self.state in FINAL_JOB_STATES

    def duration_seconds(self, now: datetime) -> float | None:
        """Give how long it ran, or has been running at `now`; None where that is not known."""
        if self.started_at is None:
            return None
        if self.ended_at is None and self.final:
            return None
        return ((self.ended_at or now) - self.started_at).total_seconds()


@dataclass(frozen=True)
class Snapshot:
    """A session at one moment.

    Attributes:
        key: the session's client-side key.
        session_id: None on a simulator.
        status: the words of `Session.status()`; None on a simulator, or as long as not known.
        details: as `Session.details()`; empty on a simulator, or as long as not known.
        jobs: oldest first.
        now: the service's time.
        rate: how many seconds of the service's clock pass in one.
        details_at: the service's time when it sent `details`; None where it sends no time.
        created_at: when it was opened; None where the service does not say.
        first_job_seconds: how long it stays open without any job; likewise.
        state_reason: why it is in its state, in the service's words; likewise.
        beat: counts the monitor's rounds.
        every_seconds: how long a round takes at most.
    """

    key: str
    session_id: str | None
    backend_name: str | None
    simulator: bool
    link: Link
    status: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    jobs: tuple[JobRow, ...] = ()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    rate: float = 1.0
    details_at: datetime | None = None
    created_at: datetime | None = None
    first_job_seconds: float | None = None
    state_reason: str | None = None
    beat: int = 0
    every_seconds: float = 2.0

    @property
    def ended(self) -> bool:
        """Whether nothing can change any more."""
        closed = not self.simulator and self.details.get("state") == "closed"
        return closed and all(job.final for job in self.jobs)

    def count(self, state: JobState) -> int:
        """Give how many jobs are in a state."""
        return sum(job.state == state for job in self.jobs)

    def time(self, name: str) -> datetime | None:
        """Give one of the times in `details`."""
        return parse_time(self.details.get(name))


@dataclass(frozen=True)
class Notice:
    """What became of a command.

    Attributes:
        level: "info" or "error".
    """

    level: str
    text: str


@dataclass(frozen=True)
class ServiceClock:
    """What a service's clock showed at one moment, and how fast it goes.

    Attributes:
        shown: what it showed.
        at: when, on this process's monotonic clock.
        rate: how many of its seconds pass in one.
    """

    shown: datetime
    at: float
    rate: float = 1.0

    @classmethod
    def read(cls, session: Mapping[str, Any], otherwise: datetime) -> ServiceClock:
        """Read the JSON of a session; `otherwise` is for a service that sends no time in it."""
        extra = session.get(EXTRA) or {}
        shown = parse_time(extra.get("now")) or otherwise
        return cls(shown, time.monotonic(), float(extra.get("rate") or 1.0))

    def now(self) -> datetime:
        """Give what it shows now."""
        return self.shown + timedelta(seconds=(time.monotonic() - self.at) * self.rate)


def parse_time(text: str | None) -> datetime | None:
    """Read a time of the wire; None for none, and for text that is no time."""
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
