"""Queries of sessions, jobs and users; the caller provides a connection with a snapshot."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from sqlalchemy import (
    BigInteger,
    Integer,
    String,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    text,
)

from qsession_widget.runtime.device_catalog import MOCK_PREFIX
from qsession_widget.runtime.model.job import Job
from qsession_widget.runtime.model.lifecycle import Session
from qsession_widget.runtime.model.user import User
from qsession_widget.runtime.store import bitmaps, listing, long_texts, schema
from qsession_widget.runtime.store.index import Index
from qsession_widget.runtime.store.statements import PreparedSelect, each_of
from qsession_widget.runtime.store.writes import PARAMS, RESULT
from qsession_widget.wire.states import JobState, Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, RowMapping, Table

    from qsession_widget.runtime.pieces import LongText


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


_SESSION_COLUMNS = [
    schema.sessions.c[name] for name in Session.__struct_fields__ if name in schema.sessions.c
]
_ARRIVED: ColumnElement[int] = literal_column(f"jobs.{schema.ARRIVED}", Integer)
_JOB_COLUMNS = [schema.jobs.c[name] for name in Job.__struct_fields__ if name in schema.jobs.c]

# Compiled once.
_SESSION = PreparedSelect(
    select(*_SESSION_COLUMNS)
    .where(schema.sessions.c.id == bindparam("session_id"))
    .where(schema.sessions.c.owner == bindparam("owner"))
)
_UNFINISHED_JOBS = PreparedSelect(
    select(schema.jobs.c.state, func.count().label("jobs"))
    .where(schema.jobs.c.session_id == bindparam("session_id"))
    .where(text(schema.UNFINISHED))
    .group_by(schema.jobs.c.state)
)
_CHANGED_JOBS = PreparedSelect(
    select(*_JOB_COLUMNS, _ARRIVED.label("number"))
    .where(schema.jobs.c.session_id == bindparam("session_id"))
    .where(schema.jobs.c.revision > bindparam("since"))
    .order_by(schema.jobs.c.revision)
    .limit(bindparam("most"))
    # Without an offset, Core binds a value of its own.
    .offset(literal_column("0"))
)
_JOB = PreparedSelect(
    select(*_JOB_COLUMNS)
    .where(schema.jobs.c.id == bindparam("job_id"))
    .where(schema.jobs.c.owner == bindparam("owner"))
)
_PARAMS = PreparedSelect(
    select(schema.payloads.c.params).where(schema.payloads.c.job_id == bindparam("job_id"))
)
_RESULT = PreparedSelect(
    select(schema.results.c.body).where(schema.results.c.job_id == bindparam("job_id"))
)


def _listed(table: Table, columns: Sequence[ColumnElement[Any]]) -> PreparedSelect:
    numbers = each_of(bindparam("numbers", type_=String)).table_valued("value")
    entries = schema.entries
    return PreparedSelect(
        select(*columns, entries.c.number.label("entry"))
        .select_from(numbers)
        .join(entries, entries.c.number == cast(numbers.c.value, BigInteger))
        .join(table, table.c.id == entries.c.id)
    )


_LISTED_JOBS = _listed(schema.jobs, _JOB_COLUMNS)
_LISTED_SESSIONS = _listed(schema.sessions, _SESSION_COLUMNS)

# One look into the index of jobs for each session: the last revision of all is not in an index.
_LAST_REVISION = """
SELECT max(revision) FROM (
    SELECT max(revision) AS revision FROM sessions
    UNION ALL SELECT max(revision) FROM jobs WHERE session_id IS NULL
    UNION ALL SELECT (SELECT max(revision) FROM jobs WHERE session_id = sessions.id) FROM sessions
) AS last
"""


def _session_from(row: Mapping[str, Any] | RowMapping) -> Session:
    transitions = tuple(
        (SessionState(state), datetime.fromisoformat(when)) for state, when in row["transitions"]
    )
    read = {
        "mode": Mode(row["mode"]),
        "state": SessionState(row["state"]),
        "transitions": transitions,
        "processes": tuple(row["processes"]),
    }
    return Session(**{**row, **read})


def _job_from(row: Mapping[str, Any] | RowMapping) -> Job:
    return Job(**{**row, "state": JobState(row["state"]), "tags": tuple(row["tags"])})


def _with_jobs(connection: Connection, session: Session) -> Session:
    found = _UNFINISHED_JOBS.rows(connection, session_id=session.id)
    unfinished = {row["state"]: row["jobs"] for row in found}
    return replace(
        session,
        queued=unfinished.get(JobState.QUEUED, 0),
        running=unfinished.get(JobState.RUNNING, 0),
    )


def read_session(connection: Connection, owner: str, session_id: str) -> Session | None:
    """Read one session, with the numbers of its unfinished jobs."""
    row = _SESSION.row(connection, owner=owner, session_id=session_id)
    return None if row is None else _with_jobs(connection, _session_from(row))


def read_job(connection: Connection, owner: str, job_id: str) -> Job | None:
    """Read one job."""
    row = _JOB.row(connection, owner=owner, job_id=job_id)
    return None if row is None else _job_from(row)


def read_outcome(
    connection: Connection, owner: str, job_id: str
) -> tuple[Job, str | LongText | None] | None:
    """Read a job and its result; the result of a private job is not read."""
    job = read_job(connection, owner, job_id)
    if job is None or job.private:
        return None if job is None else (job, None)
    return job, result(connection, job_id)


def id_by_key(connection: Connection, table: Table, owner: str, key: str) -> str | None:
    """Return the id of the session or job that an idempotency key created."""
    statement = (
        select(table.c.id).where(table.c.owner == owner).where(table.c.idempotency_key == key)
    )
    return connection.execute(statement).scalar_one_or_none()


def ids(connection: Connection, owner: str, kind: str, prefix: str, most: int) -> list[str]:
    """Return the ids of an owner's sessions or jobs that begin with a prefix, in order."""
    table = schema.sessions if kind == "session" else schema.jobs
    statement = (
        select(table.c.id)
        .where(table.c.id >= prefix, table.c.id < prefix + chr(sys.maxunicode))
        .where(table.c.owner == owner)
        .order_by(table.c.id)
        .limit(most)
    )
    return list(connection.execute(statement).scalars())


def params(connection: Connection, job_id: str) -> str | LongText | None:
    """Read a job's payload, as JSON text; of a long one only what it is."""
    return long_texts.find(connection, _PARAMS.scalar(connection, job_id=job_id), job_id, PARAMS)


def result(connection: Connection, job_id: str) -> str | LongText | None:
    """Read a job's result; of a long one only what it is."""
    return long_texts.find(connection, _RESULT.scalar(connection, job_id=job_id), job_id, RESULT)


def params_in_pieces(connection: Connection, job_id: str) -> Sequence[bytes | memoryview] | None:
    """Read a job's long payload."""
    return long_texts.read(connection, _PARAMS.scalar(connection, job_id=job_id), job_id, PARAMS)


def result_in_pieces(connection: Connection, job_id: str) -> Sequence[bytes | memoryview] | None:
    """Read a job's long result."""
    return long_texts.read(connection, _RESULT.scalar(connection, job_id=job_id), job_id, RESULT)


def read_jobs(connection: Connection, owner: str, wanted: JobFilter) -> tuple[list[Job], int]:
    """Read a page of an owner's jobs, and the number of jobs on all pages."""
    index = Index(connection, owner)
    found = index.facet(listing.JOBS)
    for beginning, value in (
        (listing.BACKEND, wanted.backend),
        (listing.SESSION, wanted.session_id),
        (listing.PROGRAM, wanted.program_id),
    ):
        if value is not None:
            found = bitmaps.both(found, index.facet(beginning + value))
    for tag in wanted.tags:
        found = bitmaps.both(found, index.facet(listing.TAG + tag))
    if not wanted.mocks:
        found = bitmaps.without(found, index.facets(listing.BACKEND + MOCK_PREFIX))
    if wanted.pending is not None:
        unfinished = index.facet(listing.UNFINISHED)
        found = (bitmaps.both if wanted.pending else bitmaps.without)(found, unfinished)
    found = index.created(found, wanted.created_after, wanted.created_before)
    numbers = bitmaps.page(found, wanted.offset, wanted.limit, ascending=wanted.ascending)
    jobs = read_listed_jobs(connection, numbers)
    # A job that was deleted while the store could not be written is in the index still.
    return [jobs[number] for number in numbers if number in jobs], bitmaps.count(found)


def read_listed_jobs(connection: Connection, numbers: Sequence[int]) -> dict[int, Job]:
    """Read jobs by their numbers in the index of lists; numbers of sessions are left out."""
    rows = _LISTED_JOBS.rows(connection, numbers=json.dumps(numbers)) if numbers else []
    return {row.pop("entry"): _job_from(row) for row in rows}


def read_listed_sessions(connection: Connection, numbers: Sequence[int]) -> dict[int, Session]:
    """Read sessions by their numbers in the index of lists, without counting their jobs."""
    rows = _LISTED_SESSIONS.rows(connection, numbers=json.dumps(numbers)) if numbers else []
    return {row.pop("entry"): _session_from(row) for row in rows}


def read_changed(
    connection: Connection, owner: str, session_id: str, since: int, most: int
) -> tuple[Session | None, list[Job]]:
    """Read a session, and at most so many of its jobs that changed after a revision, in order."""
    session = read_session(connection, owner, session_id)
    if session is None:
        return None, []
    changed = _CHANGED_JOBS.rows(connection, session_id=session_id, since=since, most=most)
    return session, [_job_from(row) for row in changed]


def read_unfinished(connection: Connection) -> tuple[list[Session], list[Job], int]:
    """Read the unfinished sessions and jobs, and the last revision."""
    sessions = [
        _with_jobs(connection, _session_from(row))
        for row in connection.execute(select(*_SESSION_COLUMNS).where(text(schema.OPEN))).mappings()
    ]
    table = schema.jobs
    jobs = [
        _job_from(row)
        for row in connection.execute(
            select(*_JOB_COLUMNS)
            .where(text(schema.UNFINISHED))
            .order_by(table.c.created_at, _ARRIVED)
        ).mappings()
    ]
    return sessions, jobs, last_revision(connection)


def last_revision(connection: Connection) -> int:
    """Return the revision of the last change in the store, 0 for an empty one."""
    return connection.exec_driver_sql(_LAST_REVISION).scalar_one() or 0


def read_users(connection: Connection) -> list[User]:
    """Read the users that were added to the runtime."""
    return [User(**row) for row in connection.execute(select(schema.users)).mappings()]
