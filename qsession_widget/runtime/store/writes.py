"""What is written to the store, and by which statements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict
from sqlalchemy import bindparam, delete, insert, update

from qsession_widget.runtime.store import schema
from qsession_widget.runtime.store.statements import PreparedStatement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Table

    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.model.user import User


@dataclass(frozen=True)
class Write:
    """One change of the store: all of it happens, or nothing.

    Attributes:
        new_session: a session to add, with its idempotency key.
        new_job: a job to add, with its payload's JSON text and its idempotency key.
        sessions: sessions that changed.
        jobs: jobs that changed; what they were asked to be stays as it was added.
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
        empties_log: the write-ahead log is to be emptied after it, if no reader needs it.
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
    empties_log: bool = False

    @property
    def refusable(self) -> bool:
        """Whether somebody asks for it who can be told that it was not done."""
        asked = (self.new_session, self.new_job, self.new_user, self.removed_user)
        removes = bool(self.spent or self.freed_pages or self.empties_log)
        return removes or any(each is not None for each in asked)

    def keys(self) -> set[str]:
        """Ids of the sessions and jobs that change."""
        others = (self.new_job[0] if self.new_job else None, self.retagged)
        jobs = (*self.jobs, *(job for job in others if job is not None))
        sessions = (*self.sessions, *((self.new_session[0],) if self.new_session else ()))
        found = {job.id for job in jobs} | {session.id for session in sessions}
        found |= {job.session_id for job in jobs if job.session_id is not None}
        return found | ({self.deleted_job} if self.deleted_job is not None else set())


# A row's identity, and what it was asked to be, stay as they were added. So do its indexes, but for
# those of what changes.
_FIXED = {
    "id",
    "owner",
    "idempotency_key",
    "backend",
    "program_id",
    "session_id",
    "mode",
    "created_at",
    "cost_seconds",
    "optimization_level",
    "private",
    "image",
    "log_level",
    "pubs",
}


def _by(table: Table, column: str) -> ColumnElement[bool]:
    return table.c[column] == bindparam("which")


def _change(table: Table, columns: Iterable[str]) -> PreparedStatement:
    return PreparedStatement(update(table).where(_by(table, "id")), [*columns, "which"])


def _changing(table: Table) -> list[str]:
    # By itself it gives columns.
    return [name for name in table.c.keys() if name not in _FIXED]  # noqa: SIM118 - see above


_ADD_SESSION = PreparedStatement(insert(schema.sessions))
_ADD_JOB = PreparedStatement(insert(schema.jobs))
_ADD_PAYLOAD = PreparedStatement(insert(schema.payloads))
_ADD_RESULT = PreparedStatement(insert(schema.results))
_ADD_USER = PreparedStatement(insert(schema.users))
_CHANGE_SESSION = _change(schema.sessions, _changing(schema.sessions))
_CHANGE_JOB = _change(schema.jobs, _changing(schema.jobs))
_TAG_JOB = _change(schema.jobs, ("tags", "revision"))
_DELETE_PAYLOAD = PreparedStatement(delete(schema.payloads).where(_by(schema.payloads, "job_id")))
_DELETE_RESULT = PreparedStatement(delete(schema.results).where(_by(schema.results, "job_id")))
_DELETE_JOB = PreparedStatement(delete(schema.jobs).where(_by(schema.jobs, "id")))
_DELETE_USER = PreparedStatement(delete(schema.users).where(_by(schema.users, "name")))
_SET_CLOCK = PreparedStatement(insert(schema.clock).prefix_with("OR REPLACE"))


def apply(connection: Connection, changes: Iterable[Write]) -> None:
    """Make changes in one transaction, with the same effect as one after the other."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    for run in _runs(changes):
        _add(connection, run)
        _change_rows(connection, run)
        _ADD_RESULT.run(
            connection,
            [
                {"job_id": change.result[0], "body": change.result[1]}
                for change in run
                if change.result is not None
            ],
        )
        _remove(connection, run)


def _runs(changes: Iterable[Write]) -> Iterator[list[Write]]:
    """Group what may be done kind by kind: what is new at first, and what goes at last.

    That is the same as one after the other unless something is added that was spoken of before, or
    spoken of after it was removed. With such a change the next run begins.
    """
    run: list[Write] = []
    known: set[str] = set()
    removed: set[str] = set()
    for change in changes:
        added, gone = _added(change), _removed(change)
        mentioned = change.keys() | added | gone
        if change.result is not None:
            mentioned.add(change.result[0])
        if not (known.isdisjoint(added) and removed.isdisjoint(mentioned)):
            yield run
            run, known, removed = [], set(), set()
        run.append(change)
        known |= mentioned
        removed |= gone
    yield run


def _added(change: Write) -> set[str]:
    found = set()
    if change.new_session is not None:
        found.add(change.new_session[0].id)
    if change.new_job is not None:
        found.add(change.new_job[0].id)
    if change.new_user is not None:
        found.add(change.new_user.name)
    return found


def _removed(change: Write) -> set[str]:
    one_by_one = (change.deleted_job, change.spent_result, change.removed_user)
    return {*change.spent, *(each for each in one_by_one if each is not None)}


def _add(connection: Connection, run: list[Write]) -> None:
    sessions = [change.new_session for change in run if change.new_session is not None]
    jobs = [change.new_job for change in run if change.new_job is not None]
    _ADD_SESSION.run(
        connection, [_session_row(session) | {"idempotency_key": key} for session, key in sessions]
    )
    _ADD_JOB.run(connection, [asdict(job) | {"idempotency_key": key} for job, _, key in jobs])
    _ADD_PAYLOAD.run(connection, [{"job_id": job.id, "params": params} for job, params, _ in jobs])
    _ADD_USER.run(
        connection, [vars(change.new_user) for change in run if change.new_user is not None]
    )


def _change_rows(connection: Connection, run: list[Write]) -> None:
    """Write each row as its last change leaves it; a change of tags leaves the rest alone."""
    sessions: dict[str, Session] = {}
    jobs: dict[str, Job] = {}
    tagged: dict[str, Job] = {}
    for change in run:
        sessions |= {session.id: session for session in change.sessions}
        for job in change.jobs:
            jobs[job.id] = job
            tagged.pop(job.id, None)
        if change.retagged is not None:
            tagged[change.retagged.id] = change.retagged
    _CHANGE_SESSION.run(
        connection, [_session_row(session) | {"which": key} for key, session in sessions.items()]
    )
    _CHANGE_JOB.run(connection, [asdict(job) | {"which": key} for key, job in jobs.items()])
    _TAG_JOB.run(connection, [asdict(job) | {"which": key} for key, job in tagged.items()])


def _remove(connection: Connection, run: list[Write]) -> None:
    def which(names: Iterable[str | None]) -> list[dict[str, str]]:
        return [{"which": name} for name in names if name is not None]

    _DELETE_RESULT.run(connection, which(change.spent_result for change in run))
    _DELETE_JOB.run(connection, which(change.deleted_job for change in run))
    # What a private job was given is forgotten at its end, as by IBM.
    private = which(
        job.id for change in run for job in change.jobs if job.private and job.state.final
    )
    _DELETE_PAYLOAD.run(connection, private)
    spent = which(job_id for change in run for job_id in change.spent)
    _DELETE_PAYLOAD.run(connection, spent)
    _DELETE_RESULT.run(connection, spent)
    for _ in range(sum(change.freed_pages for change in run)):
        # Python's sqlite3 takes one step of a statement without rows, and each step frees one page.
        connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
    _DELETE_USER.run(connection, which(change.removed_user for change in run))
    times = [change.clock for change in run if change.clock is not None]
    _SET_CLOCK.run(connection, [{"id": 1, "now": now} for now in times[-1:]])


def _session_row(session: Session) -> dict[str, Any]:
    transitions = [[state, when.isoformat()] for state, when in session.transitions]
    return asdict(session) | {"transitions": transitions}
