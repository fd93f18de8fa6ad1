"""Deletes params and results of ended jobs that are too old, or too large together.

The job itself stays, with its times and its state. Unfinished jobs, and those of sessions that are
not closed, keep their params and results.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, literal, or_, select, text, tuple_

from qsession_widget.runtime.store import long_texts, schema
from qsession_widget.runtime.store.database import database_of
from qsession_widget.runtime.store.writes import EmptyLog, FreePages, Prune, Sweep
from qsession_widget.wire.states import SessionState

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.settings import Settings
    from qsession_widget.runtime.store.store import Store

log = logging.getLogger(__name__)

PAUSE_SECONDS = 3_600.0
"""Between two collections that the runtime starts by itself."""

_BATCH = 100
"""Jobs per commit, so that no other write waits long."""

_PAGES = 2_000
"""Pages that one commit returns to the file system."""

_Place = tuple["datetime", str]
"""Where a job is in the order of ends: the time of its end, and its id."""

MOST_DAYS = 36_500.0


@dataclass(frozen=True)
class Bounds:
    """What may be kept. None means no bound, 0 means nothing.

    Attributes:
        days: for how long after a job's end.
        store_bytes: size of the store from which on the oldest are deleted.
    """

    days: float | None
    store_bytes: int | None

    @property
    def none(self) -> bool:
        """Whether everything may be kept."""
        return self.days is None and self.store_bytes is None


@dataclass(frozen=True)
class Collected:
    """How many jobs lost their params and results, and how many characters those had."""

    jobs: int = 0
    characters: int = 0


class Retention:
    """Keeps the store within its bounds, periodically and on request.

    Attributes:
        bounds: those of the runtime's settings.
    """

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        self._store, self._clock = store, clock
        # In settings, 0 means no bound.
        self.bounds = Bounds(settings.retention_days or None, settings.max_store_bytes or None)
        self._collecting = asyncio.Lock()

    async def run(self) -> None:
        """Collect at the start and then periodically."""
        while not self.bounds.none:
            try:
                await self.collect(self.bounds)
            except Exception:
                # A disk that is full today may have room tomorrow.
                log.exception("old results could not be removed")
            await asyncio.sleep(PAUSE_SECONDS)

    async def collect(self, bounds: Bounds) -> Collected:
        """Delete what exceeds the bounds, and return the space to the file system."""
        before = None if bounds.days is None else self._clock.now() - timedelta(days=bounds.days)
        removed = Collected()
        async with self._collecting:
            if bounds.store_bytes is not None:
                # What is in the log is in the file as well, or will be: it is counted there.
                await self._store.write(EmptyLog())
            last: _Place | None = None
            going_on = True
            while going_on:
                last, chosen = await self._store.read(_beyond, before, bounds.store_bytes, last)
                going_on = last is not None
                if chosen:
                    await self._store.write(Prune(tuple(row.id for row in chosen)))
                # Of private jobs nothing may be left.
                sizes = [row.characters for row in chosen if row.characters]
                removed = Collected(removed.jobs + len(sizes), removed.characters + sum(sizes))
            while await self._store.read(long_texts.dropped_bytes):
                await self._store.write(Sweep())
            for _ in range(0, await self._store.read(_free_pages), _PAGES):
                await self._store.write(FreePages(_PAGES))
            if removed.jobs:
                await self._store.write(EmptyLog())
        if removed.jobs:
            log.info(
                "removed params and results of %d ended jobs, %d characters",
                removed.jobs,
                removed.characters,
            )
        return removed


def used_bytes(connection: Connection) -> int:
    """Return the size of the store: what is not free of it, and its logs."""
    return database_of(connection).used_bytes(connection)


def _free_pages(connection: Connection) -> int:
    return database_of(connection).free_pages(connection)


def _beyond(
    connection: Connection, before: datetime | None, store_bytes: int | None, last: _Place | None
) -> tuple[_Place | None, list[Row[str, datetime, int, bool]]]:
    """Choose the next few jobs whose params and results are to be deleted, oldest first.

    Args:
        connection: a connection to the store.
        before: the jobs that ended until then are.
        store_bytes: so are the others, until the store is as small.
        last: the job at which the last call stopped.

    Returns:
        The job at which to go on, None at the end, and the jobs.
    """
    excess = 0
    if store_bytes is not None:
        size = database_of(connection).file_bytes(connection)
        excess = size - long_texts.dropped_bytes(connection) - store_bytes
    if before is None and excess <= 0:
        return None, []
    jobs, sessions = schema.jobs, schema.sessions
    payloads, results = schema.payloads, schema.results
    lengths = (func.length(payloads.c.params), func.length(results.c.body))
    size = func.coalesce(lengths[0], 0) + func.coalesce(lengths[1], 0) + long_texts.size_of_job()
    free = or_(sessions.c.id.is_(None), sessions.c.state == SessionState.CLOSED.value)
    statement = (
        select(jobs.c.id, jobs.c.ended_at, size.label("characters"), free.label("free"))
        .outerjoin(payloads, payloads.c.job_id == jobs.c.id)
        .outerjoin(results, results.c.job_id == jobs.c.id)
        .outerjoin(sessions, sessions.c.id == jobs.c.session_id)
        .where(text(f"jobs.{schema.KEPT}"))
        .order_by(jobs.c.ended_at, jobs.c.id)
        .limit(_BATCH)
    )
    if last is not None:
        ended_at, job_id = literal(last[0], schema.Instant()), literal(last[1])
        statement = statement.where(tuple_(jobs.c.ended_at, jobs.c.id) > tuple_(ended_at, job_id))
    chosen: list[Row[str, datetime, int, bool]] = []
    rows = connection.execute(statement).all()
    for row in rows:
        if not (excess > 0 or (before is not None and row.ended_at <= before)):
            return None, chosen
        if row.free:
            chosen.append(row)
            excess -= row.characters
    return (rows[-1].ended_at, rows[-1].id) if len(rows) == _BATCH else None, chosen
