"""Jobs that start while they are on their way to the disk, and those that never get there."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import IntegrityError

from qsession_widget.runtime import store
from qsession_widget.runtime.job import Job
from qsession_widget.runtime.store import JobFilter, StoreUnavailableError, Write
from qsession_widget.wire.states import JobState
from tests.conftest import DEADLINE_SECONDS
from tests.runtime.bench import COIN, FOR_EVER, NOON, Bench, going, settles, with_bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def slow_disk(folder: Path) -> Iterator[sqlite3.Connection]:
    """Hold the store's file: what is written gets to the disk when this ends, or commits."""
    with closing(sqlite3.connect(folder / "runtime.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        yield other
        if other.in_transaction:
            other.execute("commit")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the store wait as long as a test's disk is slow."""
    monkeypatch.setattr(store, "BUSY_MILLISECONDS", int(DEADLINE_SECONDS * 1000))


def refuse(other: sqlite3.Connection) -> None:
    """Let what is on its way be refused for good."""
    other.execute(
        "create trigger refuse before insert on jobs begin select raise(abort, 'no job'); end"
    )
    other.execute("commit")


def take_away(other: sqlite3.Connection) -> None:
    """Let what is on its way be refused for now."""
    other.execute("alter table jobs rename to gone")
    other.execute("commit")


def give_back(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "runtime.db")) as other:
        tables = {name for (name,) in other.execute("select name from sqlite_master")}
        if "gone" in tables:
            other.execute("alter table gone rename to jobs")
        else:
            other.execute("drop trigger refuse")


def stored(folder: Path) -> set[tuple[str]]:
    with closing(sqlite3.connect(folder / "runtime.db")) as other:
        return set(other.execute("select id from jobs union all select job_id from results"))


async def warmed(bench: Bench) -> str:
    """Have a session that is active, and has no job."""
    session_id = await bench.opens()
    job_id = await bench.submits(session_id)
    await settles(lambda: bench.coordinator._live.sessions[session_id].prioritised)
    await bench.coordinator.cancel_job(job_id)
    await bench.ended(job_id)
    return session_id


@pytest.mark.usefixtures("patient")
def test_a_job_is_computed_while_it_is_stored_and_nobody_hears_of_it_before(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        session_id = await warmed(bench)
        inside = bench.coordinator
        with slow_disk(tmp_path):
            submitting = asyncio.create_task(bench.submits(session_id))
            await settles(lambda: any(inside._live.arriving.values()))
            (job_id,) = inside._live.arriving
            assert not submitting.done()
            assert not inside.counts()
            assert await bench.store.job("o", job_id) is None
            assert (await bench.session(session_id)).running == 0
        assert await submitting == job_id
        assert (await bench.ended(job_id)).state is JobState.COMPLETED
        assert await bench.store.result(job_id) is not None
        bench.nothing_left()

    with_bench(tmp_path, body)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("refusal", [refuse, take_away])
@pytest.mark.parametrize("in_session", [False, True])
@pytest.mark.parametrize("seconds", [0.0, FOR_EVER])
def test_a_job_that_cannot_be_stored_is_undone_however_far_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    refusal: Callable[[sqlite3.Connection], None],
    *,
    in_session: bool,
    seconds: float,
) -> None:
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)

    async def body(bench: Bench) -> None:
        session_id = await warmed(bench)
        inside = bench.coordinator
        before, kept = await bench.session(session_id), stored(tmp_path)
        caplog.clear()
        with slow_disk(tmp_path) as other:
            where = (
                {"session_id": session_id}
                if in_session
                else {"owner": "p", "backend": "fake_torino"}
            )
            submitting = asyncio.create_task(bench.submits(**where))
            found = inside._live.interim if seconds else inside._live.arriving
            await settles(lambda: any(found.values()))
            bench.clock.moves(seconds=30)
            refusal(other)
        with pytest.raises((StoreUnavailableError, IntegrityError)):
            await submitting
        assert not inside._live.jobs
        give_back(tmp_path)
        await settles(lambda: inside._executor.free == 2)
        await bench.store.write(Write(clock=bench.clock.now()))
        assert inside._scheduler.used_seconds("p") == 0
        after = await bench.session(session_id)
        assert (after.queued, after.running) == (0, 0)
        assert after.transitions == before.transitions
        assert after.last_job_completed == before.last_job_completed
        assert after.on_device_seconds == before.on_device_seconds
        assert stored(tmp_path) == kept
        told = [record.getMessage().split(",")[0].split(":")[0] for record in caplog.records]
        assert told == (
            ["a change cannot be stored"]
            if refusal is refuse
            else ["the store cannot be written", "the store can be written again"]
        )
        assert await bench.submits(session_id)

    with_bench(tmp_path, body, min_job_seconds=seconds)


@pytest.mark.usefixtures("patient")
def test_a_job_whose_worker_dies_while_it_is_stored_runs_again(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        session_id = await warmed(bench)
        inside = bench.coordinator
        with slow_disk(tmp_path):
            submitting = asyncio.create_task(bench.submits(session_id))
            await settles(lambda: bool(inside._live.interim))
            (job_id,) = inside._live.arriving
            os.kill(bench.pid(job_id), signal.SIGKILL)
            await settles(lambda: any(inside._live.arriving.values()))
        assert await submitting == job_id
        await bench.running(job_id, attempt=2)
        assert await inside.cancel_job(job_id)
        bench.nothing_left()

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER)


@pytest.mark.usefixtures("patient")
def test_what_is_asked_for_again_starts_nothing_twice(tmp_path: Path) -> None:
    async def main() -> None:
        job = Job("", "o", "fake_manila", "sampler", NOON)
        async with going(Bench(tmp_path)) as bench:
            job_id = await bench.coordinator.submit(job, COIN, "key")
            await bench.ended(job_id)
            inside = bench.coordinator
            with slow_disk(tmp_path):
                again = asyncio.create_task(inside.submit(job, COIN, "key"))
                await settles(lambda: bool(inside._live.arriving))
                await settles(lambda: not inside._live.bell.rung)
                (new,) = inside._live.jobs.values()
                assert new.state is JobState.QUEUED
                assert inside.queue_length("fake_manila") == 0
            assert await again == job_id
            bench.nothing_left()
        # A runtime that has not seen the key may begin with it.
        async with going(Bench(tmp_path)) as bench:
            assert await bench.coordinator.submit(job, COIN, "key") == job_id
            await settles(lambda: bench.coordinator._executor.free == 2)
            assert len((await bench.store.jobs("o", JobFilter()))[0]) == 1
            bench.nothing_left()

    asyncio.run(main())


def test_a_client_that_hangs_up_while_its_job_is_stored_leaves_a_job_that_ends(
    tmp_path: Path,
) -> None:
    async def body(bench: Bench) -> None:
        submitting = asyncio.create_task(bench.submits())
        await settles(lambda: bool(bench.coordinator._live.jobs))
        (job_id,) = bench.coordinator._live.jobs
        submitting.cancel()
        await settles(lambda: not bench.coordinator._live.arriving)
        assert (await bench.ended(job_id)).state is JobState.COMPLETED
        bench.nothing_left()

    with_bench(tmp_path, body)
