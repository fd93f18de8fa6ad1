"""Queries of workloads: sessions, batches and jobs without a session, in one paged list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qsession_widget.runtime.store import bitmaps, listing, queries
from qsession_widget.runtime.store.index import Index
from qsession_widget.wire.states import JobState, Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.store.bitmaps import Bits

JOB = "job"

_OF_JOB = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.CANCELLED: "canceled",
    JobState.FAILED: "failed",
}

_KINDS = {JOB: listing.ALONE, **{mode.value: listing.MODE + mode for mode in Mode}}


@dataclass(frozen=True)
class Wanted:
    """A filter for an owner's workloads; empty and None mean any."""

    modes: Sequence[str] = ()
    statuses: Sequence[str] = ()
    backend: str | None = None
    search: str | None = None
    tags: Sequence[str] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None
    ascending: bool = False
    limit: int = 20
    offset: int = 0


@dataclass(frozen=True)
class Workload:
    """A session, or a job outside of sessions.

    Attributes:
        mode: that of the session, or `JOB`.
        seconds: of usage.
        accepting_jobs: None for a job.
        session: the session itself; None for a job.
    """

    id: str
    mode: str
    backend: str
    created_at: datetime
    ended_at: datetime | None
    status: str
    reason: str | None
    seconds: float
    tags: tuple[str, ...] = ()
    accepting_jobs: bool | None = None
    session: Session | None = None

    @classmethod
    def of_session(cls, session: Session) -> Workload:
        """Return a session as a workload."""
        if session.state is SessionState.OPEN:
            status = "pending"
        elif session.state is not SessionState.CLOSED:
            status = "in_progress"
        else:
            status = "canceled" if session.cancelled else "completed"
        return cls(
            id=session.id,
            mode=session.mode,
            backend=session.backend,
            created_at=session.created_at,
            ended_at=session.closed_at,
            status=status,
            reason=session.state_reason,
            seconds=max(0.0, session.used_seconds),
            accepting_jobs=session.accepting_jobs,
            session=session,
        )

    @classmethod
    def of_job(cls, job: Job) -> Workload:
        """Return a job as a workload."""
        return cls(
            id=job.id,
            mode=JOB,
            backend=job.backend,
            created_at=job.created_at,
            ended_at=job.ended_at,
            status=_OF_JOB[job.state],
            reason=job.reason,
            seconds=job.device_seconds,
            tags=job.tags,
        )


def read(connection: Connection, owner: str, wanted: Wanted) -> tuple[list[Workload], int]:
    """Read a page of workloads, and the number on all pages.

    A job of a session is part of that session, not a workload of its own.
    """
    index = Index(connection, owner)
    found: Bits = {}
    for mode in wanted.modes or (JOB, *Mode):
        found = bitmaps.either(found, index.facet(_KINDS[mode]))
    if wanted.statuses:
        found = _with_statuses(index, found, set(wanted.statuses))
    if wanted.backend is not None:
        found = bitmaps.both(found, index.facet(listing.BACKEND + wanted.backend))
    if wanted.search is not None:
        found = bitmaps.both(found, index.searched(wanted.search))
    for tag in wanted.tags:
        found = bitmaps.both(found, index.facet(listing.TAG + tag))
    found = index.created(found, wanted.created_after, wanted.created_before)
    numbers = bitmaps.page(found, wanted.offset, wanted.limit, ascending=wanted.ascending)
    jobs = queries.read_listed_jobs(connection, numbers)
    sessions = queries.read_listed_sessions(connection, numbers)
    rows = {number: Workload.of_job(job) for number, job in jobs.items()}
    rows |= {number: Workload.of_session(session) for number, session in sessions.items()}
    return [rows[number] for number in numbers if number in rows], bitmaps.count(found)


def _with_statuses(index: Index, some: Bits, statuses: set[str]) -> Bits:
    """Return those of some workloads that have one of some statuses."""
    unfinished = bitmaps.both(some, index.facet(listing.UNFINISHED))
    running = bitmaps.both(unfinished, index.running())
    failed = bitmaps.both(some, index.facet(listing.FAILED))
    cancelled = bitmaps.both(some, index.facet(listing.CANCELLED))
    ended_badly = bitmaps.either(failed, cancelled)
    by_status = {
        "pending": bitmaps.without(unfinished, running),
        "in_progress": running,
        "completed": bitmaps.without(bitmaps.without(some, unfinished), ended_badly),
        "canceled": cancelled,
        "failed": failed,
    }
    found: Bits = {}
    for status in statuses:
        found = bitmaps.either(found, by_status[status])
    return found


def tags(connection: Connection, owner: str, search: str, limit: int) -> list[str]:
    """Return the tags of an owner's jobs that contain a string, without duplicates, sorted."""
    return Index(connection, owner).tags(search, limit)
