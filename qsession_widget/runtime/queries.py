"""What is read of the store: sessions and jobs, each read on the connection of one snapshot."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from qsession_widget.runtime import schema
from qsession_widget.runtime.devices import MOCK_PREFIX
from qsession_widget.runtime.job import Job
from qsession_widget.runtime.lifecycle import Session
from qsession_widget.runtime.registry import User
from qsession_widget.wire.states import FINAL_JOB_STATES, JobState, Mode, SessionState

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Table

_FINAL = [state.value for state in FINAL_JOB_STATES]


@dataclass(frozen=True)
class JobFilter:
    """Which jobs of an owner to list; None means any."""

    backend: str | None = None
    session_id: str | None = None
    program_id: str | None = None
    pending: bool | None = None
    tags: tuple[str, ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None
    mocks: bool = True
    ascending: bool = False
    limit: int = 20
    offset: int = 0


_SESSION_COLUMNS = [item.name for item in fields(Session) if item.name in schema.sessions.c]
_JOB_COLUMNS = [item.name for item in fields(Job) if item.name in schema.jobs.c]


def _session_from(row: Row[Any]) -> Session:
    from_row = {name: getattr(row, name) for name in _SESSION_COLUMNS}
    from_row["mode"] = Mode(row.mode)
    from_row["state"] = SessionState(row.state)
    from_row["transitions"] = tuple(
        (SessionState(state), datetime.fromisoformat(when)) for state, when in row.transitions
    )
    return Session(**from_row)


def _job_from(row: Row[Any]) -> Job:
    from_row = {name: getattr(row, name) for name in _JOB_COLUMNS}
    from_row["state"] = JobState(row.state)
    from_row["tags"] = tuple(row.tags)
    return Job(**from_row)


def _with_jobs(connection: Connection, session: Session) -> Session:
    table = schema.jobs
    found = connection.execute(
        select(table.c.state, func.count())
        .where(table.c.session_id == session.id)
        .where(table.c.state.not_in(_FINAL))
        .group_by(table.c.state)
    )
    live = {JobState(state): count for state, count in found}
    return replace(
        session, queued=live.get(JobState.QUEUED, 0), running=live.get(JobState.RUNNING, 0)
    )


def read_session(connection: Connection, owner: str, session_id: str) -> Session | None:
    """Read one session, with the number of its jobs that have not ended."""
    table = schema.sessions
    row = connection.execute(
        select(table).where(table.c.id == session_id).where(table.c.owner == owner)
    ).one_or_none()
    return None if row is None else _with_jobs(connection, _session_from(row))


def read_job(connection: Connection, owner: str, job_id: str) -> Job | None:
    """Read one job."""
    table = schema.jobs
    row = connection.execute(
        select(table).where(table.c.id == job_id).where(table.c.owner == owner)
    ).one_or_none()
    return None if row is None else _job_from(row)


def read_outcome(connection: Connection, owner: str, job_id: str) -> tuple[Job, str | None] | None:
    """Read a job and its result; a private job's result is left where it is."""
    job = read_job(connection, owner, job_id)
    if job is None or job.private:
        return None if job is None else (job, None)
    return job, result(connection, job_id)


def id_by_key(connection: Connection, table: Table, owner: str, key: str) -> str | None:
    """Find what was created with an idempotency key."""
    statement = (
        select(table.c.id).where(table.c.owner == owner).where(table.c.idempotency_key == key)
    )
    return connection.execute(statement).scalar_one_or_none()


def params(connection: Connection, job_id: str) -> str | None:
    """Read a job's payload, as JSON text."""
    table = schema.payloads
    statement = select(table.c.params).where(table.c.job_id == job_id)
    return connection.execute(statement).scalar_one_or_none()


def result(connection: Connection, job_id: str) -> str | None:
    """Read a job's result."""
    table = schema.results
    statement = select(table.c.body).where(table.c.job_id == job_id)
    return connection.execute(statement).scalar_one_or_none()


def read_jobs(connection: Connection, owner: str, wanted: JobFilter) -> tuple[list[Job], int]:
    """Read a page of an owner's jobs, and how many there are on all pages."""
    table = schema.jobs
    where = [table.c.owner == owner]
    for name in ("backend", "session_id", "program_id"):
        value = getattr(wanted, name)
        if value is not None:
            where.append(table.c[name] == value)
    if not wanted.mocks:
        where.append(~table.c.backend.startswith(MOCK_PREFIX, autoescape=True))
    if wanted.pending is not None:
        final = table.c.state.in_(_FINAL)
        where.append(~final if wanted.pending else final)
    if wanted.created_after is not None:
        where.append(table.c.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        where.append(table.c.created_at <= wanted.created_before)
    for tag in wanted.tags:
        each = func.json_each(table.c.tags).table_valued("value")
        where.append(select(each.c.value).where(each.c.value == tag).exists())
    total = connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()
    order = [table.c.created_at, table.c.id]
    statement = (
        select(table)
        .where(*where)
        .order_by(*(order if wanted.ascending else [column.desc() for column in order]))
        .limit(wanted.limit)
        .offset(wanted.offset)
    )
    return [_job_from(row) for row in connection.execute(statement)], total


def read_changed(
    connection: Connection, owner: str, session_id: str, since: int
) -> tuple[Session | None, list[Job]]:
    """Read a session, and those of its jobs that changed after a revision, oldest first."""
    session = read_session(connection, owner, session_id)
    if session is None:
        return None, []
    table = schema.jobs
    statement = (
        select(table)
        .where(table.c.session_id == session_id)
        .where(table.c.revision > since)
        .order_by(table.c.created_at, table.c.id)
    )
    return session, [_job_from(row) for row in connection.execute(statement)]


def read_unfinished(connection: Connection) -> tuple[list[Session], list[Job], int]:
    """Read what a starting runtime goes on with: sessions, jobs, and the last revision."""
    closed = SessionState.CLOSED.value
    sessions = [
        _with_jobs(connection, _session_from(row))
        for row in connection.execute(
            select(schema.sessions).where(schema.sessions.c.state != closed)
        )
    ]
    table = schema.jobs
    jobs = [
        _job_from(row)
        for row in connection.execute(
            select(table)
            .where(table.c.state.not_in(_FINAL))
            .order_by(table.c.created_at, table.c.id)
        )
    ]
    last = max(
        connection.execute(select(func.max(each.c.revision))).scalar_one() or 0
        for each in (schema.sessions, schema.jobs)
    )
    return sessions, jobs, last


def read_users(connection: Connection) -> list[User]:
    """Read who was added to the runtime."""
    return [User(**row) for row in connection.execute(select(schema.users)).mappings()]
