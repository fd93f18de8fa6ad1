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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from alembic.util.exc import CommandError
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from qsession_widget.runtime import queries, schema
from qsession_widget.runtime.database import migrate, open_engine
from qsession_widget.runtime.queries import JobFilter
from qsession_widget.runtime.writing import Write, apply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

    from qsession_widget.runtime.job import Job
    from qsession_widget.runtime.lifecycle import Session
    from qsession_widget.runtime.registry import User

__all__ = [
    "DuplicateKeyError",
    "JobFilter",
    "Store",
    "StoreUnavailableError",
    "StoreUnreadableError",
    "Write",
]

T = TypeVar("T")

log = logging.getLogger(__name__)

BUSY_MILLISECONDS = 5_000
"""How long a write waits for another program that holds the file."""

RETRY_SECONDS = 1.0
"""Pause between two tries to write to a file that cannot be written."""

LINGER_SECONDS = 0.03
"""How long a change that can wait is kept for others to share its commit."""


class StoreUnavailableError(Exception):
    """The file cannot be written at the moment; nothing was stored."""


class DuplicateKeyError(Exception):
    """Something was created with this idempotency key before; nothing was stored."""


class StoreUnreadableError(Exception):
    """The file is none of ours, is damaged, or was written by a newer version."""


@dataclass
class _Pending:
    write: Write
    done: Callable[[BaseException | None], None] = field(repr=False)


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
        return await self._read(queries.read_session, owner, session_id)

    async def session_by_key(self, owner: str, key: str) -> str | None:
        """Find the session that was created with an idempotency key."""
        return await self._read(queries.id_by_key, schema.sessions, owner, key)

    async def job_by_key(self, owner: str, key: str) -> str | None:
        """Find the job that was created with an idempotency key."""
        return await self._read(queries.id_by_key, schema.jobs, owner, key)

    async def job(self, owner: str, job_id: str) -> Job | None:
        """Read one job."""
        return await self._read(queries.read_job, owner, job_id)

    async def params(self, job_id: str) -> str | None:
        """Read a job's payload, as JSON text; None where the job was deleted."""
        return await self._read(queries.params, job_id)

    async def result(self, job_id: str) -> str | None:
        """Read a job's result, None where it has none."""
        return await self._read(queries.result, job_id)

    async def outcome(self, owner: str, job_id: str) -> tuple[Job, str | None] | None:
        """Read a job and its result; a private job's result is left where it is."""
        return await self._read(queries.read_outcome, owner, job_id)

    async def jobs(self, owner: str, wanted: JobFilter) -> tuple[list[Job], int]:
        """Read a page of an owner's jobs, and how many there are on all pages."""
        return await self._read(queries.read_jobs, owner, wanted)

    async def changed(
        self, owner: str, session_id: str, since: int
    ) -> tuple[Session | None, list[Job]]:
        """Read a session, and those of its jobs that changed after a revision, oldest first."""
        return await self._read(queries.read_changed, owner, session_id, since)

    def users(self) -> list[User]:
        """Read who was added to the runtime."""
        with self._engine.connect() as connection:
            return queries.read_users(connection)

    def unfinished(self) -> tuple[list[Session], list[Job], int]:
        """Read what a starting runtime goes on with: sessions, jobs, and the last revision."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            return queries.read_unfinished(connection)

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
                apply(connection, [pending.write for pending in batch])
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


def _hopeless(change: Write, error: Exception) -> Exception:
    """Say why a change can never be stored."""
    if isinstance(error, IntegrityError) and change.refusable:
        text = str(error.orig)
        if "idempotency_key" in text:
            return DuplicateKeyError(text)
    log.error("a change cannot be stored", exc_info=error)
    return error
