"""A session at one moment, as its monitor saw it: immutable values that any view can draw."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from qsession_widget.client.session_info import details_of
from qsession_widget.monitoring.job_list import JobList
from qsession_widget.monitoring.job_row import parse_time, seconds_of
from qsession_widget.wire.documents import CacheDocument, SessionDocument
from qsession_widget.wire.holders import ReadHolder
from qsession_widget.wire.states import SessionState

if TYPE_CHECKING:
    from msgspec import UnsetType

    from qsession_widget.wire.documents import (
        HolderDocument,
        SessionExtrasDocument,
        SessionUsageDocument,
    )
    from qsession_widget.wire.states import JobState


class LinkState(StrEnum):
    """The state of the monitor's connection to the service."""

    CONNECTING = "connecting"
    LIVE = "live"
    RETRYING = "retrying"
    ENDED = "ended"


@dataclass(frozen=True)
class Link:
    """The monitor's connection to the service.

    Attributes:
        state: `ended` means that there is nothing left to watch: closed, and all jobs final.
        error: what went wrong at the last try, None if nothing did.
        since: since when it has this state and error.
        retry_seconds: how long after this moment it tries again, None if nothing went wrong.
        cure: what the user can do, None if nothing is known to help.
        startable: whether the service is a local runtime that can be started from here.
    """

    state: LinkState
    since: datetime
    error: str | None = None
    retry_seconds: float | None = None
    cure: str | None = None
    startable: bool = False


@dataclass(frozen=True)
class UsageSplit:
    """The parts of a session's usage, in seconds; None if the service does not send them."""

    on_device: float | None = None
    preparing: float | None = None
    idle: float | None = None

    @classmethod
    def read(cls, usage: SessionUsageDocument | UnsetType) -> UsageSplit | None:
        """Read `qsession.usage` of a session's document; None where it has no figures."""
        if usage is UNSET:
            return None
        figures = [usage.on_device_seconds, usage.preparing_seconds, usage.idle_seconds]
        seconds = [seconds_of(figure) for figure in figures]
        return None if all(each is None for each in seconds) else cls(*seconds)


@dataclass(frozen=True)
class CacheFigures:
    """How well the service's caches worked for a session.

    Attributes:
        hits: how often its jobs found something in a cache.
        misses: how often it had to be made.
        seconds_saved: how long it had taken to make what was found.
    """

    hits: int
    misses: int
    seconds_saved: float

    @classmethod
    def read(cls, cache: CacheDocument | UnsetType) -> CacheFigures | None:
        """Read `qsession.cache` of a session's document; None as long as it was not used."""
        found = cache or CacheDocument()
        figures = cls(found.hits or 0, found.misses or 0, found.seconds_saved or 0.0)
        return figures if figures.hits + figures.misses else None


@dataclass(frozen=True)
class Holder:
    """The session that has the device for which this one waits.

    Attributes:
        mine: whether it belongs to the same user; of others' sessions only `until` is known.
        session_id: its id.
        name: its name.
        place: where it was opened, for example "quickstart.ipynb".
        idle: whether it runs no job.
        until: when it gives the device up by itself, on the service's clock.
        kernel_gone: whether the process that opened it has ended.
    """

    mine: bool
    session_id: str | None = None
    name: str | None = None
    place: str | None = None
    idle: bool = False
    until: datetime | None = None
    kernel_gone: bool = False

    @classmethod
    def read(cls, document: HolderDocument | UnsetType | None) -> Holder | None:
        """Read `qsession.held_by` of a session's document; None if it waits for no session."""
        if not document:
            return None
        found = ReadHolder(document)
        return cls(
            found.mine,
            found.session_id,
            found.name,
            found.place,
            found.idle,
            found.until,
            found.kernel_gone,
        )


NO_SESSION = SessionDocument(id="")
"""A session of which nothing is known."""


@dataclass(frozen=True)
class Snapshot:
    """A session at one moment.

    Attributes:
        key: the session's client-side key.
        session_id: None on a simulator.
        status: as `Session.status()` returns it; None on a simulator, or while not known.
        session: the session as the service sent it; `NO_SESSION` on a simulator, or while not
            known.
        jobs: oldest first.
        now: the service's time.
        seen_at: this machine's time of the monitor's last round.
        rate: how many seconds of the service's clock pass in one.
        details_at: the service's time when it sent `details`; None if it sends no time.
        created_at: when it was opened; None if the service does not send it.
        first_job_seconds: how long it stays open without any job. This and the next four are None
            if the service does not send them.
        state_reason: why it is in its state, in the service's words.
        usage: the parts of its usage.
        cache: how well caches worked for it.
        policy: whether it reserves its backend, "dedicated" or "shared".
        name: a name by which people recognise it, None if it has none.
        cell_id: the id of the notebook's cell that opened it, None if it was opened elsewhere.
        holder: who has the device for which it waits; None if it waits for none.
        gives_way: whether the service ends its idle time early when its kernel is gone and
            others wait for the device.
        workers: how many jobs the service can run at once; None if it does not say.
        waits_for_worker: whether its jobs wait for one of these workers, and for nothing else.
        total: how many jobs its user expects (`Session.progress`); None if they did not say.
        ended_here: whether this process closed or cancelled it.
        beat: counts the monitor's rounds.
        every_seconds: how long a round takes at most.
    """

    key: str
    session_id: str | None
    backend_name: str | None
    simulator: bool
    link: Link
    status: str | None = None
    session: SessionDocument = NO_SESSION
    jobs: JobList = field(default_factory=JobList)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    rate: float = 1.0
    seen_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    details_at: datetime | None = None
    created_at: datetime | None = None
    first_job_seconds: float | None = None
    state_reason: str | None = None
    usage: UsageSplit | None = None
    cache: CacheFigures | None = None
    policy: str | None = None
    name: str | None = None
    cell_id: str | None = None
    holder: Holder | None = None
    gives_way: bool = False
    workers: int | None = None
    waits_for_worker: bool = False
    total: int | None = None
    ended_here: bool = False
    beat: int = 0
    every_seconds: float = 2.0

    @property
    def details(self) -> dict[str, Any]:
        """What `Session.details()` returns; empty on a simulator, or while not known."""
        return {} if self.session is NO_SESSION else dict(details_of(self.session))

    @property
    def ended(self) -> bool:
        """Whether the session is closed and all its jobs are final."""
        return self.session.state == SessionState.CLOSED and not self.jobs.unfinished

    def count(self, state: JobState) -> int:
        """Return how many jobs are in a state."""
        return self.jobs.counts[state]


@dataclass(frozen=True)
class Notice:
    """The outcome of a command.

    Attributes:
        level: "info" or "error".
        command: the command, as its button names it.
        ref: the name that the browser gave to the command, None if it gave none.
    """

    level: str
    text: str
    command: str = ""
    ref: str | None = None


@dataclass(frozen=True)
class ServiceClock:
    """The service's clock at one moment, and how fast it runs.

    Attributes:
        shown: the time that it showed.
        at: when, on this process's monotonic clock.
        rate: how many of its seconds pass in one.
    """

    shown: datetime
    at: float
    rate: float = 1.0

    @classmethod
    def read(cls, extras: SessionExtrasDocument, otherwise: datetime) -> ServiceClock:
        """Read a session's `qsession`; `otherwise` is for a service that sends no time in it."""
        shown = parse_time(extras.now) or otherwise
        rate = seconds_of(extras.rate)
        # The rate of a clock that stands still is 0.
        return cls(shown, time.monotonic(), 1.0 if rate is None else rate)

    def now(self) -> datetime:
        """Return what it shows now."""
        return self.shown + timedelta(seconds=(time.monotonic() - self.at) * self.rate)
