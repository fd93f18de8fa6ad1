"""Queries of workloads: sessions, batches and jobs without a session, in one paged list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    String,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)

from qsession_widget.runtime.store import schema, usage
from qsession_widget.wire.states import FINAL_JOB_STATES, JobState, SessionState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Row

JOB = "job"

_OF_JOB = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.CANCELLED: "canceled",
    JobState.FAILED: "failed",
}


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


def read(connection: Connection, owner: str, wanted: Wanted) -> tuple[list[Row[Any]], int]:
    """Read a page of workloads, and the number on all pages.

    A job of a session is part of that session, not a workload of its own.
    """
    sessions, jobs = schema.sessions, schema.jobs
    session_status = case(
        (sessions.c.state == SessionState.OPEN.value, "pending"),
        (sessions.c.state != SessionState.CLOSED.value, "in_progress"),
        (sessions.c.cancelled, "canceled"),
        else_="completed",
    )
    job_status = case(
        *((jobs.c.state == state.value, status) for state, status in _OF_JOB.items()),
        else_="pending",
    )
    all_of_them = union_all(
        select(
            sessions.c.id,
            sessions.c.mode,
            sessions.c.backend,
            sessions.c.created_at,
            sessions.c.closed_at.label("ended_at"),
            sessions.c.accepting_jobs,
            session_status.label("status"),
            sessions.c.state_reason.label("reason"),
            sessions.c.used_seconds.label("seconds"),
            cast(literal("[]"), String).label("tags"),
            literal_column(f"sessions.{schema.ARRIVED}", Integer).label("number"),
        ).where(sessions.c.owner == owner),
        select(
            jobs.c.id,
            literal(JOB).label("mode"),
            jobs.c.backend,
            jobs.c.created_at,
            jobs.c.ended_at,
            null().label("accepting_jobs"),
            job_status.label("status"),
            jobs.c.reason,
            usage.device_seconds(jobs).label("seconds"),
            cast(jobs.c.tags, String).label("tags"),
            literal_column(f"jobs.{schema.ARRIVED}", Integer).label("number"),
        ).where(jobs.c.owner == owner, jobs.c.session_id.is_(None)),
    ).subquery()
    where: list[ColumnElement[bool]] = []
    if wanted.modes:
        where.append(all_of_them.c.mode.in_(wanted.modes))
    if wanted.statuses:
        where.append(all_of_them.c.status.in_(wanted.statuses))
    if wanted.backend is not None:
        where.append(all_of_them.c.backend == wanted.backend)
    if wanted.search is not None:
        found = (
            all_of_them.c[name].icontains(wanted.search, autoescape=True) for name in ("id", "tags")
        )
        where.append(or_(*found))
    for tag in wanted.tags:
        each = func.json_each(all_of_them.c.tags).table_valued("value")
        where.append(select(each.c.value).where(each.c.value == tag).exists())
    if wanted.created_after is not None:
        where.append(all_of_them.c.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        where.append(all_of_them.c.created_at <= wanted.created_before)
    total = connection.execute(
        select(func.count()).select_from(all_of_them).where(*where)
    ).scalar_one()
    # At equal times a session comes before a job: its own jobs cannot be older.
    kind = case((all_of_them.c.mode == JOB, 1), else_=0)
    order = [all_of_them.c.created_at, kind, all_of_them.c.number]
    statement = (
        select(all_of_them)
        .where(*where)
        .order_by(*(order if wanted.ascending else [column.desc() for column in order]))
        .limit(wanted.limit)
        .offset(wanted.offset)
    )
    return list(connection.execute(statement)), total


def tags(connection: Connection, owner: str, search: str, limit: int) -> list[str]:
    """Return the tags of an owner's jobs that contain a string, without duplicates, sorted."""
    each = func.json_each(schema.jobs.c.tags).table_valued("value")
    statement = (
        select(each.c.value)
        .select_from(schema.jobs)
        .join(each, true())
        .where(schema.jobs.c.owner == owner, each.c.value.icontains(search, autoescape=True))
        .distinct()
        .order_by(each.c.value)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def used_seconds(connection: Connection, owner: str) -> float:
    """Return how long an owner's finished jobs were on their devices."""
    statement = (
        select(func.sum(usage.device_seconds(schema.jobs)))
        .where(schema.jobs.c.owner == owner)
        .where(schema.jobs.c.state.in_([state.value for state in FINAL_JOB_STATES]))
    )
    return float(connection.execute(statement).scalar_one() or 0.0)
