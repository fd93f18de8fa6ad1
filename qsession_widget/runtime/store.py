"""Durable storage: SQLite with write-ahead log, one writer thread with group commit.

A write is done when its future is: then it is on disk, even if the process or machine dies.
While the file cannot be written (disk full, locked), something new is refused, and what has
happened already is kept and tried again in its order. Reads see only what is committed, each
from one snapshot, and run on connections of their own.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import (
    Connection,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from qsession_widget.runtime import schema
from qsession_widget.runtime.devices import MOCK_PREFIX
from qsession_widget.runtime.job import Job
from qsession_widget.runtime.lifecycle import Session
from qsession_widget.runtime.registry import User
from qsession_widget.wire.states import FINAL_JOB_STATES, JobState, Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine, Row, Select, Table

T = TypeVar("T")

log = logging.getLogger(__name__)

BUSY_MILLISECONDS = 5_000
"""How long a write waits for another program that holds the file."""

RETRY_SECONDS = 1.0
"""Pause between two tries to write to a file that cannot be written."""

LINGER_SECONDS = 0.03
"""How long a change that can wait is kept for others to share its commit."""

_FINAL = [state.value for state in FINAL_JOB_STATES]


class StoreUnavailableError(Exception):
    """The file cannot be written at the moment; nothing was stored."""


class DuplicateKeyError(Exception):
    """Something was created with this idempotency key before; nothing was stored."""


class StoreUnreadableError(Exception):
    """The file is none of ours, is damaged, or was written by a newer version."""


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


@dataclass
class _Pending:
    write: Write
    done: Callable[[BaseException | None], None] = field(repr=False)


class Store:
    """Sessions and jobs in one SQLite file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._engine = _engine(path)
        try:
            self._migrate()
        except (DatabaseError, CommandError) as error:
            detail = getattr(error, "orig", None) or error
            raise StoreUnreadableError(f"the store {path} cannot be opened: {detail}") from error
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._unavailable = False
        self._writer = threading.Thread(target=self._write_loop, name="store-writer")
        self._writer.start()

    def close(self) -> None:
        """Write what is waiting, then release the file."""
        self._queue.put(None)
        self._writer.join()
        self._engine.dispose()

    def write(self, change: Write) -> asyncio.Future[None]:
        """Queue a change; the future is done when it is on disk. Changes keep their order.

        The future fails with StoreUnavailableError for something new while the file cannot be
        written, with DuplicateKeyError for something new whose idempotency key is taken, and with
        another error for a change that can never be written.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        def done(error: BaseException | None) -> None:
            loop.call_soon_threadsafe(settle, error)

        self._queue.put(_Pending(change, done))
        return future

    @property
    def available(self) -> bool:
        """Whether the last change that was tried could be written."""
        return not self._unavailable

    async def session(self, owner: str, session_id: str) -> Session | None:
        """Read one session, with the number of its jobs that have not ended."""
        return await self._read(_read_session, owner, session_id)

    async def session_by_key(self, owner: str, key: str) -> str | None:
        """Find the session that was created with an idempotency key."""
        return await self._read(_id_by_key, schema.sessions, owner, key)

    async def job_by_key(self, owner: str, key: str) -> str | None:
        """Find the job that was created with an idempotency key."""
        return await self._read(_id_by_key, schema.jobs, owner, key)

    async def job(self, owner: str, job_id: str) -> Job | None:
        """Read one job."""
        return await self._read(_read_job, owner, job_id)

    async def params(self, job_id: str) -> str | None:
        """Read a job's payload, as JSON text; None where the job was deleted."""
        table = schema.payloads
        statement = select(table.c.params).where(table.c.job_id == job_id)
        found = await self._read(_scalar, statement)
        return None if found is None else str(found)

    async def result(self, job_id: str) -> str | None:
        """Read a job's result, None where it has none."""
        table = schema.results
        statement = select(table.c.body).where(table.c.job_id == job_id)
        found = await self._read(_scalar, statement)
        return None if found is None else str(found)

    async def outcome(self, owner: str, job_id: str) -> tuple[Job, str | None] | None:
        """Read a job and its result; a private job's result is left where it is."""
        return await self._read(_read_outcome, owner, job_id)

    async def jobs(self, owner: str, wanted: JobFilter) -> tuple[list[Job], int]:
        """Read a page of an owner's jobs, and how many there are on all pages."""
        return await self._read(_read_jobs, owner, wanted)

    async def changed(
        self, owner: str, session_id: str, since: int
    ) -> tuple[Session | None, list[Job]]:
        """Read a session, and those of its jobs that changed after a revision, oldest first."""
        return await self._read(_read_changed, owner, session_id, since)

    def users(self) -> list[User]:
        """Read who was added to the runtime."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(schema.users)).mappings()
            return [User(**row) for row in rows]

    def unfinished(self) -> tuple[list[Session], list[Job], int]:
        """Read what a starting runtime goes on with: sessions, jobs, and the last revision."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            return _read_unfinished(connection)

    async def read(self, read: Callable[..., T], *arguments: Any) -> T:
        """Read by a function of a connection and arguments, away from the event loop."""
        return await self._read(read, *arguments)

    def read_at_start(self, read: Callable[..., T], *arguments: Any) -> T:
        """Read by a function of a connection and arguments, before there is an event loop."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            return read(connection, *arguments)

    async def _read(self, read: Callable[..., T], *arguments: Any) -> T:
        def run() -> T:
            with self._engine.connect() as connection:
                # One snapshot for all that is read: a job must not be seen without its session's
                # change, nor the count of a list without its items.
                connection.exec_driver_sql("BEGIN")
                return read(connection, *arguments)

        return await asyncio.to_thread(run)

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self._engine.begin() as connection:
            # Python's sqlite3 commits after each CREATE TABLE unless a transaction is open; a
            # runtime that is killed between two tables could never start again.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _write_loop(self) -> None:
        unwritten: list[_Pending] = []
        closing = False
        # Always the same connection: its page cache holds what it wrote.
        with self._engine.connect() as connection:
            while not closing:
                closing = self._collect(unwritten)
                unwritten = self._commit(connection, unwritten)
        if unwritten:
            log.error("the runtime ends, and %d changes could not be stored", len(unwritten))

    def _collect(self, unwritten: list[_Pending]) -> bool:
        """Add what is queued, and say whether that was the last; waits for something to do."""
        try:
            following = self._queue.get(timeout=RETRY_SECONDS if unwritten else None)
            deadline = time.monotonic() + LINGER_SECONDS
            while following is not None:
                unwritten.append(following)
                patient = all(pending.write.can_wait for pending in unwritten)
                left = deadline - time.monotonic() if patient else 0.0
                following = self._queue.get(timeout=max(left, 0.0))
        except queue.Empty:
            return False
        return True

    def _commit(self, connection: Connection, batch: list[_Pending]) -> list[_Pending]:
        """Commit a batch in one transaction; gives what has to be tried again, in its order.

        Where one change of several can never be written, each gets a transaction of its own.
        """
        if not batch:
            return []
        try:
            with connection.begin():
                for change in _condensed([pending.write for pending in batch]):
                    _apply(connection, change)
        except OperationalError as error:
            return self._postpone(batch, error)
        except Exception as error:  # noqa: BLE001 - whoever asked for the change gets it
            if len(batch) == 1:
                batch[0].done(_hopeless(batch[0].write, error))
                return []
            for index, pending in enumerate(batch):
                left = self._commit(connection, [pending])
                if left:
                    return [*left, *batch[index + 1 :]]
            return []
        if self._unavailable:
            log.warning("the store can be written again")
            self._unavailable = False
        for pending in batch:
            pending.done(None)
        return []

    def _postpone(self, batch: list[_Pending], error: OperationalError) -> list[_Pending]:
        """Refuse what is new, and keep what has happened until the file can be written."""
        if not self._unavailable:
            log.error("the store cannot be written, trying again and again: %s", error.orig)
            self._unavailable = True
        for pending in batch:
            if pending.write.refusable:
                pending.done(StoreUnavailableError(str(error.orig)))
        return [pending for pending in batch if not pending.write.refusable]


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", pool_size=8, max_overflow=-1)

    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        if not path.stat().st_size:
            # The first page is written with it, when the log is switched on. Later it would only
            # ask for a lock.
            cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_MILLISECONDS}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "connect", configure)
    path.touch(mode=0o600, exist_ok=True)
    return engine


_SESSION_COLUMNS = [item.name for item in fields(Session) if item.name in schema.sessions.c]
_JOB_COLUMNS = [item.name for item in fields(Job) if item.name in schema.jobs.c]


def _session_row(session: Session) -> dict[str, Any]:
    row = {name: getattr(session, name) for name in _SESSION_COLUMNS}
    row["transitions"] = [[state, when.isoformat()] for state, when in session.transitions]
    return row


def _job_row(job: Job) -> dict[str, Any]:
    return {**{name: getattr(job, name) for name in _JOB_COLUMNS}, "tags": list(job.tags)}


def _condensed(changes: list[Write]) -> list[Write]:
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


def _hopeless(change: Write, error: Exception) -> Exception:
    """Say why a change can never be stored."""
    if isinstance(error, IntegrityError) and change.refusable:
        text = str(error.orig)
        if "idempotency_key" in text:
            return DuplicateKeyError(text)
    log.error("a change cannot be stored", exc_info=error)
    return error


# Made once: putting a statement together takes about as long as running it.
_ADD_SESSION = insert(schema.sessions)
_ADD_JOB = insert(schema.jobs)
_ADD_PAYLOAD = insert(schema.payloads)
_ADD_RESULT = insert(schema.results)
_CHANGE_SESSION = update(schema.sessions).where(schema.sessions.c.id == bindparam("which"))
_CHANGE_JOB = update(schema.jobs).where(schema.jobs.c.id == bindparam("which"))
_DELETE_RESULT = delete(schema.results).where(schema.results.c.job_id == bindparam("which"))
_DELETE_JOB = delete(schema.jobs).where(schema.jobs.c.id == bindparam("which"))


def _apply(connection: Connection, change: Write) -> None:
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


def _read_session(connection: Connection, owner: str, session_id: str) -> Session | None:
    table = schema.sessions
    row = connection.execute(
        select(table).where(table.c.id == session_id).where(table.c.owner == owner)
    ).one_or_none()
    return None if row is None else _with_jobs(connection, _session_from(row))


def _read_job(connection: Connection, owner: str, job_id: str) -> Job | None:
    table = schema.jobs
    row = connection.execute(
        select(table).where(table.c.id == job_id).where(table.c.owner == owner)
    ).one_or_none()
    return None if row is None else _job_from(row)


def _read_outcome(connection: Connection, owner: str, job_id: str) -> tuple[Job, str | None] | None:
    job = _read_job(connection, owner, job_id)
    if job is None or job.private:
        return None if job is None else (job, None)
    table = schema.results
    return job, _scalar(connection, select(table.c.body).where(table.c.job_id == job_id))


def _id_by_key(connection: Connection, table: Table, owner: str, key: str) -> str | None:
    statement = (
        select(table.c.id).where(table.c.owner == owner).where(table.c.idempotency_key == key)
    )
    return connection.execute(statement).scalar_one_or_none()


def _scalar(connection: Connection, statement: Select[Any]) -> Any:
    return connection.execute(statement).scalar_one_or_none()


def _read_jobs(connection: Connection, owner: str, wanted: JobFilter) -> tuple[list[Job], int]:
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


def _read_changed(
    connection: Connection, owner: str, session_id: str, since: int
) -> tuple[Session | None, list[Job]]:
    session = _read_session(connection, owner, session_id)
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


def _read_unfinished(connection: Connection) -> tuple[list[Session], list[Job], int]:
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
