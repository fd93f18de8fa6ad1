"""Each change of a session or a job, in memory and in the store."""

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
from qsession_widget.runtime.model.lifecycle import NotAcceptingJobsError
from qsession_widget.runtime.store import database, store
from qsession_widget.runtime.store.store import StoreUnavailableError
from qsession_widget.runtime.worker.lru_cache import Figures
from qsession_widget.runtime.worker.messages import Done
from qsession_widget.wire.states import (
    JOB_FAILED,
    RAN_TOO_LONG,
    JobState,
    Mode,
    SessionState,
    Stage,
)
from tests.runtime.bench import FOR_EVER, NOON, Bench, going, settles
from tests.runtime.stores import on_both

if TYPE_CHECKING:
    from pathlib import Path


@on_both
async def test_many_jobs_are_cancelled_in_turns_and_none_of_them_starts_meanwhile(
    tmp_path: Path,
) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        single = [await bench.submits() for _ in range(250)]
        await bench.running(single[0])
        session_id = await bench.opens()
        job_ids = [await bench.submits(session_id) for _ in range(250)]
        turns = 0

        async def others() -> None:
            nonlocal turns
            while not cancelling.done():
                turns += 1
                await asyncio.sleep(0)

        cancelling = asyncio.create_task(bench.coordinator.cancel_session(session_id))
        await asyncio.gather(cancelling, others())
        assert turns >= 250 / 100
        found = [await bench.job(job_id) for job_id in job_ids]
        assert {(job.state, job.started_at) for job in found} == {(JobState.CANCELLED, None)}
        assert (await bench.session(session_id)).state is SessionState.CLOSED
        await bench.coordinator.cancel_all("o")
        assert {(await bench.job(job_id)).state for job_id in single} == {JobState.CANCELLED}
        await bench.nothing_left()


async def test_cancelling_a_session_while_a_job_is_being_stored_ends_that_job(bench: Bench) -> None:
    session_id = await bench.opens()
    submitting = asyncio.create_task(bench.submits(session_id))
    await asyncio.sleep(0)
    assert not submitting.done()
    await bench.coordinator.cancel_session(session_id)
    job_id = await submitting
    assert (await bench.job(job_id)).state is JobState.CANCELLED
    session = await bench.session(session_id)
    assert (session.state, session.queued) == (SessionState.CLOSED, 0)
    await bench.nothing_left()


async def test_closing_a_session_while_a_job_is_being_stored_lets_that_job_run(
    bench: Bench,
) -> None:
    session_id = await bench.opens()
    submitting = asyncio.create_task(bench.submits(session_id))
    await asyncio.sleep(0)
    await bench.coordinator.close_session(session_id)
    with pytest.raises(NotAcceptingJobsError):
        await bench.submits(session_id)
    assert (await bench.ended(await submitting)).state is JobState.COMPLETED
    assert (await bench.session(session_id)).state is SessionState.CLOSED


async def test_a_job_that_ran_past_max_time_completes_and_closes_its_session_then(
    tmp_path: Path,
) -> None:
    async with going(Bench(tmp_path, min_job_seconds=0.3)) as bench:
        session_id = await bench.opens(seconds=600)
        job_id = await bench.submits(session_id)
        queued = await bench.submits(session_id)
        await bench.until(job_id, lambda job: job.state is JobState.RUNNING)
        bench.clock.moves(hours=1)
        assert (await bench.ended(job_id)).state is JobState.COMPLETED
        dropped = await bench.ended(queued)
        assert (dropped.state, dropped.ended_at) == (JobState.FAILED, NOON + timedelta(seconds=600))
        session = await bench.session(session_id)
        assert session.closed_at == NOON + timedelta(hours=1)
        assert [state for state, _ in session.transitions] == [
            SessionState.OPEN,
            SessionState.ACTIVE,
            SessionState.PENDING_CLOSED,
            SessionState.CLOSED,
        ]


async def test_a_result_that_cannot_be_stored_fails_its_job_with_a_reason(
    bench: Bench, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "runtime.db")) as other:
        other.execute(
            "create trigger refuse before insert on results "
            "begin select raise(abort, 'no room'); end"
        )
    session_id = await bench.opens()
    job_id = await bench.submits(session_id)
    job = await bench.ended(job_id)
    assert (job.state, job.reason_code) == (JobState.FAILED, JOB_FAILED)
    assert "cannot be stored" in str(job.reason)
    assert (await bench.session(session_id)).queued == 0
    with closing(sqlite3.connect(tmp_path / "runtime.db")) as other:
        other.execute("drop trigger refuse")
    assert (await bench.ended(await bench.submits(session_id))).state is JobState.COMPLETED
    await bench.nothing_left()


async def test_a_result_waits_until_the_store_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 20)
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)

    async with going(Bench(tmp_path, min_job_seconds=0.3)) as bench:
        session_id = await bench.opens()
        job_id = await bench.submits(session_id)
        await bench.until(job_id, lambda job: job.state is JobState.RUNNING)
        with closing(sqlite3.connect(tmp_path / "runtime.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            await settles(lambda: not bench.coordinator._state.unfinished)
            with pytest.raises(StoreUnavailableError):
                await bench.submits(session_id)
            assert (await bench.job(job_id)).state is JobState.RUNNING, (
                "the job is still running for everyone"
            )
            other.execute("rollback")
        assert (await bench.ended(job_id)).state is JobState.COMPLETED
        assert await bench.store.result(job_id) is not None
        await bench.coordinator.close_session(session_id)
        session = await bench.session(session_id)
        assert session.state is SessionState.CLOSED, "the refused job does not keep it open"
        await bench.nothing_left()


@pytest.mark.parametrize("stops", [False, True])
async def test_at_max_time_running_jobs_go_on_unless_they_are_to_be_stopped(
    tmp_path: Path, *, stops: bool
) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER, stop_at_max_time=stops)) as bench:
        session_id = await bench.opens(seconds=600)
        running, queued = await bench.submits(session_id), await bench.submits(session_id)
        await bench.running(running)
        bench.clock.moves(seconds=600)
        bench.coordinator._look()
        assert (await bench.ended(queued)).state is JobState.FAILED
        if not stops:
            assert (await bench.session(session_id)).state is SessionState.PENDING_CLOSED
            await bench.coordinator.cancel_job(running)
        job = await bench.ended(running)
        assert (job.reason_code == RAN_TOO_LONG) is stops
        closed = await bench.closed(session_id)
        assert closed.closed_at == NOON + timedelta(seconds=600)
        await bench.nothing_left()


@on_both
async def test_the_stages_of_a_job_are_kept_and_its_time_on_the_device_is_its_use(
    tmp_path: Path,
) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        session_id = await bench.opens(Mode.BATCH)
        job_id = await bench.submits(session_id)
        await bench.running(job_id)
        shown = await bench.until(job_id, lambda job: job.stage is Stage.ON_DEVICE)
        assert (shown.preparing_at, shown.on_device_at) == (NOON, NOON)
        assert shown.post_processing_at is None
        bench.clock.moves(seconds=40)
        await bench.coordinator.cancel_job(job_id)
        job = await bench.job(job_id)
        assert job.stage is None
        assert job.on_device_at == NOON
        assert job.device_seconds == 40, "a cancelled job is charged for its usage"
        assert (await bench.session(session_id)).usage_seconds(bench.clock.now()) == 40
        assert bench.coordinator._scheduler.used_seconds("o") == 40


async def test_a_job_that_cannot_be_prepared_was_never_on_the_device(bench: Bench) -> None:
    job = await bench.ended(await bench.submits(params='{"pubs": [[1]]}'))
    assert job.state is JobState.FAILED
    assert (job.preparing_at, job.on_device_at, job.device_seconds) == (NOON, None, 0)


async def test_a_dying_worker_costs_the_user_nothing(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        job_id = await bench.submits()
        for attempt in (1, 2):
            pid = await bench.running(job_id, attempt)
            bench.clock.moves(seconds=30)
            os.kill(pid, signal.SIGKILL)
        job = await bench.ended(job_id)
        assert (job.state, job.device_seconds) == (JobState.FAILED, 0)
        # It occupied a worker, which counts for the order of owners.
        assert bench.coordinator._scheduler.used_seconds("o") == 30


async def test_a_pending_outcome_has_the_tags_that_were_set_while_it_was_stored(
    tmp_path: Path,
) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        job_id = await bench.submits()
        await bench.running(job_id)
        inside = bench.coordinator
        inside._dispatcher.receive(job_id, 1, Done("{}", 0.1, Figures()))
        await inside.set_tags(await bench.job(job_id), ("new",))
        assert (await bench.ended(job_id)).tags == ("new",)
        at_hand = inside.take_outcome("o", job_id)
        assert at_hand is None or at_hand[0].tags == ("new",)


async def test_many_jobs_end_in_turns_at_their_sessions_maximum_time(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        session_id = await bench.opens(seconds=600)
        first = await bench.submits(session_id)
        await bench.running(first)
        job_ids = [await bench.submits(session_id) for _ in range(250)]
        other = await bench.submits()
        started = (await bench.job(first)).started_at
        assert started is not None
        turns = 0
        bench.clock.moves(seconds=700)
        inside = bench.coordinator
        assert inside.session("o", session_id) is not None, "its first job goes on"
        assert inside._transitions.busy
        with pytest.raises(lifecycle.NotAcceptingJobsError):
            await bench.submits(session_id)
        while inside._transitions.busy:
            turns += 1
            inside._look()
            await asyncio.sleep(0)
        assert turns > 250 / 100
        found = [await bench.job(job_id) for job_id in job_ids]
        deadline = started + timedelta(seconds=600)
        assert {(job.state, job.started_at, job.ended_at, job.reason) for job in found} == {
            (JobState.FAILED, None, deadline, lifecycle.MAX_TIME_REASON)
        }
        session = await bench.session(session_id)
        assert session.transitions[-1] == (SessionState.PENDING_CLOSED, deadline)
        assert "maximum time" in session.state_reason
        await inside.cancel_job(first)
        assert (await bench.closed(session_id)).queued == 0
        await bench.running(other)
        await inside.cancel_job(other)
        await bench.nothing_left()
