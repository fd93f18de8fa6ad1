"""Stores with many final jobs, for tests and benchmarks of times that must not grow with them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.job import Job
from qsession_widget.runtime.model.lifecycle import Session
from qsession_widget.runtime.store.database import Sqlite
from qsession_widget.runtime.store.store import Store
from qsession_widget.runtime.store.writes import AddJob, AddSession
from qsession_widget.wire.fields import ADMINISTRATOR
from qsession_widget.wire.states import JobState, Mode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SESSION = "00000000-0000-4000-8000-000000000000"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def job(number: int, **more: Any) -> Job:
    """Return one of the jobs."""
    return Job(
        id=f"{number:020x}",
        owner=ADMINISTRATOR,
        backend="fake_manila",
        program_id="sampler",
        # Many jobs have the same time.
        created_at=NOON + timedelta(seconds=number // 50),
        state=JobState.COMPLETED,
        started_at=NOON + timedelta(seconds=number),
        ended_at=NOON + timedelta(seconds=number + 1),
        tags=(f"tag{number % 500}",),
        **more,
    )


async def fill(folder: Path, count: int) -> None:
    """Put many jobs that have ended into a store, half of them into one session."""
    store = Store(Sqlite(folder / "runtime.db"))
    try:
        session = Session(
            SESSION, ADMINISTRATOR, "fake_manila", Mode.BATCH, 600, 600, 600, 600, NOON
        )
        await store.write(AddSession(lifecycle.create(session), None))
        await store.write(AddJob(job(0, session_id=SESSION, revision=1), "{}", None))
    finally:
        store.close()
    with closing(sqlite3.connect(folder / "runtime.db")) as connection:
        cursor = connection.execute("select * from jobs")
        names = [each[0] for each in cursor.description]
        pattern = dict(zip(names, cursor.fetchone(), strict=True))
        seconds = 1_000_000

        def rows() -> Iterator[tuple[Any, ...]]:
            for number in range(1, count):
                yield tuple(
                    {
                        **pattern,
                        "id": f"{number:020x}",
                        "session_id": SESSION if number % 2 else None,
                        "created_at": pattern["created_at"] + number // 50 * seconds,
                        "started_at": pattern["started_at"] + number * seconds,
                        "ended_at": pattern["ended_at"] + number * seconds,
                        "tags": json.dumps([f"tag{number % 500}"]),
                        "revision": number + 1,
                    }.values()
                )

        marks = ",".join("?" * len(names))
        with connection:
            connection.executemany(f"insert into jobs values ({marks})", rows())  # noqa: S608 - ours
            connection.execute(
                "insert into results (job_id, body) select id, '{}' from jobs where not exists "
                "(select 1 from results where job_id = id)"
            )
