"""What is written to the store, and by which statements."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, update

from qsession_widget.runtime import schema
from qsession_widget.runtime.job import Job
from qsession_widget.runtime.lifecycle import Session

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from qsession_widget.runtime.registry import User


@dataclass(frozen=True)
class Write:
    """One change of the store: all of it happens, or nothing.

    Attributes:
        new_session: a session to add, with its idempotency key.
        new_job: a job to add, with its payload's JSON text and its idempotency key.
        sessions: sessions that changed.
        jobs: jobs that changed.
        retagged: a job that has ended, of which nothing but tags and revision change.
        result: a finished job's id and its result's text.
        deleted_job: a job to remove, with payload and result.
        clock: the runtime's time, to be gone on from.
        spent_result: a job whose result is to be removed.
        new_user: somebody to add.
        removed_user: name of somebody to remove.
        can_wait: nothing depends on when it is on disk, so that it may share the commit of what
            follows. A short job's start then costs no commit of its own.
        spent: jobs whose params and results are to be removed.
        freed_pages: how many pages that are free to give back to the file system.
    """

    new_session: tuple[Session, str | None] | None = None
    new_job: tuple[Job, str, str | None] | None = None
    sessions: tuple[Session, ...] = ()
    jobs: tuple[Job, ...] = ()
    retagged: Job | None = None
    result: tuple[str, str] | None = None
    deleted_job: str | None = None
    spent_result: str | None = None
    new_user: User | None = None
    removed_user: str | None = None
    can_wait: bool = False
    clock: datetime | None = None
    spent: tuple[str, ...] = ()
    freed_pages: int = 0

    @property
    def refusable(self) -> bool:
        """Whether somebody asks for it who can be told that it was not done."""
        asked = (self.new_session, self.new_job, self.new_user, self.removed_user)
        return any(each is not None for each in asked) or bool(self.spent or self.freed_pages)

    def keys(self) -> set[str]:
        """Ids of the sessions and jobs that change."""
        others = (self.new_job[0] if self.new_job else None, self.retagged)
        jobs = (*self.jobs, *(job for job in others if job is not None))
        sessions = (*self.sessions, *((self.new_session[0],) if self.new_session else ()))
        found = {job.id for job in jobs} | {session.id for session in sessions}
        found |= {job.session_id for job in jobs if job.session_id is not None}
        return found | ({self.deleted_job} if self.deleted_job is not None else set())


_SESSION_COLUMNS = [item.name for item in fields(Session) if item.name in schema.sessions.c]
_JOB_COLUMNS = [item.name for item in fields(Job) if item.name in schema.jobs.c]


def _session_row(session: Session) -> dict[str, Any]:
    row = {name: getattr(session, name) for name in _SESSION_COLUMNS}
    row["transitions"] = [[state, when.isoformat()] for state, when in session.transitions]
    return row


def _job_row(job: Job) -> dict[str, Any]:
    return {**{name: getattr(job, name) for name in _JOB_COLUMNS}, "tags": list(job.tags)}


def condensed(changes: list[Write]) -> list[Write]:
    """Leave out what a later change of the same transaction overwrites: rows are written whole."""
    jobs = {job.id: number for number, change in enumerate(changes) for job in change.jobs}
    sessions = {
        each.id: number for number, change in enumerate(changes) for each in change.sessions
    }
    return [
        replace(
            change,
            jobs=tuple(job for job in change.jobs if jobs[job.id] == number),
            sessions=tuple(each for each in change.sessions if sessions[each.id] == number),
        )
        for number, change in enumerate(changes)
    ]


# Made once: putting a statement together takes about as long as running it.
_ADD_SESSION = insert(schema.sessions)
_ADD_JOB = insert(schema.jobs)
_ADD_PAYLOAD = insert(schema.payloads)
_ADD_RESULT = insert(schema.results)
_CHANGE_SESSION = update(schema.sessions).where(schema.sessions.c.id == bindparam("which"))
_CHANGE_JOB = update(schema.jobs).where(schema.jobs.c.id == bindparam("which"))
_DELETE_RESULT = delete(schema.results).where(schema.results.c.job_id == bindparam("which"))
_DELETE_JOB = delete(schema.jobs).where(schema.jobs.c.id == bindparam("which"))


def apply(connection: Connection, change: Write) -> None:
    """Make a change, in a transaction that is open."""
    _add(connection, change)
    run = connection.execute
    for session in change.sessions:
        run(_CHANGE_SESSION, {**_session_row(session), "which": session.id})
    for job in change.jobs:
        run(_CHANGE_JOB, {**_job_row(job), "which": job.id})
    if change.retagged is not None:
        job = change.retagged
        run(_CHANGE_JOB, {"tags": list(job.tags), "revision": job.revision, "which": job.id})
    if change.result is not None:
        job_id, body = change.result
        run(_ADD_RESULT, {"job_id": job_id, "body": body})
    _remove(connection, change)


def _add(connection: Connection, change: Write) -> None:
    run = connection.execute
    if change.new_session is not None:
        session, key = change.new_session
        run(_ADD_SESSION, {**_session_row(session), "idempotency_key": key})
    if change.new_job is not None:
        job, params, key = change.new_job
        run(_ADD_JOB, {**_job_row(job), "idempotency_key": key})
        run(_ADD_PAYLOAD, {"job_id": job.id, "params": params})
    if change.new_user is not None:
        run(insert(schema.users), asdict(change.new_user))


def _remove(connection: Connection, change: Write) -> None:
    run = connection.execute
    if change.spent_result is not None:
        run(_DELETE_RESULT, {"which": change.spent_result})
    if change.deleted_job is not None:
        run(_DELETE_JOB, {"which": change.deleted_job})
    if change.spent:
        for table in (schema.payloads, schema.results):
            run(delete(table).where(table.c.job_id.in_(change.spent)))
    for _ in range(change.freed_pages):
        # Python's sqlite3 takes one step of a statement without rows, and each step frees one page.
        connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
    if change.removed_user is not None:
        table = schema.users
        run(delete(table).where(table.c.name == change.removed_user))
    if change.clock is not None:
        run(delete(schema.clock))
        run(insert(schema.clock), {"id": 1, "now": change.clock})
