"""Durable storage: a database with one writer thread with group commit, and threads that read.

A write is done when its future is: then it is on disk, even if the process or machine dies.
While the database cannot be written (disk full, locked), something new is refused, and what has
happened already is kept and written later, in order. Reads see only what is committed, each
from one snapshot, and run on connections of their own.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import secrets
import threading
import time
from collections import deque
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import DBAPIError

from qsession_widget.runtime.pieces import Content, LongText
from qsession_widget.runtime.store import listing, long_texts, queries
from qsession_widget.runtime.store.database import (
    SupersededError,
    UnknownSchemaError,
    database_of,
    migrate,
)
from qsession_widget.runtime.store.fair_queue import FairQueue
from qsession_widget.runtime.store.queries import JobFilter
from qsession_widget.runtime.store.writes import (
    AddJob,
    AddPieces,
    AddResultPieces,
    AddSession,
    DropText,
    EmptyLog,
    Update,
    Write,
    apply,
    index,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.model.user import User
    from qsession_widget.runtime.store.database import Database

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

RETRY_SECONDS = 1.0
"""Pause between two attempts to write to a file that cannot be written."""

INDEX_SECONDS = 0.05
INDEX_COMMITS = 100
"""The index of lists follows when nothing was written for so long, after so many commits, or when
a list is read. A loop of short jobs then waits for commits of its jobs only."""

SHARING = 12
"""After how many changes of one turn of the loop the writer begins to commit. With all changes of a
hundred busy clients in one commit, writer and loop would wait for each other."""

LINGER_SECONDS = 0.03
"""How long a change that can wait is held for others to share its commit."""

READERS = 4
"""Threads for short queries, by id."""

LISTERS = 2
"""Threads for queries that may take long: lists, and sums over all rows."""


class StoreUnavailableError(Exception):
    """The file cannot be written at present; nothing was stored."""


class StoreClosedError(StoreUnavailableError, RuntimeError):
    """The runtime is shutting down; nothing was stored or read."""

    def __init__(self) -> None:
        super().__init__("the store is closed: the runtime ends")


class DuplicateKeyError(Exception):
    """The idempotency key was used before; nothing was stored."""


class StoreUnreadableError(Exception):
    """The file is not a store, is damaged, or was written by a newer release."""


@dataclass
class _Pending:
    """A change that is to be written, and the future of its outcome."""

    write: Write
    future: asyncio.Future[None] = field(repr=False)
    loop: asyncio.AbstractEventLoop = field(repr=False)


@dataclass
class _Question:
    """A query, and the future of its result."""

    read: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Store:
    """Sessions and jobs in one database.

    Attributes:
        superseded: is called by the writer's thread when another runtime has taken over the
            database: nothing can be written any more, and this runtime should end.
    """

    def __init__(self, database: Database) -> None:
        self._database, self._engine = database, database.engine
        self.superseded: Callable[[], None] = lambda: None
        try:
            database.lead()
            migrate(database)
            database.begin_era()
            with self._engine.begin() as connection:
                self._sweeps = long_texts.drop_unowned(connection)
        except (DBAPIError, UnknownSchemaError) as error:
            detail = getattr(error, "orig", None) or error
            raise StoreUnreadableError(
                f"the store {database.name} cannot be opened: {detail}"
            ) from error
        self._questions: FairQueue[_Question] = FairQueue()
        self._long_questions: FairQueue[_Question] = FairQueue()
        self._readers = [
            threading.Thread(
                target=self._read_loop,
                args=(database.reader(), questions),
                name=f"store-reader-{number}",
            )
            for number, questions in enumerate(
                [self._questions] * READERS + [self._long_questions] * LISTERS
            )
        ]
        self._given: deque[_Pending] = deque()
        self._announced_in: asyncio.AbstractEventLoop | None = None
        self._uncalled = 0
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._unavailable = False
        # Changes of which it is not known whether they are on disk: the connection was lost.
        self._doubted: list[_Pending] = []
        # Set while the index of lists knows all that is committed.
        self._listed = threading.Event()
        if not self.read_at_start(listing.has_more):
            self._listed.set()
        self._list_wanted = False
        self._unlisted_commits = 0
        self._writer = threading.Thread(target=self._write_loop, name="store-writer")
        self._closed = self._ended = False
        for thread in (self._writer, *self._readers):
            thread.start()

    def close(self) -> None:
        """Write all changes and answer all queries that are waiting, then close the file."""
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
        """Refuse the changes and queries that came after the threads had ended."""
        with suppress(IndexError):
            while True:
                _settle([(self._given.popleft(), StoreClosedError())])
        for late in (*self._questions.drain(), *self._long_questions.drain()):
            _tell(late.loop, [(late.future, None, StoreClosedError())])

    def write(self, change: Write) -> asyncio.Future[None]:
        """Queue a change; the future is done when it is on disk. Changes keep their order.

        The future fails with StoreUnavailableError for a refusable change while the file cannot be
        written, with DuplicateKeyError for a new session or job whose idempotency key is taken, and
        with another error for a change that can never be written. Once the store is closed, it
        fails with StoreClosedError for any change.
        """
        loop = asyncio.get_running_loop()
        pending = _Pending(change, loop.create_future(), loop)
        self._given.append(pending)
        if self._ended:
            self._refuse_late()
            return pending.future
        self._uncalled += 1
        if self._uncalled >= SHARING:
            # While these are committed, the loop goes on with the other requests of its turn.
            self._call_writer()
        elif self._announced_in is not loop:
            # The writer is woken once for the changes of this turn of the loop: they share a
            # commit, and the writer and the loop compete less for the interpreter.
            self._announced_in = loop
            loop.call_soon(self._call_writer)
        return pending.future

    def _call_writer(self) -> None:
        self._announced_in = None
        if self._uncalled:
            self._uncalled = 0
            self._calls.put(True)

    async def keep(self, content: Content, *, result: bool = False) -> LongText:
        """Store a long text, for a job that is to have it; until then no job does.

        Others' changes have their turn between its pieces.

        Args:
            content: the text.
            result: whether it is kept until it can be written, as what has happened is.

        Raises:
            StoreUnavailableError: while the file cannot be written, unless it is a result.
        """
        kept = LongText(content.size, content.digest, secrets.token_hex(16))
        kind = AddResultPieces if result else AddPieces
        try:
            for first in range(0, len(content.pieces), long_texts.PIECES):
                some = tuple(content.pieces[first : first + long_texts.PIECES])
                await self.write(kind(kept, first, some))
        except BaseException:
            self.drop(kept)
            raise
        return kept

    def drop(self, text: LongText) -> None:
        """Let go of a long text that no job has."""
        dropped = self.write(DropText(text.key))
        # A runtime that ends drops it when it starts again.
        dropped.add_done_callback(lambda done: done.cancelled() or done.exception())

    @property
    def available(self) -> bool:
        """Whether the last attempt to write succeeded."""
        return not self._unavailable

    async def session(self, owner: str, session_id: str) -> Session | None:
        """Read one session, with the numbers of its unfinished jobs."""
        return await self._read(owner, queries.read_session, owner, session_id)

    async def job(self, owner: str, job_id: str) -> Job | None:
        """Read one job."""
        return await self._read(owner, queries.read_job, owner, job_id)

    async def params(self, job_id: str) -> str | LongText | None:
        """Read a job's payload, as JSON text; None if the job was deleted."""
        return await self._read("", queries.params, job_id)

    async def params_in_pieces(self, job_id: str) -> Sequence[bytes | memoryview] | None:
        """Read a job's long payload; None if it was removed."""
        return await self._read("", queries.params_in_pieces, job_id)

    async def result(self, job_id: str) -> str | LongText | None:
        """Read a job's result, None if it has none."""
        return await self._read("", queries.result, job_id)

    async def result_in_pieces(self, job_id: str) -> Sequence[bytes | memoryview] | None:
        """Read a job's long result; None if it was removed."""
        return await self._read("", queries.result_in_pieces, job_id)

    async def outcome(self, owner: str, job_id: str) -> tuple[Job, str | LongText | None] | None:
        """Read a job and its result; the result of a private job is not read."""
        return await self._read(owner, queries.read_outcome, owner, job_id)

    async def jobs(self, owner: str, wanted: JobFilter) -> tuple[list[Job], int]:
        """Read a page of an owner's jobs, and the number of jobs on all pages."""
        return await self.read_lists(queries.read_jobs, owner, wanted)

    async def changed(
        self, owner: str, session_id: str, since: int, most: int
    ) -> tuple[Session | None, list[Job]]:
        """Read a session and its next jobs that changed after a revision, `most` at most."""
        return await self._read(owner, queries.read_changed, owner, session_id, since, most)

    def users(self) -> list[User]:
        """Read the users that were added to the runtime."""
        return self.read_at_start(queries.read_users)

    def unfinished(self) -> tuple[list[Session], list[Job], int]:
        """Read the unfinished sessions and jobs, and the last revision."""
        return self.read_at_start(queries.read_unfinished)

    async def read(self, read: Callable[..., T], *arguments: Any, who: str = "") -> T:
        """Run a query that may take long.

        Args:
            read: the query, a function of a connection and the arguments.
            arguments: its arguments besides the connection.
            who: the user who asks, since users take turns; empty for the runtime itself.
        """
        return await self._ask(self._long_questions, who, lambda each: read(each, *arguments))

    async def read_lists(self, read: Callable[..., T], owner: str, *arguments: Any) -> T:
        """Run a query of an owner's lists or sums, which needs the whole index of lists."""

        def look(connection: Connection) -> T:
            # The snapshot of the connection begins with the first query.
            if not self._listed.is_set():
                self._list_wanted = True
                self._calls.put(True)
                while not self._listed.wait(INDEX_SECONDS):
                    if self._unavailable:
                        # What was committed last may be missing from a list, until there is room.
                        break
            return read(connection, owner, *arguments)

        return await self._ask(self._long_questions, owner, look)

    def read_at_start(self, read: Callable[..., T], *arguments: Any) -> T:
        """Run a query before there is an event loop."""
        with self._database.reader() as connection, _snapshot(connection):
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
                # A call of its own, so that the result is not kept until the next query.
                pass

    def _answer(self, connection: Connection, question: _Question | None) -> bool:
        """Answer one query; returns False at the end."""
        if question is None:
            return False
        try:
            answer = self._look(connection, question.read)
        except Exception as error:  # noqa: BLE001 - passed on to the caller
            _tell(question.loop, [(question.future, None, error)])
        else:
            _tell(question.loop, [(question.future, answer, None)])
        return True

    def _look(self, connection: Connection, read: Callable[[Connection], T]) -> T:
        """Run a query, once more where the connection had ended meanwhile."""
        try:
            with _snapshot(connection):
                return read(connection)
        except Exception:
            if not self._database.is_lost(connection):
                raise
        try:
            connection.invalidate()
            with _snapshot(connection):
                return read(connection)
        except (DBAPIError, self._database.error) as error:
            raise StoreUnavailableError(str(getattr(error, "orig", error))) from error

    def _write_loop(self) -> None:
        unwritten: list[_Pending] = []
        closing = False
        # Always the same connection: its page cache holds the last changes.
        connection = self._database.writer()
        try:
            while not closing:
                closing = self._collect(unwritten)
                idle = not unwritten
                unwritten = self._commit(connection, unwritten)
                if self._sweeps and not closing:
                    self._sweep(connection)
                if not self._listed.is_set() and (idle or self._index_is_due):
                    self._index_more(connection)
                if idle:
                    self._database.check(connection)
                if self._database.is_lost(connection):
                    closing = self._regain(connection, unwritten, closing=closing)
        except SupersededError as error:
            log.error("%s; this one ends", error)  # noqa: TRY400 - it says all
            self._unavailable = self._closed = self._ended = True
            self._refuse_late()
            self.superseded()
        finally:
            self._database.leave(connection)
        # What is left to be indexed is so at the next start; lists are not read any more.
        self._listed.set()
        if unwritten:
            log.error("the runtime ends, and %d changes could not be stored", len(unwritten))
            _settle([(pending, StoreClosedError()) for pending in unwritten])

    def _collect(self, unwritten: list[_Pending]) -> bool:
        """Wait for changes and add them to the batch; returns True at the end."""
        try:
            going_on = self._calls.get(timeout=self._patience_seconds(unwritten))
            deadline = time.monotonic() + LINGER_SECONDS
            patient = all(_can_wait(pending.write) for pending in unwritten)
            while True:
                while self._given:
                    unwritten.append(self._given.popleft())
                    patient = patient and _can_wait(unwritten[-1].write)
                if not going_on:
                    return True
                left = deadline - time.monotonic() if patient and unwritten else 0.0
                going_on = self._calls.get(timeout=max(left, 0.0))
        except queue.Empty:
            return False

    def _patience_seconds(self, unwritten: list[_Pending]) -> float | None:
        """Return how long to wait for further changes before there is something else to do."""
        if unwritten or (self._unavailable and not self._listed.is_set()):
            return RETRY_SECONDS
        if self._sweeps or self._index_is_due:
            return 0.0
        return self._database.beat_seconds if self._listed.is_set() else INDEX_SECONDS

    @property
    def _index_is_due(self) -> bool:
        due = self._list_wanted or self._unlisted_commits >= INDEX_COMMITS
        return due and not self._listed.is_set()

    def _sweep(self, connection: Connection) -> None:
        """Remove some of what no job has any more; more is removed when nothing else waits."""
        try:
            self._sweeps = long_texts.sweep(connection)
        except DBAPIError as error:
            if not self._database.may_pass(error.orig):
                raise
            # It is tried again after the next change that lets go of something.
            self._sweeps = False
            log.warning("what was let go could not be removed: %s", error.orig)

    def _commit(self, connection: Connection, batch: list[_Pending]) -> list[_Pending]:
        """Commit a batch in one transaction; returns the changes to be tried again, in order.

        Where one change can never be written, each half of the batch gets its own transaction.
        """
        if not batch:
            return []
        try:
            with connection.begin():
                drops = apply(connection, [pending.write for pending in batch])
                unlisted = self._listed.is_set() and listing.has_more(connection)
            self._database.committed()
        except Exception as error:  # noqa: BLE001 - passed on to the caller
            if self._database.is_lost(connection):
                self._doubted = batch
                return batch
            if isinstance(error, DBAPIError) and self._database.may_pass(error.orig):
                return self._postpone(batch, error)
            if len(batch) == 1:
                _settle([(batch[0], self._hopeless(batch[0].write, error))])
                return []
            half = len(batch) // 2
            left = self._commit(connection, batch[:half])
            return [*left, *batch[half:]] if left else self._commit(connection, batch[half:])
        self._sweeps = self._sweeps or drops
        if any(isinstance(pending.write, EmptyLog) for pending in batch):
            self._database.empty_log(connection)
        if unlisted:
            self._listed.clear()
        self._unlisted_commits += 1
        self._note_success()
        _settle([(pending, None) for pending in batch])
        return []

    def _regain(self, connection: Connection, unwritten: list[_Pending], *, closing: bool) -> bool:
        """Wait until the database can be reached again; returns whether the store is to close.

        Changes of which it is not known whether they are on disk are held until that is known; new
        ones are refused, if they can be.
        """
        doubted, self._doubted = self._doubted, []
        while True:
            try:
                made = self._database.regain(connection)
                break
            except DBAPIError as error:
                self._note_failure(error)
                if closing:
                    return True
                closing = self._refuse_new(unwritten, str(error.orig))
        self._note_success()
        if made:
            _settle([(pending, None) for pending in doubted])
            del unwritten[: len(doubted)]
        return closing

    def _refuse_new(self, unwritten: list[_Pending], text: str) -> bool:
        """Collect changes for a while, but refuse those that can be; returns True at the end."""
        going_on = True
        with suppress(queue.Empty):
            going_on = self._calls.get(timeout=RETRY_SECONDS)
        while self._given:
            pending = self._given.popleft()
            if pending.write.refusable:
                _settle([(pending, StoreUnavailableError(text))])
            else:
                unwritten.append(pending)
        return not going_on

    def _note_failure(self, error: DBAPIError) -> None:
        if not self._unavailable:
            log.error("the store cannot be written; still trying: %s", error.orig)
            self._unavailable = True

    def _note_success(self) -> None:
        if self._unavailable:
            log.warning("the store can be written again")
            self._unavailable = False

    def _index_more(self, connection: Connection) -> None:
        """Make a part of the index of lists."""
        try:
            with connection.begin():
                more = index(connection)
        except DBAPIError as error:
            if not self._database.may_pass(error.orig):
                raise
            self._postpone([], error)
            return
        self._note_success()
        if more:
            # After a migration: part by part, between the changes.
            self._list_wanted = True
        else:
            self._list_wanted = False
            self._unlisted_commits = 0
            self._listed.set()

    def _postpone(self, batch: list[_Pending], error: DBAPIError) -> list[_Pending]:
        """Refuse the refusable changes, and keep the others until the file can be written."""
        self._note_failure(error)
        text = str(error.orig)
        _settle([(each, StoreUnavailableError(text)) for each in batch if each.write.refusable])
        return [pending for pending in batch if not pending.write.refusable]

    def _hopeless(self, change: Write, error: Exception) -> Exception:
        """Return the error for a change that can never be stored."""
        has_key = isinstance(change, AddSession | AddJob) and change.key is not None
        if has_key and isinstance(error, DBAPIError) and self._database.is_key_taken(error.orig):
            return DuplicateKeyError(str(error.orig))
        log.error("a change cannot be stored", exc_info=error)
        return error


@contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    """Read one state of the store: a job must not be seen without its session's change."""
    with closing(connection.begin()):
        database_of(connection).begin_to_read(connection)
        yield


def _settle(outcomes: list[tuple[_Pending, Exception | None]]) -> None:
    """Complete the futures of a batch, by one call into each event loop."""
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

    # The loop may have ended.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(tell)


def _can_wait(change: Write) -> bool:
    return isinstance(change, Update) and change.can_wait
