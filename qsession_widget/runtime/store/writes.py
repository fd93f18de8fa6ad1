"""The changes of the store, and the statements that make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, assert_never

import msgspec
from msgspec.structs import asdict
from sqlalchemy import bindparam, delete, insert, true, update
from sqlalchemy.exc import DBAPIError

from qsession_widget.runtime.pieces import LongText
from qsession_widget.runtime.store import listing, schema
from qsession_widget.runtime.store.database import database_of
from qsession_widget.runtime.store.statements import PreparedInsert, PreparedStatement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Table

    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.model.user import User


PARAMS, RESULT = "params", "result"
"""Kinds of long texts."""


class _Change(msgspec.Struct, frozen=True, gc=False):
    """One change of the store: all of it happens, or nothing.

    Attributes:
        refusable: a request waits for it, and can be told that it was not made.
    """

    refusable: ClassVar[bool] = False

    def keys(self) -> set[str]:
        """Return the ids of the sessions and jobs that change."""
        return set()


class AddSession(_Change, frozen=True, gc=False):
    """Add a session, with its idempotency key."""

    session: Session
    key: str | None

    refusable: ClassVar[bool] = True

    def keys(self) -> set[str]:
        """Return the session's id."""
        return {self.session.id}


class AddPieces(_Change, frozen=True, gc=False):
    """Add some pieces of a long text, which no job has yet.

    Attributes:
        first: number of the first of them.
    """

    text: LongText
    first: int
    pieces: tuple[bytes | memoryview, ...]

    refusable: ClassVar[bool] = True


class AddResultPieces(AddPieces, frozen=True, gc=False):
    """The same of a result: it has happened, and is kept whenever that can be."""

    refusable: ClassVar[bool] = False


class DropText(_Change, frozen=True, gc=False):
    """Let go of a long text that no job has, by its key; its pieces are removed by and by."""

    key: str


class AddJob(_Change, frozen=True, gc=False):
    """Add a job, with its payload's JSON text and its idempotency key.

    Attributes:
        sessions: the job's session, which changes with it.
    """

    job: Job
    params: str | LongText
    key: str | None
    sessions: tuple[Session, ...] = ()

    refusable: ClassVar[bool] = True

    def keys(self) -> set[str]:
        """Return the ids of the job and its session."""
        return _keys(self.sessions, (self.job,))


class Update(_Change, frozen=True, gc=False):
    """Change sessions and jobs; columns with what was requested never change.

    Attributes:
        result: a finished job's id and its result's text.
        can_wait: nothing depends on when this is on disk, so that it may share the commit of what
            follows. A short job's start then costs no commit of its own.
    """

    sessions: tuple[Session, ...] = ()
    jobs: tuple[Job, ...] = ()
    result: tuple[str, str | LongText] | None = None
    can_wait: bool = False

    def keys(self) -> set[str]:
        """Return the ids of all sessions and jobs, and those of the jobs' sessions."""
        return _keys(self.sessions, self.jobs)


class Retag(_Change, frozen=True, gc=False):
    """Change only the tags and the revision of a job that has ended."""

    job: Job

    def keys(self) -> set[str]:
        """Return the ids of the job and its session."""
        return _keys((), (self.job,))


class DeleteJob(_Change, frozen=True, gc=False):
    """Remove a job, with payload and result."""

    job_id: str

    def keys(self) -> set[str]:
        """Return the job's id."""
        return {self.job_id}


class DeleteResult(_Change, frozen=True, gc=False):
    """Remove the result of a job that was asked for, as of a private one."""

    job_id: str


class Prune(_Change, frozen=True, gc=False):
    """Remove the payloads and results of old jobs."""

    job_ids: tuple[str, ...]

    refusable: ClassVar[bool] = True


class FreePages(_Change, frozen=True, gc=False):
    """Return some free pages to the file system, if the database keeps them."""

    count: int

    refusable: ClassVar[bool] = True


class Sweep(_Change, frozen=True, gc=False):
    """Let the store remove some pieces of what was let go of."""

    refusable: ClassVar[bool] = True


class EmptyLog(_Change, frozen=True, gc=False):
    """Empty the write-ahead log, unless a reader still needs it."""

    refusable: ClassVar[bool] = True


class AddUser(_Change, frozen=True, gc=False):
    """Add a user."""

    user: User

    refusable: ClassVar[bool] = True


class RemoveUser(_Change, frozen=True, gc=False):
    """Remove a user by name."""

    name: str

    refusable: ClassVar[bool] = True


class SetClock(_Change, frozen=True, gc=False):
    """Keep the runtime's time, for the next runtime to go on from.

    Attributes:
        sessions: sessions whose clients are to see the new time.
    """

    now: datetime
    sessions: tuple[Session, ...] = ()

    def keys(self) -> set[str]:
        """Return the ids of the sessions."""
        return _keys(self.sessions, ())


Write = (
    AddSession
    | AddPieces
    | AddResultPieces
    | DropText
    | AddJob
    | Update
    | Retag
    | DeleteJob
    | DeleteResult
    | Prune
    | FreePages
    | Sweep
    | EmptyLog
    | AddUser
    | RemoveUser
    | SetClock
)
"""Any change of the store."""


def _keys(sessions: Iterable[Session], jobs: Iterable[Job]) -> set[str]:
    found = {session.id for session in sessions}
    for job in jobs:
        found.add(job.id)
        if job.session_id is not None:
            found.add(job.session_id)
    return found


# Columns that never change after a row was added: its identity, and what was asked for. An update
# that leaves them out leaves their indexes alone, too.
_FIXED = {
    "id",
    "owner",
    "idempotency_key",
    "backend",
    "name",
    "place",
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
    "role",
    "pruned",
}


def _by(table: Table, column: str) -> ColumnElement[bool]:
    return table.c[column] == bindparam("which")


def _change(table: Table, columns: Iterable[str]) -> PreparedStatement:
    return PreparedStatement(update(table).where(_by(table, "id")), [*columns, "which"])


def _changing(table: Table) -> list[str]:
    return [column.key for column in table.c if column.key not in _FIXED]


_ADD_SESSION = PreparedInsert(insert(schema.sessions))
_ADD_JOB = PreparedInsert(
    insert(schema.jobs), [each.name for each in schema.jobs.c if each is not schema.jobs.c.pruned]
)
_ADD_PAYLOAD = PreparedInsert(insert(schema.payloads))
_ADD_RESULT = PreparedInsert(insert(schema.results))
_ADD_TEXT = PreparedStatement(
    # With each of its pieces.
    insert(schema.long_texts),
    ("key", "size", "digest", "dropped"),
    " ON CONFLICT (key) DO NOTHING",
)
_ADD_PIECE = PreparedInsert(insert(schema.pieces))
_OWN_TEXT = PreparedStatement(
    update(schema.long_texts).where(_by(schema.long_texts, "key")), ("job_id", "kind", "which")
)
_DROP_TEXT = PreparedStatement(
    update(schema.long_texts).where(_by(schema.long_texts, "key")).values(dropped=true())
)
_DROP_OF_JOB = PreparedStatement(
    update(schema.long_texts)
    .where(_by(schema.long_texts, "job_id"))
    .where(schema.long_texts.c.kind == bindparam("of_kind"))
    .values(dropped=true())
)
_ADD_USER = PreparedInsert(insert(schema.users))
_CHANGE_SESSION = _change(schema.sessions, _changing(schema.sessions))
_CHANGE_JOB = _change(schema.jobs, _changing(schema.jobs))
_TAG_JOB = _change(schema.jobs, ("tags", "revision"))
_DELETE_PAYLOAD = PreparedStatement(delete(schema.payloads).where(_by(schema.payloads, "job_id")))
_DELETE_RESULT = PreparedStatement(delete(schema.results).where(_by(schema.results, "job_id")))
_PRUNE_JOB = PreparedStatement(
    update(schema.jobs).where(_by(schema.jobs, "id")).values(pruned=true()), ["which"]
)
_DELETE_JOB = PreparedStatement(delete(schema.jobs).where(_by(schema.jobs, "id")))
_DELETE_USER = PreparedStatement(delete(schema.users).where(_by(schema.users, "name")))
_SET_CLOCK = PreparedStatement(
    insert(schema.clock), ("id", "now"), " ON CONFLICT (id) DO UPDATE SET now = excluded.now"
)


def apply(connection: Connection, changes: Iterable[Write]) -> bool:
    """Make changes in one transaction, with the same effect as one after the other.

    Returns:
        Whether long texts may have been let go, for `long_texts.sweep`.

    Raises:
        DBAPIError: SQLAlchemy's error for that of the driver.
    """
    drops = False
    database = database_of(connection)
    try:
        with database.batch(connection):
            for run in _runs(changes):
                rows = _Rows(run)
                rows.write(connection)
                drops = drops or rows.drops
    except database.error as error:
        raise DBAPIError.instance(None, None, error, database.error) from error
    return drops


def index(connection: Connection) -> bool:
    """Make a part of the index of lists in one transaction; returns whether more is left.

    Raises:
        DBAPIError: as by `apply`.
    """
    database = database_of(connection)
    try:
        database.begin(connection)
        listing.bring_up_to_date(connection)
        return listing.has_more(connection)
    except database.error as error:
        raise DBAPIError.instance(None, None, error, database.error) from error


def _runs(changes: Iterable[Write]) -> Iterator[list[Write]]:
    """Group changes that may be made kind by kind: additions first, removals last.

    That has the same effect as one after the other, unless something is added that an earlier
    change mentions, or mentioned after it was removed. With such a change the next run begins.
    """
    run: list[Write] = []
    known: set[str] = set()
    removed: set[str] = set()
    for change in changes:
        added, gone = _added(change), _removed(change)
        mentioned = change.keys() | added | gone
        mentioned |= _texts(change)
        if not (known.isdisjoint(added) and removed.isdisjoint(mentioned)):
            yield run
            run, known, removed = [], set(), set()
        run.append(change)
        known |= mentioned
        removed |= gone
    yield run


def _texts(change: Write) -> set[str]:
    """Return the ids of the result and of the long texts that a change mentions."""
    match change:
        case AddJob(_, LongText(key=key)):
            return {key}
        case Update(_, _, (job_id, LongText(key=key))):
            return {job_id, key}
        case Update(_, _, (job_id, _)):
            return {job_id}
        case _:
            return set()


def _added(change: Write) -> set[str]:
    match change:
        case AddSession(session):
            return {session.id}
        case AddJob(job):
            return {job.id}
        case AddUser(user):
            return {user.name}
        case AddPieces(text):
            return {text.key}
        case _:
            return set()


def _removed(change: Write) -> set[str]:
    match change:
        case DeleteJob(job_id) | DeleteResult(job_id):
            return {job_id}
        case Prune(job_ids):
            return set(job_ids)
        case RemoveUser(name):
            return {name}
        case DropText(key):
            return {key}
        case _:
            return set()


class _Rows:
    """The rows of a run of changes, by statement: each row as its last change leaves it."""

    def __init__(self, run: Iterable[Write]) -> None:
        self.new_sessions: list[dict[str, Any]] = []
        self.new_jobs: list[dict[str, Any]] = []
        self.payloads: list[dict[str, str]] = []
        self.texts: list[dict[str, Any]] = []
        self.pieces: list[dict[str, Any]] = []
        self.owned: list[dict[str, str]] = []
        self.new_users: list[dict[str, Any]] = []
        self.sessions: dict[str, Session] = {}
        self.jobs: dict[str, Job] = {}
        self.tagged: dict[str, Job] = {}
        self.results: list[dict[str, str]] = []
        self.spent_results: list[str] = []
        self.spent_payloads: list[str] = []
        self.pruned_jobs: list[str] = []
        self.deleted_jobs: list[str] = []
        self.dropped: list[str] = []
        self.removed_users: list[str] = []
        self.free_pages = 0
        self.time: datetime | None = None
        for change in run:
            self._take(change)

    def _take(self, change: Write) -> None:
        match change:
            case Update(sessions, jobs, result):
                self._update(sessions, jobs, result)
            case AddJob(job, params, key, sessions):
                self.new_jobs.append(asdict(job) | {"idempotency_key": key})
                self.payloads.append(
                    {"job_id": job.id, "params": self._own(job.id, params, PARAMS)}
                )
                self._update(sessions)
            case AddPieces(text, first, pieces):
                self.texts.append(
                    {"key": text.key, "size": text.size, "digest": text.digest, "dropped": False}
                )
                self.pieces.extend(
                    {"key": text.key, "number": number, "bytes": piece}
                    for number, piece in enumerate(pieces, first)
                )
            case AddSession(session, key):
                self.new_sessions.append(_session_row(session) | {"idempotency_key": key})
            case Retag(job):
                # It leaves the rest of the job unchanged.
                self.tagged[job.id] = job
            case AddUser(user):
                self.new_users.append(vars(user))
            case SetClock(now, sessions):
                self.time = now
                self._update(sessions)
            case _:
                self._take_removal(change)

    def _take_removal(
        self,
        change: DropText
        | DeleteJob
        | DeleteResult
        | Prune
        | FreePages
        | Sweep
        | EmptyLog
        | RemoveUser,
    ) -> None:
        match change:
            case DeleteJob(job_id):
                self.deleted_jobs.append(job_id)
            case DeleteResult(job_id):
                self.spent_results.append(job_id)
            case Prune(job_ids):
                self.pruned_jobs.extend(job_ids)
                self.spent_payloads.extend(job_ids)
                self.spent_results.extend(job_ids)
            case DropText(key):
                self.dropped.append(key)
            case FreePages(count):
                self.free_pages += count
            case RemoveUser(name):
                self.removed_users.append(name)
            case EmptyLog() | Sweep():
                # Not part of the transaction: the store does them after the commit.
                pass
            case _:
                assert_never(change)

    def _update(
        self,
        sessions: Iterable[Session],
        jobs: Iterable[Job] = (),
        result: tuple[str, str | LongText] | None = None,
    ) -> None:
        for session in sessions:
            self.sessions[session.id] = session
        for job in jobs:
            self.jobs[job.id] = job
            self.tagged.pop(job.id, None)
            if job.private and job.state.final:
                # The payload of a private job is forgotten at its end, as by IBM.
                self.spent_payloads.append(job.id)
        if result is not None:
            job_id, text = result
            self.results.append({"job_id": job_id, "body": self._own(job_id, text, RESULT)})

    def _own(self, job_id: str, text: str | LongText, kind: str) -> str:
        """Return what a job's own row has of a text; a long one is in pieces, which are here."""
        if isinstance(text, str):
            return text
        self.owned.append({"which": text.key, "job_id": job_id, "kind": kind})
        return ""

    def write(self, connection: Connection) -> None:
        """Execute the statements: additions first, removals last."""
        _ADD_TEXT.run(connection, self.texts)
        _ADD_PIECE.run(connection, self.pieces)
        _ADD_SESSION.run(connection, self.new_sessions)
        _ADD_JOB.run(connection, self.new_jobs)
        _ADD_PAYLOAD.run(connection, self.payloads)
        _ADD_USER.run(connection, self.new_users)
        _CHANGE_SESSION.run(
            connection, [_session_row(each) | {"which": key} for key, each in self.sessions.items()]
        )
        _CHANGE_JOB.run(
            connection, [asdict(job) | {"which": key} for key, job in self.jobs.items()]
        )
        _TAG_JOB.run(connection, [asdict(job) | {"which": key} for key, job in self.tagged.items()])
        _ADD_RESULT.run(connection, self.results)
        _OWN_TEXT.run(connection, self.owned)
        _PRUNE_JOB.run(connection, _which(self.pruned_jobs))
        _DELETE_JOB.run(connection, _which(self.deleted_jobs))
        _DELETE_PAYLOAD.run(connection, _which(self.spent_payloads))
        _DELETE_RESULT.run(connection, _which(self.spent_results))
        self._drop(connection)
        if self.free_pages:
            database_of(connection).return_pages(connection, self.free_pages)
        _DELETE_USER.run(connection, _which(self.removed_users))
        if self.time is not None:
            _SET_CLOCK.run(connection, [{"id": 1, "now": self.time}])

    @property
    def drops(self) -> bool:
        """Whether long texts may be among what is removed."""
        return any((self.dropped, self.spent_payloads, self.spent_results, self.deleted_jobs))

    def _drop(self, connection: Connection) -> None:
        """Let go of the long texts that no job has any more."""
        _DROP_TEXT.run(connection, _which(self.dropped))
        for kind, job_ids in ((PARAMS, self.spent_payloads), (RESULT, self.spent_results)):
            ids = [*job_ids, *self.deleted_jobs]
            _DROP_OF_JOB.run(connection, [{"which": each, "of_kind": kind} for each in ids])


def _which(names: Iterable[str]) -> list[dict[str, str]]:
    return [{"which": name} for name in names]


def _session_row(session: Session) -> dict[str, Any]:
    transitions = [[state, when.isoformat()] for state, when in session.transitions]
    return asdict(session) | {"transitions": transitions}
