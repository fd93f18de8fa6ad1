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
from collections import deque
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from alembic.util.exc import CommandError
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from qsession_widget.runtime.store import queries
from qsession_widget.runtime.store.database import migrate, open_engine
from qsession_widget.runtime.store.fair_queue import FairQueue
from qsession_widget.runtime.store.queries import JobFilter
from qsession_widget.runtime.store.statements import driver
from qsession_widget.runtime.store.writes import EmptyLog, Update, Write, apply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.model.user import User

__all__ = [
    "DuplicateKeyError",
    "JobFilter",
    "Store",
    "StoreClosedError",
    "StoreUnavailableError",
    "StoreUnreadableError",
]

T = TypeVar("T")

log = logging.getLogger(__name__)

BUSY_MILLISECONDS = 5_000
"""How long a write waits for another program that holds the file."""

RETRY_SECONDS = 1.0
"""Pause between two tries to write to a file that cannot be written."""

LINGER_SECONDS = 0.03
"""How long a change that can wait is kept for others to share its commit."""

READERS = 4
"""Threads that read what is found at once, by its id."""

LISTERS = 2
"""Threads that read what may take long: lists and sums over all that there is."""


class StoreUnavailableError(Exception):
    """The file cannot be written at the moment; nothing was stored."""


class StoreClosedError(StoreUnavailableError, RuntimeError):
    """The runtime ends; nothing was stored or read."""

    def __init__(self) -> None:
        super().__init__("the store is closed: the runtime ends")


class DuplicateKeyError(Exception):
    """Something was created with this idempotency key before; nothing was stored."""


class StoreUnreadableError(Exception):
    """The file is none of ours, is damaged, or was written by a newer version."""


@dataclass
class _Pending:
    """A change, and who waits until it is on disk, or for the reason why it never will be."""

    write: Write
    future: asyncio.Future[None] = field(repr=False)
    loop: asyncio.AbstractEventLoop = field(repr=False)


@dataclass
class _Question:
    """Something to read, and who waits for it."""

    read: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Store:
    """Sessions and jobs in one SQLite file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._engine = open_engine(path, BUSY_MILLISECONDS)
        try:
            migrate(self._engine)
        except (DatabaseError, CommandError) as error:
            detail = getattr(error, "orig", None) or error
            raise StoreUnreadableError(f"the store {path} cannot be opened: {detail}") from error
        self._questions: FairQueue[_Question] = FairQueue()
        self._long_questions: FairQueue[_Question] = FairQueue()
        self._readers = [
            threading.Thread(
                target=self._read_loop,
                args=(self._engine.connect(), questions),
                name=f"store-reader-{number}",
            )
            for number, questions in enumerate(
                [self._questions] * READERS + [self._long_questions] * LISTERS
            )
        ]
        self._given: deque[_Pending] = deque()
        self._announced_in: asyncio.AbstractEventLoop | None = None
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._unavailable = False
        self._writer = threading.Thread(target=self._write_loop, name="store-writer")
        self._closed = self._ended = False
        for thread in (self._writer, *self._readers):
            thread.start()

    def close(self) -> None:
        """Write what is waiting and read what is asked for, then release the file."""
        self._closed = True
        self._calls.put(False)
        for _ in range(READERS):
            self._questions.end()
        for _ in range(LISTERS):
            self._long_questions.end()
        for thread in (self._writer, *self._readers):
            thread.join()
        self._ended = True
        self._refuse_late()
        self._engine.dispose()

    def _refuse_late(self) -> None:
        """Answer what came when nobody was there any more to do it."""
        with suppress(IndexError):
            while True:
                _settle([(self._given.popleft(), StoreClosedError())])
        for late in (*self._questions.drain(), *self._long_questions.drain()):
            _tell(late.loop, [(late.future, None, StoreClosedError())])

    def write(self, change: Write) -> asyncio.Future[None]:
        """Queue a change; the future is done when it is on disk. Changes keep their order.

        The future fails with StoreUnavailableError for something new while the file cannot be
        written, with DuplicateKeyError for something new whose idempotency key is taken, and with
        another error for a change that can never be written. Once the store is closed, it fails
        with StoreClosedError, whatever the change is.
        """
        loop = asyncio.get_running_loop()
        pending = _Pending(change, loop.create_future(), loop)
        self._given.append(pending)
        if self._ended:
            self._refuse_late()
            return pending.future
        if self._announced_in is not loop:
            # The writer is called once for all that this turn of the loop gives: they share a
            # commit, and the writer and the loop stand less in each other's way.
            self._announced_in = loop
            loop.call_soon(self._call_writer)
        return pending.future

    def _call_writer(self) -> None:
        self._announced_in = None
        self._calls.put(True)

    @property
    def available(self) -> bool:
        """Whether the last change that was tried could be written."""
        return not self._unavailable

    async def session(self, owner: str, session_id: str) -> Session | None:
        """Read one session, with the number of its jobs that have not ended."""
        return await self._read(owner, queries.read_session, owner, session_id)

    async def job(self, owner: str, job_id: str) -> Job | None:
        """Read one job."""
        return await self._read(owner, queries.read_job, owner, job_id)

    async def params(self, job_id: str) -> str | None:
        """Read a job's payload, as JSON text; None where the job was deleted."""
        return await self._read("", queries.params, job_id)

    async def result(self, job_id: str) -> str | None:
        """Read a job's result, None where it has none."""
        return await self._read("", queries.result, job_id)

    async def outcome(self, owner: str, job_id: str) -> tuple[Job, str | None] | None:
        """Read a job and its result; a private job's result is left where it is."""
        return await self._read(owner, queries.read_outcome, owner, job_id)

    async def jobs(self, owner: str, wanted: JobFilter) -> tuple[list[Job], int]:
        """Read a page of an owner's jobs, and how many there are on all pages."""
        return await self.read(queries.read_jobs, owner, wanted, who=owner)

    async def changed(
        self, owner: str, session_id: str, since: int, most: int
    ) -> tuple[Session | None, list[Job]]:
        """Read a session, and of its jobs that changed after a revision so many, in that order."""
        return await self._read(owner, queries.read_changed, owner, session_id, since, most)

    def users(self) -> list[User]:
        """Read who was added to the runtime."""
        return self.read_at_start(queries.read_users)

    def unfinished(self) -> tuple[list[Session], list[Job], int]:
        """Read what a starting runtime goes on with: sessions, jobs, and the last revision."""
        return self.read_at_start(queries.read_unfinished)

    async def read(self, read: Callable[..., T], *arguments: Any, who: str = "") -> T:
        """Read what may take long, by a function of a connection and arguments.

        Args:
            read: the function.
            arguments: besides the connection.
            who: asks for it; users take turns. Without a name it is the runtime itself.
        """
        return await self._ask(self._long_questions, who, lambda each: read(each, *arguments))

    def read_at_start(self, read: Callable[..., T], *arguments: Any) -> T:
        """Read by a function of a connection and arguments, before there is an event loop."""
        with self._engine.connect() as connection, _snapshot(connection):
            return read(connection, *arguments)

    async def _read(self, who: str, read: Callable[..., T], *arguments: Any) -> T:
        return await self._ask(self._questions, who, lambda each: read(each, *arguments))

    async def _ask(
        self, questions: FairQueue[_Question], who: str, read: Callable[[Connection], T]
    ) -> T:
        if self._closed:
            raise StoreClosedError
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        questions.put(who, _Question(read, future, loop))
        if self._ended:
            self._refuse_late()
        return await future

    def _read_loop(self, connection: Connection, questions: FairQueue[_Question]) -> None:
        with connection:
            while self._answer(connection, questions.get()):
                # What was found is not kept until the next question.
                pass

    def _answer(self, connection: Connection, question: _Question | None) -> bool:
        """Read what is asked for, and say whether to go on."""
        if question is None:
            return False
        try:
            with _snapshot(connection):
                answer = question.read(connection)
        except Exception as error:  # noqa: BLE001 - whoever asked for it gets it
            _tell(question.loop, [(question.future, None, error)])
        else:
            _tell(question.loop, [(question.future, answer, None)])
        return True

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
            _settle([(pending, StoreClosedError()) for pending in unwritten])

    def _collect(self, unwritten: list[_Pending]) -> bool:
        """Add what was given, and say whether that was the last; waits for something to do."""
        try:
            going_on = self._calls.get(timeout=RETRY_SECONDS if unwritten else None)
            deadline = time.monotonic() + LINGER_SECONDS
            patient = all(_can_wait(pending.write) for pending in unwritten)
            while True:
                while self._given:
                    unwritten.append(self._given.popleft())
                    patient = patient and _can_wait(unwritten[-1].write)
                if not going_on:
                    return True
                left = deadline - time.monotonic() if patient else 0.0
                going_on = self._calls.get(timeout=max(left, 0.0))
        except queue.Empty:
            return False

    def _commit(self, connection: Connection, batch: list[_Pending]) -> list[_Pending]:
        """Commit a batch in one transaction; gives what has to be tried again, in its order.

        Where one change of several can never be written, each half gets a transaction of its own.
        """
        if not batch:
            return []
        try:
            with connection.begin():
                apply(connection, [pending.write for pending in batch])
        except OperationalError as error:
            return self._postpone(batch, error)
        except Exception as error:  # noqa: BLE001 - whoever asked for the change gets it
            if len(batch) == 1:
                _settle([(batch[0], _hopeless(batch[0].write, error))])
                return []
            half = len(batch) // 2
            left = self._commit(connection, batch[:half])
            return [*left, *batch[half:]] if left else self._commit(connection, batch[half:])
        if any(isinstance(pending.write, EmptyLog) for pending in batch):
            _empty_log(connection)
        if self._unavailable:
            log.warning("the store can be written again")
            self._unavailable = False
        _settle([(pending, None) for pending in batch])
        return []

    def _postpone(self, batch: list[_Pending], error: OperationalError) -> list[_Pending]:
        """Refuse what is new, and keep what has happened until the file can be written."""
        if not self._unavailable:
            log.error("the store cannot be written, trying again and again: %s", error.orig)
            self._unavailable = True
        text = str(error.orig)
        _settle([(each, StoreUnavailableError(text)) for each in batch if each.write.refusable])
        return [pending for pending in batch if not pending.write.refusable]


@contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    """Show one state of the store: a job must not be seen without its session's change."""
    with closing(connection.begin()):
        driver(connection).execute("BEGIN")
        yield


def _empty_log(connection: Connection) -> None:
    """Bring the write-ahead log into the file, and empty it unless a reader needs it still."""
    try:
        # Without waiting for readers: the next change must not wait with it.
        driver(connection).execute("PRAGMA busy_timeout=0")
        driver(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        driver(connection).execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")


def _settle(outcomes: list[tuple[_Pending, Exception | None]]) -> None:
    """Tell all who wait for a batch, by one call into their event loop."""
    for loop, some in groupby(outcomes, key=lambda outcome: outcome[0].loop):
        _tell(loop, [(pending.future, None, error) for pending, error in some])


def _tell(
    loop: asyncio.AbstractEventLoop,
    found: list[tuple[asyncio.Future[Any], Any, Exception | None]],
) -> None:
    def tell() -> None:
        for future, answer, error in found:
            if future.cancelled():
                continue
            if error is None:
                future.set_result(answer)
            else:
                future.set_exception(error)

    # Nobody waits any more where the loop has ended.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(tell)


def _can_wait(change: Write) -> bool:
    return isinstance(change, Update) and change.can_wait


def _hopeless(change: Write, error: Exception) -> Exception:
    """Say why a change can never be stored."""
    if isinstance(error, IntegrityError) and change.refusable:
        text = str(error.orig)
        if "idempotency_key" in text:
            return DuplicateKeyError(text)
    log.error("a change cannot be stored", exc_info=error)
    return error
