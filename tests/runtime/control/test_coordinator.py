"""The coordinator with a real store and real workers: races, faults and leftovers."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.store import database, store
from qsession_widget.runtime.store.writes import Update
from qsession_widget.wire.states import (
    JOB_FAILED,
    JobState,
    SessionState,
    Stage,
)
from tests.runtime import stores
from tests.runtime.bench import FOR_EVER, NOON, Bench, going, settles
from tests.runtime.stores import on_both

if TYPE_CHECKING:
    from pathlib import Path


@on_both
async def test_a_shutdown_does_not_count_as_an_attempt(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        job_id = await bench.submits()
        await bench.running(job_id)
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        os.kill(await bench.running(job_id), signal.SIGKILL)
        await bench.running(job_id, attempt=2)


@on_both
async def test_a_job_whose_runtime_dies_is_retried_once_and_then_failed(
    tmp_path: Path,
) -> None:
    """A crash leaves the job running on disk; a shutdown does not."""

    def dies(job_id: str) -> None:
        stores.change(
            tmp_path,
            "update jobs set state = 'Running', started_at = created_at, attempts = 1 where id = ?",
            job_id,
        )

    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        session_id = await bench.opens()
        job_id = await bench.submits(session_id)
        await bench.running(job_id)
    dies(job_id)
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        await bench.running(job_id)
        assert (await bench.job(job_id)).interruptions == 1
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        await bench.running(job_id)
        assert (await bench.job(job_id)).interruptions == 1, "a shutdown is no crash"
    dies(job_id)
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        job = await bench.ended(job_id)
        assert (job.state, job.reason_code, job.interruptions) == (
            JobState.FAILED,
            JOB_FAILED,
            2,
        )
        assert "2 times when the runtime died" in str(job.reason)
        assert job.device_seconds == 0
        await bench.running(await bench.submits(session_id)), "and the others go on"


@on_both
async def test_a_job_can_be_cancelled_at_every_moment(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        for turns in range(40):
            job_id = await bench.submits()
            for _ in range(turns):
                await asyncio.sleep(0)
            assert await bench.coordinator.cancel_job(job_id)
            assert (await bench.job(job_id)).state is JobState.CANCELLED
            assert not await bench.coordinator.cancel_job(job_id), "it has ended already"
        last = await bench.submits()
        await bench.running(last)
        assert await bench.coordinator.cancel_job(last)
        await bench.nothing_left()
        executor = bench.coordinator._executor
        await settles(lambda: executor.free == 2)


async def test_a_cancellation_at_the_moment_of_the_end_reports_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response agrees with later reads: the job's end is on disk."""
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 20)
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)

    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        inside = bench.coordinator
        session_id = await bench.opens()
        first, queued = [await bench.submits(session_id) for _ in range(2)]
        await bench.running(first)
        with closing(sqlite3.connect(tmp_path / "runtime.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            cancelling = [
                asyncio.create_task(inside.cancel_job(first)),
                asyncio.create_task(inside.cancel_session(session_id)),
            ]
            await settles(lambda: not inside._state.unfinished)
            assert inside._state._ending.keys() == {first, queued}
            late = [asyncio.create_task(inside.cancel_job(job_id)) for job_id in (first, queued)]
            await settles(lambda: not inside._state.wake_up.requested)
            assert not any(each.done() for each in late), "nothing is on disk yet"
            assert inside.unfinished("o", queued)
            other.execute("rollback")
        assert await asyncio.gather(*late) == [False, False]
        for job_id in (first, queued):
            assert (await bench.job(job_id)).state is JobState.CANCELLED
        await asyncio.gather(*cancelling)
        assert not inside._state._ending


@on_both
async def test_a_cancellation_interrupted_by_a_crash_is_resumed(
    tmp_path: Path,
) -> None:
    async with going(Bench(tmp_path)) as bench:
        session_id = await bench.opens()
        # Another user's session has the device, so that nothing starts.
        bench.coordinator._scheduler._lanes = 0
        job_ids = [await bench.submits(session_id) for _ in range(3)]
        session = bench.coordinator._state._sessions[session_id]
        await bench.store.write(Update(sessions=(lifecycle.begin_to_cancel(session),)))
    async with going(Bench(tmp_path)) as bench:
        assert (await bench.closed(session_id)).state_reason == lifecycle.CANCELLED_BY_USER
        for job_id in job_ids:
            assert (await bench.ended(job_id)).state is JobState.CANCELLED
        await bench.nothing_left()


async def test_tags_given_at_the_moment_of_a_jobs_end_leave_the_end_alone(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=3_600)) as bench:
        job_id = await bench.submits()
        await bench.running(job_id)
        as_read = await bench.job(job_id)
        assert as_read.state is JobState.RUNNING
        ending = asyncio.create_task(bench.coordinator.cancel_job(job_id))
        await asyncio.sleep(0)
        assert not ending.done(), "its end is being stored"
        await bench.coordinator.set_tags(as_read, ("late",))
        await ending
        job = await bench.job(job_id)
        assert (job.state, job.tags) == (JobState.CANCELLED, ("late",))
        assert job.ended_at is not None


@on_both
async def test_a_running_job_can_be_deleted(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        job_id = await bench.submits()
        await bench.running(job_id)
        with bench.coordinator.notifier.watch(job_id) as changed:
            await bench.coordinator.delete_job(job_id)
            assert changed.is_set()
        assert await bench.store.job("o", job_id) is None
        assert await bench.store.params(job_id) is None
        await bench.nothing_left()
        await bench.running(await bench.submits())


@on_both
async def test_revisions_do_not_come_again_after_deletions_and_a_restart(tmp_path: Path) -> None:
    async with going(Bench(tmp_path)) as bench:
        session_id = await bench.opens()
        job_id = await bench.submits(session_id)
        await bench.ended(job_id)
        known = (await bench.job(job_id)).revision
        await bench.coordinator.delete_job(job_id)
    bench = Bench(tmp_path)
    bench.clock.moves(seconds=1)
    async with going(bench):
        new = await bench.submits(session_id)
        assert (await bench.job(new)).revision > known


async def test_a_session_reserves_its_device_until_there_are_several_owners(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        session_id = await bench.opens()
        mine = await bench.submits(session_id)
        await bench.running(mine)
        single = await bench.submits(owner="p")
        await bench.coordinator.cancel_job(mine)
        await settles(lambda: not bench.coordinator._state.wake_up.requested)
        assert bench.coordinator.policy == "dedicated"
        assert (await bench.job(single, "p")).state is JobState.QUEUED
        bench.owners = 2
        await bench.submits(owner="p")
        await bench.until(single, lambda job: job.state is JobState.RUNNING, "p")


@pytest.mark.parametrize("policy", ["dedicated", "shared"])
async def test_a_policy_that_was_set_does_not_depend_on_the_owners(
    tmp_path: Path, policy: str
) -> None:
    async with going(Bench(tmp_path, policy=policy)) as bench:
        for bench.owners in (1, 2):
            assert bench.coordinator.policy == policy


@on_both
async def test_usage_is_restored_after_a_restart(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        for owner, seconds in (("o", 40), ("p", 20)):
            job_id = await bench.submits(owner=owner)
            await bench.until(job_id, lambda job: job.stage is Stage.ON_DEVICE, owner)
            bench.clock.moves(seconds=seconds)
            await bench.coordinator.cancel_job(job_id)
        session_id = await bench.opens()
        job_id = await bench.submits(session_id)
        await bench.running(job_id)
        bench.clock.moves(seconds=5)
        await bench.coordinator.cancel_session(session_id)
        assert await bench.coordinator.cancel_job(job_id)
        used = {name: bench.coordinator._scheduler.used_seconds(name) for name in "op"}
    assert used == {"o": 45, "p": 20}
    bench = Bench(tmp_path)
    bench.clock.moves(minutes=5)
    async with going(bench):
        inside = bench.coordinator._scheduler
        assert {name: inside.used_seconds(name) for name in "op"} == used
    bench = Bench(tmp_path)
    bench.clock.moves(days=29)
    async with going(bench):
        assert bench.coordinator._scheduler.used_seconds("o") == 0


@on_both
async def test_the_clock_continues_from_the_store_when_the_machines_was_set_back(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    bench.clock.moves(hours=1)
    async with going(bench):
        session_id = await bench.opens()
        await bench.ended(await bench.submits(session_id))
    # The machine's clock was set back by an hour.
    bench = Bench(tmp_path)
    async with going(bench):
        assert bench.clock.now() == NOON + timedelta(hours=1)
        bench.clock.moves(seconds=60)
        assert await bench.submits(session_id)
        session = await bench.session(session_id)
        assert session.transitions[-1] == (
            SessionState.INACTIVE,
            NOON + timedelta(hours=1, seconds=60),
        )
