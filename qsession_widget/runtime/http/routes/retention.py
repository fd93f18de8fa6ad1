"""Removes what ended jobs leave behind, when it is too old or too much.

A job itself stays, with its times and its state; its params and its result go. Jobs that have not
ended, and those of sessions that are not closed, keep theirs.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select
from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.http import errors, parsing
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.runtime.http.routes.users import require_administrator
from qsession_widget.runtime.store import schema
from qsession_widget.runtime.store.store import Write
from qsession_widget.wire.states import FINAL_JOB_STATES, SessionState

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row
    from starlette.requests import Request
    from starlette.responses import Response

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.http.kept_answers import AnswersByKey
    from qsession_widget.runtime.settings import Settings
    from qsession_widget.runtime.store.store import Store

log = logging.getLogger(__name__)

PAUSE_SECONDS = 3_600.0
"""Between two looks of a runtime at its own store."""

_BATCH = 100
"""Jobs whose leavings go in one commit, so that nobody waits long for the writer."""

_PAGES = 2_000
"""Pages that one commit gives back to the file system."""

MOST_DAYS = 36_500.0


@dataclass(frozen=True)
class Bounds:
    """What may be kept; None is without bound, and 0 is nothing.

    Attributes:
        days: after a job's end.
        store_bytes: of the store, after which the oldest go.
    """

    days: float | None
    store_bytes: int | None

    @property
    def none(self) -> bool:
        """Whether everything may be kept."""
        return self.days is None and self.store_bytes is None


@dataclass(frozen=True)
class Removed:
    """What was removed: of how many jobs, and how many characters."""

    jobs: int = 0
    characters: int = 0


class Retention:
    """Keeps the store within its bounds, by itself and when asked."""

    def __init__(self, store: Store, clock: Clock, settings: Settings, acts: AnswersByKey) -> None:
        self._store, self._clock, self._acts = store, clock, acts
        # In settings, 0 is without bound.
        self._own = Bounds(settings.retention_days or None, settings.max_store_bytes or None)
        self._collecting = asyncio.Lock()

    def routes(self) -> list[Route]:
        """Give the route, relative to the API's prefix."""
        return [Route("/qsession/gc", self.collect_now, methods=["POST"])]

    async def run(self) -> None:
        """Look at the start, and from time to time."""
        while not self._own.none:
            try:
                await self.collect(self._own)
            except Exception:
                # A disk that is full today may have room tomorrow.
                log.exception("old results could not be removed")
            await asyncio.sleep(PAUSE_SECONDS)

    async def collect_now(self, request: Request) -> Response:
        """POST /qsession/gc: removes what is beyond the runtime's bounds, or beyond others.

        A bound that is given is one: 0 days leave nothing of a job that has ended.
        """
        require_administrator(request)
        body = await parsing.body(request, bounds.SMALL_BODY_BYTES)
        size = _bound(body, "max_store_bytes", parsing.LARGEST, self._own.store_bytes)
        wanted = Bounds(
            _bound(body, "retention_days", MOST_DAYS, self._own.days),
            None if size is None else int(size),
        )
        removed = await self._acts.once(
            parsing.owner(request),
            parsing.idempotency_key(request),
            f"removing what is beyond {wanted}",
            partial(self.collect, wanted),
        )
        return JsonAnswer(
            {
                "jobs": removed.jobs,
                "characters": removed.characters,
                "store_bytes": await self._store.read(used_bytes),
                "retention_days": wanted.days,
                "max_store_bytes": wanted.store_bytes,
            }
        )

    async def collect(self, bounds: Bounds) -> Removed:
        """Remove what is beyond bounds, and give the room back to the file system."""
        before = None if bounds.days is None else self._clock.now() - timedelta(days=bounds.days)
        removed = Removed()
        async with self._collecting:
            if bounds.store_bytes is not None:
                # What is in the log is either in the file as well or will be: it counts there.
                await self._store.write(Write(empties_log=True))
            while found := await self._store.read(_beyond, before, bounds.store_bytes):
                await self._store.write(Write(spent=tuple(row.id for row in found)))
                removed = Removed(
                    removed.jobs + len(found),
                    removed.characters + sum(row.characters for row in found),
                )
            for _ in range(0, await self._store.read(_free_pages), _PAGES):
                await self._store.write(Write(freed_pages=_PAGES))
            if removed.jobs:
                await self._store.write(Write(empties_log=True))
        if removed.jobs:
            log.info(
                "removed params and results of %d ended jobs, %d characters",
                removed.jobs,
                removed.characters,
            )
        return removed


def used_bytes(connection: Connection) -> int:
    """Say how large the store is: its write-ahead log, and its file without what is free there."""
    # The first is the main one; what SQLite has beside it is of one connection only.
    path = connection.exec_driver_sql("PRAGMA database_list").all()[0][2]
    try:
        log_bytes = Path(f"{path}-wal").stat().st_size
    except FileNotFoundError:
        log_bytes = 0
    return _file_bytes(connection) + log_bytes


def _file_bytes(connection: Connection) -> int:
    pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return pages * _pragma(connection, "page_size")


def _free_pages(connection: Connection) -> int:
    """Count the pages that can be given back; only a file made for it can give some."""
    incremental = 2
    if _pragma(connection, "auto_vacuum") != incremental:
        return 0
    return _pragma(connection, "freelist_count")


def _beyond(
    connection: Connection, before: datetime | None, store_bytes: int | None
) -> list[Row[str, datetime, int]]:
    """Choose the next few jobs whose leavings are to go, the oldest first."""
    excess = 0 if store_bytes is None else _file_bytes(connection) - store_bytes
    if before is None and excess <= 0:
        return []
    jobs, sessions = schema.jobs, schema.sessions
    payloads, results = schema.payloads, schema.results
    lengths = (func.length(payloads.c.params), func.length(results.c.body))
    size = func.coalesce(lengths[0], 0) + func.coalesce(lengths[1], 0)
    rows = connection.execute(
        select(jobs.c.id, jobs.c.ended_at, size.label("characters"))
        .outerjoin(payloads, payloads.c.job_id == jobs.c.id)
        .outerjoin(results, results.c.job_id == jobs.c.id)
        .outerjoin(sessions, sessions.c.id == jobs.c.session_id)
        .where(jobs.c.state.in_([state.value for state in FINAL_JOB_STATES]))
        .where(or_(sessions.c.id.is_(None), sessions.c.state == SessionState.CLOSED.value))
        .where(or_(payloads.c.job_id.is_not(None), results.c.job_id.is_not(None)))
        .order_by(jobs.c.ended_at, jobs.c.id)
        .limit(_BATCH)
    ).all()
    chosen: list[Row[str, datetime, int]] = []
    for row in rows:
        if not (excess > 0 or (before is not None and row.ended_at <= before)):
            break
        chosen.append(row)
        excess -= row.characters
    return chosen


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def _bound(body: dict[str, Any], name: str, most: float, own: float | None) -> float | None:
    value = body.get(name)
    if value is None:
        return own
    if type(value) not in {int, float} or not 0 <= value <= most:
        raise errors.bad_request(
            f"{name} is {value!r:.80}.", f"Allowed are numbers from 0 to {most:g}."
        )
    return float(value)
