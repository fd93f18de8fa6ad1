"""Payloads and results of final jobs are removed by age and size; nothing else is."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import QiskitRuntimeService, Sampler, Session
from qsession_widget.cli.main import main
from qsession_widget.errors import ServiceError
from qsession_widget.runtime.clock import VirtualClock, WallClock
from qsession_widget.runtime.settings import Settings
from qsession_widget.runtime.store.retention import Bounds, Retention, used_bytes
from qsession_widget.runtime.store.writes import AddSession, Update
from qsession_widget.wire.states import JobState, SessionState
from tests.client.circuits import bell
from tests.conftest import eventually, running
from tests.runtime.server import problem, reached
from tests.runtime.stores import on_both, rows
from tests.runtime.test_store import NOON, a_job, a_session, new, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.store.store import Store

LARGE = 50_000


def ended(name: str, days_ago: float, **fields: Any) -> Job:
    when = NOON - timedelta(days=days_ago)
    return a_job(name, state=JobState.COMPLETED, created_at=when, ended_at=when, **fields)


@contextmanager
def collecting(folder: Path) -> Iterator[tuple[Store, Retention]]:
    """Open a store, and yield it with what removes its old payloads and results."""
    with opened(folder) as store:
        yield store, Retention(store, VirtualClock(NOON), Settings())


async def fill(store: Store, jobs: list[Job], size: int = LARGE) -> None:
    added = [store.write(new(job, params="x" * size)) for job in jobs]
    done = [job.id for job in jobs if job.state is JobState.COMPLETED]
    await asyncio.gather(
        *added, *(store.write(Update(result=(job_id, "y" * size))) for job_id in done)
    )


def kept(folder: Path) -> dict[str, set[str]]:
    return {
        table: {name for (name,) in rows(folder, f"select job_id from {table}")}  # noqa: S608 - ours
        for table in ("payloads", "results")
    }


@on_both
async def test_old_payloads_are_removed_and_their_jobs_stay(tmp_path: Path) -> None:
    with collecting(tmp_path) as (store, retention):
        failed = a_job("f", state=JobState.FAILED, reason="no", ended_at=NOON - timedelta(days=9))
        await fill(store, [ended("old", 8), ended("young", 6), failed, a_job("queued")])
        await fill(store, [a_job("running", state=JobState.RUNNING)])
        removed = await retention.collect(Bounds(days=7, store_bytes=None))
        assert (removed.jobs, removed.characters) == (2, 3 * LARGE)
        assert (await retention.collect(Bounds(days=7, store_bytes=None))).jobs == 0, "once"
    assert kept(tmp_path) == {"payloads": {"young", "queued", "running"}, "results": {"young"}}
    assert rows(tmp_path, "select count(*) from jobs") == [(5,)]


@on_both
async def test_open_sessions_keep_their_payloads(tmp_path: Path) -> None:
    with collecting(tmp_path) as (store, retention):
        for name, state in (("open", SessionState.ACTIVE), ("shut", SessionState.CLOSED)):
            session = a_session(name, state=state, closed_at=None)
            await store.write(AddSession(session, None))
            await store.write(Update(sessions=(session,)))
        await store.write(Update(sessions=(a_session("shut", state=SessionState.CLOSED),)))
        await fill(store, [ended("a", 50, session_id="open"), ended("b", 50, session_id="shut")])
        assert (await retention.collect(Bounds(days=7, store_bytes=1))).jobs == 1
    assert kept(tmp_path) == {"payloads": {"a"}, "results": {"a"}}


async def test_the_oldest_payloads_are_removed_until_the_file_is_small_enough(
    tmp_path: Path,
) -> None:
    count = 120
    bound = 4_000_000

    with collecting(tmp_path) as (store, retention):
        await fill(store, [ended(f"{place:03}", count - place) for place in range(count)])
        before = await store.read(used_bytes)
        assert before > 2 * count * LARGE
        removed = await retention.collect(Bounds(days=None, store_bytes=bound))
        after = await store.read(used_bytes)
        assert 0.85 * bound < after <= bound, "no more than needed, apart from whole pages"
        assert 0 < removed.jobs < count
        assert before - after >= removed.characters
    left = sorted(kept(tmp_path)["results"])
    assert left == [f"{place:03}" for place in range(count)][-len(left) :], "the newest"
    assert (tmp_path / "runtime.db").stat().st_size <= bound, "the file shrinks"


@on_both
async def test_an_unreachable_bound_does_no_harm(tmp_path: Path) -> None:
    with collecting(tmp_path) as (store, retention):
        await fill(store, [a_job("queued"), ended("old", 1)])
        assert (await retention.collect(Bounds(days=None, store_bytes=1))).jobs == 1
    assert kept(tmp_path) == {"payloads": {"queued"}, "results": set()}


async def test_a_runtime_keeps_to_its_bounds_by_itself(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        ago = WallClock().now() - timedelta(days=3)
        job = a_job("old", owner="owner", state=JobState.COMPLETED, ended_at=ago)
        await fill(store, [job])
    with running(tmp_path, "--retention-days", "2.5"):
        eventually(lambda: kept(tmp_path) == {"payloads": set(), "results": set()}, "its removal")
        server = reached(tmp_path)
        assert "removed" in problem(server.get("/jobs/old/results"), 410)
        found = server.json("/jobs/old")
        assert found["status"] == "Completed"
        assert "params" not in found


def test_gc_by_hand(own_runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc"]) == 1
    assert "no local runtime" in capsys.readouterr().err
    with running(own_runtime):
        service = QiskitRuntimeService(channel="local")
        with Session(service, "fake_manila") as session:
            job = Sampler(mode=session).run(bell(), shots=10)
            job.result()
        alone = Sampler(service.backend("aer_simulator")).run(bell(), shots=10)
        alone.result()
        eventually(lambda: session.status() == "Closed", "the end of the session")
        assert main(["gc"]) == 0
        said = capsys.readouterr().out
        assert "started without a limit, and none was given" in said
        assert "of 0 jobs" in said
        assert main(["gc", "--retention-days", "1"]) == 0
        assert "of 0 jobs" in capsys.readouterr().out
        assert main(["gc", "--retention-days", "0"]) == 0
        said = capsys.readouterr().out
        assert "bound" not in said
        assert "of 2 jobs" in said
        again = service.job(job.job_id())
        assert again.status() == "DONE"
        assert again.inputs == {}
        with pytest.raises(ServiceError, match="was removed"):
            again.result()
        assert main(["gc", "--retention-days", "-1"]) == 1
        assert "-1" in capsys.readouterr().err
    with closing(sqlite3.connect(own_runtime / "runtime.db")) as connection:
        assert connection.execute("pragma auto_vacuum").fetchone() == (2,)
