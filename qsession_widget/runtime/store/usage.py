"""Past usage of the backends by owner, and the newest time in the store."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from qsession_widget.runtime.scheduling.fairshare import WINDOW_DAYS
from qsession_widget.runtime.store import schema
from qsession_widget.wire.states import JobState, Mode

if TYPE_CHECKING:
    from sqlalchemy import Column, Table

_DAY_MICROSECONDS = 24 * 3600 * 1_000_000
_EPOCH = date(1970, 1, 1)


class Used(NamedTuple):
    """An owner's usage of a day, in UTC."""

    owner: str
    day: date
    seconds: float


def device_seconds(jobs: Table) -> ColumnElement[float]:
    """Return `Job.device_seconds` as an SQL expression."""
    at = {
        name: type_coerce(jobs.c[name], Integer)
        for name in ("started_at", "on_device_at", "post_processing_at", "ended_at")
    }
    whole = and_(
        jobs.c.on_device_at.is_(None),
        or_(jobs.c.preparing_at.is_(None), jobs.c.state == JobState.COMPLETED.value),
    )
    spent = case(
        (whole, at["ended_at"] - at["started_at"]),
        else_=func.coalesce(at["post_processing_at"], at["ended_at"]) - at["on_device_at"],
    )
    # Times are stored as microseconds.
    return func.coalesce(spent / literal(1e6), 0.0)


def running_seconds(jobs: Table) -> ColumnElement[float]:
    """Return `Job.running_seconds` as an SQL expression."""
    started, ended = (type_coerce(jobs.c[name], Integer) for name in ("started_at", "ended_at"))
    return func.coalesce((ended - started) / literal(1e6), 0.0)


def recent_use(connection: Connection, now: datetime, *, shared: bool) -> list[Used]:
    """Return the usage of each owner on each day of the fair-share window.

    Args:
        connection: a connection to the store.
        now: the time.
        shared: whether sessions count by their jobs instead of their active time.
    """
    sessions, jobs = schema.sessions, schema.jobs
    first = now - timedelta(days=WINDOW_DAYS)
    by_job = select(jobs.c.owner, _day(jobs.c.ended_at), func.sum(running_seconds(jobs))).where(
        jobs.c.ended_at >= first
    )
    if not shared:
        dedicated = select(sessions.c.id).where(sessions.c.mode == Mode.DEDICATED.value)
        by_job = by_job.where(or_(jobs.c.session_id.is_(None), jobs.c.session_id.not_in(dedicated)))
    found = [*connection.execute(by_job.group_by(jobs.c.owner, _day(jobs.c.ended_at)))]
    if not shared:
        # A session counts on the day of its last job: its active time is not stored by day.
        last = sessions.c.last_job_started
        found += connection.execute(
            select(sessions.c.owner, _day(last), func.sum(sessions.c.used_seconds))
            .where(sessions.c.mode == Mode.DEDICATED.value)
            .where(last >= first)
            .group_by(sessions.c.owner, _day(last))
        )
    return [Used(owner, _EPOCH + timedelta(days=day), used) for owner, day, used in found]


def newest_time(connection: Connection) -> datetime | None:
    """Return the newest time in the store; the runtime's clock may not go back behind it."""
    columns = [
        schema.clock.c.now,
        *(
            column
            for table in (schema.sessions, schema.jobs)
            for column in table.c
            if isinstance(column.type, schema.Instant)
        ),
    ]
    found = [connection.execute(select(func.max(each))).scalar_one() for each in columns]
    # There is no column for the time at which a session becomes inactive.
    open_ones = select(schema.sessions.c.transitions).where(schema.sessions.c.closed_at.is_(None))
    found += [
        datetime.fromisoformat(row.transitions[-1][1]).astimezone(UTC)
        for row in connection.execute(open_ones)
    ]
    return max((each for each in found if each is not None), default=None)


def _day(column: Column[datetime]) -> ColumnElement[int]:
    """Return the days since 1970 as an SQL expression."""
    return type_coerce(column, Integer).op("/")(literal(_DAY_MICROSECONDS))
