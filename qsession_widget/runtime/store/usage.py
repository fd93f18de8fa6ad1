"""Past usage of the backends by owner, and the newest time in the store."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    type_coerce,
)

from qsession_widget.runtime.scheduling.fairshare import WINDOW_DAYS
from qsession_widget.runtime.store import schema
from qsession_widget.wire.states import FINAL_JOB_STATES, JobState, Mode

if TYPE_CHECKING:
    from sqlalchemy import Row, Table

_SECOND_MICROSECONDS = 1_000_000
DAY_MICROSECONDS = 24 * 3600 * _SECOND_MICROSECONDS
_EPOCH = date(1970, 1, 1)


class Used(NamedTuple):
    """An owner's usage of a day, in UTC."""

    owner: str
    day: date
    seconds: float


def device_microseconds(jobs: Table) -> ColumnElement[int]:
    """Return `Job.device_seconds` in microseconds as an SQL expression."""
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
    return func.coalesce(spent, 0)


def running_microseconds(jobs: Table) -> ColumnElement[int]:
    """Return `Job.running_seconds` in microseconds as an SQL expression."""
    started, ended = (type_coerce(jobs.c[name], Integer) for name in ("started_at", "ended_at"))
    return func.coalesce(ended - started, 0)


def used_seconds(connection: Connection, owner: str) -> float:
    """Return how long an owner's finished jobs were on their devices."""
    table = schema.usage
    statement = select(func.sum(table.c.device_microseconds)).where(table.c.owner == owner)
    return int(connection.execute(statement).scalar_one() or 0) / _SECOND_MICROSECONDS


def recent_use(connection: Connection, now: datetime, *, shared: bool) -> list[Used]:
    """Return the usage of each owner on each day of the fair-share window.

    Args:
        connection: a connection to the store.
        now: the time.
        shared: whether sessions count by their jobs instead of their active time.
    """
    sessions = schema.sessions
    first = now - timedelta(days=WINDOW_DAYS)
    used: dict[tuple[str, int], float] = defaultdict(float)
    for row in _ended(connection):
        if row.day > _day_of(first) and (shared or not row.dedicated):
            used[row.owner, row.day] += row.running_microseconds / _SECOND_MICROSECONDS
    found = [(owner, day, seconds) for (owner, day), seconds in used.items()]
    if not shared:
        # A session counts on the day of its last job: its active time is not stored by day.
        last = sessions.c.last_job_started
        # That of an active session may be below 0, by what it is not charged for.
        charged = case((sessions.c.used_seconds > 0, sessions.c.used_seconds), else_=0.0)
        found += [
            (owner, day, seconds)
            for owner, day, seconds in connection.execute(
                select(sessions.c.owner, _day(last), func.sum(charged))
                .where(sessions.c.mode == Mode.DEDICATED.value)
                .where(last >= first)
                .group_by(sessions.c.owner, text("2"))
            )
        ]
    return [Used(owner, _EPOCH + timedelta(days=day), seconds) for owner, day, seconds in found]


def newest_time(connection: Connection) -> datetime | None:
    """Return the newest time in the store; the runtime's clock may not go back behind it."""
    found = [connection.execute(select(schema.clock.c.now)).scalar_one_or_none()]
    # No time of a job that has ended is later than its end.
    for table, where in ((schema.jobs, schema.UNFINISHED), (schema.sessions, "1 = 1")):
        columns = [each for each in table.c if isinstance(each.type, schema.Instant)]
        statement = select(*(func.max(each) for each in columns)).where(text(where))
        found += connection.execute(statement).one()
    # There is no column for the time at which a session becomes inactive.
    open_ones = select(schema.sessions.c.transitions).where(schema.sessions.c.closed_at.is_(None))
    found += [
        datetime.fromisoformat(row.transitions[-1][1]).astimezone(UTC)
        for row in connection.execute(open_ones)
    ]
    found += [row.newest for row in _ended(connection)]
    return max((each for each in found if each is not None), default=None)


def _ended(connection: Connection) -> list[Row[Any]]:
    """Return the usage by jobs that have ended, by owner, day and kind of session."""
    table = schema.usage
    known = list(connection.execute(select(table)))
    jobs, sessions, unlisted = schema.jobs, schema.sessions, schema.unlisted
    newest = func.coalesce(jobs.c.ended_at, jobs.c.created_at)
    dedicated = case((sessions.c.mode == Mode.DEDICATED.value, 1), else_=0)
    # After a migration the index is made while the runtime runs already.
    left = (
        select(
            jobs.c.owner,
            _day(newest).label("day"),
            dedicated.label("dedicated"),
            _sum(device_microseconds(jobs)).label("device_microseconds"),
            _sum(running_microseconds(jobs)).label("running_microseconds"),
            type_coerce(func.max(newest), schema.Instant()).label("newest"),
        )
        .select_from(unlisted)
        .join(jobs, jobs.c.id == unlisted.c.id)
        .outerjoin(sessions, sessions.c.id == jobs.c.session_id)
        .where(jobs.c.state.in_([state.value for state in FINAL_JOB_STATES]))
        .where(jobs.c.id.not_in(select(schema.entries.c.id)))
        .group_by(jobs.c.owner, text("2"), text("3"))
    )
    return [*known, *connection.execute(left)]


def _day_of(when: datetime) -> int:
    return (when.astimezone(UTC).date() - _EPOCH).days


def _day(column: ColumnElement[datetime]) -> ColumnElement[int]:
    """Return the days since 1970 as an SQL expression."""
    return type_coerce(column, BigInteger).op("/")(literal(DAY_MICROSECONDS, BigInteger))


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    """Return a sum as a whole number, which is a decimal one in PostgreSQL."""
    return cast(func.sum(column), BigInteger)
