"""Dispatching: from the queue through a worker to the end."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from qsession_widget.runtime.control import at_hand
from qsession_widget.runtime.pieces import Content
from qsession_widget.runtime.store import database, store
from qsession_widget.runtime.store.store import StoreUnavailableError
from qsession_widget.runtime.store.writes import SetClock
from qsession_widget.runtime.worker.messages import Done, Expected, Interim, Lost
from qsession_widget.wire import codec
from qsession_widget.wire.states import (
    JOB_FAILED,
    RAN_TOO_LONG,
    JobState,
    SessionState,
    Stage,
)
from tests.runtime.bench import FOR_EVER, Bench, going, settles
from tests.runtime.stores import on_both

if TYPE_CHECKING:
    from pathlib import Path


@on_both
async def test_a_job_runs_and_leaves_nothing_behind(bench: Bench) -> None:
    session_id = await bench.opens()
    job_ids = [await bench.submits(session_id) for _ in range(5)]
    jobs = [await bench.ended(job_id) for job_id in job_ids]
    assert {job.state for job in jobs} == {JobState.COMPLETED}
    text = await bench.store.result(job_ids[0])
    assert isinstance(text, str)
    assert codec.loads(text)[0].data.meas.num_shots == 10
    assert (await bench.session(session_id)).state is SessionState.ACTIVE
    await bench.coordinator.close_session(session_id)
    assert (await bench.session(session_id)).state is SessionState.CLOSED
    await bench.nothing_left()
    assert bench.coordinator.idle


async def test_one_job_at_a_time_on_a_device(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER, workers=3)) as bench:
        first, second = await bench.submits(), await bench.submits()
        other = await bench.submits(backend="fake_torino")
        await bench.running(first)
        await bench.running(other)
        assert (await bench.job(second)).state is JobState.QUEUED
        jobs = [await bench.job(second)]
        assert bench.coordinator.queue_positions(jobs) == {second: 1}
        await bench.coordinator.cancel_job(first)
        await bench.running(second)


async def test_a_worker_prepares_for_a_session_when_it_is_opened(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, workers=3)) as bench:
        session_id = await bench.opens()
        workers = bench.pool._workers
        assert [each.affinity for each in workers].count(session_id) == 1
        job_id = await bench.submits(session_id)
        await bench.ended(job_id)
        assert [each.affinity for each in workers].count(session_id) == 1, "it also got the job"


async def test_a_job_whose_worker_dies_is_retried_once_and_then_failed(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        session_id = await bench.opens()
        job_id = await bench.submits(session_id)
        waiting = await bench.submits(session_id)
        os.kill(await bench.running(job_id), signal.SIGSEGV)
        os.kill(await bench.running(job_id, attempt=2), signal.SIGSEGV)
        job = await bench.ended(job_id)
        assert (job.state, job.reason_code) == (JobState.FAILED, JOB_FAILED)
        assert job.reason is not None
        assert f"died 2 times, last with status {-signal.SIGSEGV}" in job.reason
        await bench.running(waiting)


@on_both
async def test_the_retry_succeeds_and_keeps_its_place_in_the_queue(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=0.3)) as bench:
        job_id, second = await bench.submits(), await bench.submits()
        os.kill(await bench.running(job_id), signal.SIGKILL)
        job = await bench.ended(job_id)
        assert (job.state, job.attempts) == (JobState.COMPLETED, 2)
        assert (await bench.ended(second)).started_at is not None
        await bench.nothing_left()


async def test_an_event_counts_only_for_the_attempt_that_runs(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        job_id = await bench.submits()
        os.kill(await bench.running(job_id), signal.SIGSEGV)
        await bench.running(job_id, attempt=2)
        inside = bench.coordinator
        assert inside._state.attempt(job_id) == 2
        before = await bench.job(job_id), list(inside.interim(job_id))
        for event in (Interim("late"), Expected(9.0, "late"), Done("late", 0.1), Lost(None)):
            inside._on_event(job_id, 1, event)
            inside._on_event("unknown", 1, event)
        inside._on_event(job_id, 1, Done(Content([b"late"]), 0.1))
        await settles(lambda: not inside._state.wake_up.requested)
        assert (await bench.job(job_id), inside.interim(job_id)) == before
        inside._on_event(job_id, 2, Done("{}", 0.1))
        assert (await bench.ended(job_id)).state is JobState.COMPLETED
        assert await bench.store.result(job_id) == "{}"


async def test_a_job_beyond_its_limit_is_stopped(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        job_id = await bench.submits(cost_seconds=100)
        await bench.running(job_id)
        bench.clock.moves(seconds=99)
        bench.coordinator._look()
        assert (await bench.job(job_id)).state is JobState.RUNNING
        bench.clock.moves(seconds=1)
        bench.coordinator._look()
        job = await bench.ended(job_id)
        assert (job.state, job.reason_code) == (JobState.CANCELLED, RAN_TOO_LONG)
        assert "100 s" in str(job.reason)


async def test_tags_given_while_a_jobs_payload_is_read_do_not_keep_it_from_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_hand, "LARGEST", 0)

    async with going(Bench(tmp_path)) as bench:
        job_id = await bench.submits()
        inside = bench.coordinator
        while not inside._dispatcher._handing_over:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        await inside.set_tags(inside._state.require(job_id), ("new",))
        job = await bench.ended(job_id)
        assert (job.state, job.tags) == (JobState.COMPLETED, ("new",))


async def test_a_job_that_max_time_stops_does_not_end_again_with_the_result_that_showed_it(
    tmp_path: Path,
) -> None:
    """The machine slept past the maximum time, and the first event is a worker's message."""

    async with going(Bench(tmp_path, min_job_seconds=0.6, stop_at_max_time=True)) as bench:
        session_id = await bench.opens(seconds=600)
        job_id = await bench.submits(session_id)
        other = await bench.submits(session_id)
        await bench.running(job_id)
        bench.clock.moves(hours=1)
        assert (await bench.ended(other)).state is JobState.FAILED
        await settles(lambda: bench.coordinator._executor.free == 2)
        await bench.store.write(SetClock(bench.clock.now()))
        job = await bench.job(job_id)
        assert (job.state, job.reason_code) == (JobState.CANCELLED, RAN_TOO_LONG)
        assert await bench.store.result(job_id) is None
        assert bench.coordinator._state.pending("o") == 0
        await bench.nothing_left()


async def test_a_payload_that_cannot_be_read_fails_its_job_and_frees_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Large payloads are always read from the store; here all are large.
    monkeypatch.setattr(at_hand, "LARGEST", 0)

    async with going(Bench(tmp_path)) as bench:
        with closing(sqlite3.connect(tmp_path / "runtime.db")) as other:
            other.execute(
                "create trigger lose after insert on payloads "
                "begin delete from payloads where job_id = new.job_id; end"
            )
        job = await bench.ended(await bench.submits())
        assert (job.state, job.reason) == (
            JobState.FAILED,
            "Its payload cannot be read: it is not there.",
        )
        with closing(sqlite3.connect(tmp_path / "runtime.db")) as other:
            other.execute("drop trigger lose")
        assert (await bench.ended(await bench.submits())).state is JobState.COMPLETED
        await bench.nothing_left()


async def test_a_job_waiting_for_its_device_yields_its_worker_to_an_idle_device(
    tmp_path: Path,
) -> None:
    """Two workers, a device with a job of hours and one behind it; then comes a third job."""

    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER, lanes=3)) as bench:
        first, second = [await bench.submits() for _ in range(2)]
        device = bench.coordinator._scheduler._device("fake_manila")
        await settles(lambda: len(device.prepared) == 1)
        on_device, waiting = str(device.on_device), device.prepared[0]
        assert {on_device, waiting} == {first, second}
        process = bench.pid(waiting)
        other = await bench.submits(owner="p", backend="fake_torino")
        await bench.until(other, lambda job: job.stage is Stage.ON_DEVICE, "p")
        assert bench.pid(other) == process, "the worker lives, and keeps its caches"
        assert bench.coordinator._scheduler.in_work("fake_manila") == [on_device]
        job = await bench.job(waiting)
        assert (job.state, job.attempts, job.prepared_at) == (JobState.QUEUED, 0, None)
        await bench.coordinator.cancel_job(other)
        await settles(lambda: len(device.prepared) == 1)
        for job_id in (on_device, waiting):
            assert await bench.coordinator.cancel_job(job_id)
        await bench.nothing_left()


async def test_nothing_starts_while_the_store_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 20)
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)

    async with going(Bench(tmp_path, min_job_seconds=0.3)) as bench:
        first, second = await bench.submits(), await bench.submits()
        await bench.until(first, lambda job: job.state is JobState.RUNNING)
        inside = bench.coordinator
        with closing(sqlite3.connect(tmp_path / "runtime.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            with pytest.raises(StoreUnavailableError):
                await bench.submits()
            await settles(lambda: inside._state.job(first) is None)
            await settles(lambda: inside._dispatcher._probe is not None)
            assert inside._state.require(second).state is JobState.QUEUED
            assert inside._executor.free == 2
            other.execute("rollback")
        assert (await bench.ended(second)).state is JobState.COMPLETED
        assert inside._dispatcher._probe is None
        await bench.nothing_left()
