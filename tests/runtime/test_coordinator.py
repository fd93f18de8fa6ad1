"""The coordinator with a real store and real workers: races, faults, and what is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from qsession_widget.runtime.control import state as live
from qsession_widget.runtime.control.worker_pool import Done
from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.lifecycle import NotAcceptingJobsError, Session
from qsession_widget.runtime.store import store
from qsession_widget.runtime.store.store import StoreUnavailableError, Write
from qsession_widget.runtime.worker.lru_cache import Figures
from qsession_widget.wire import codec
from qsession_widget.wire.states import (
    JOB_FAILED,
    RAN_TOO_LONG,
    JobState,
    Mode,
    SessionState,
    Stage,
)
from tests.conftest import DEADLINE_SECONDS
from tests.runtime.bench import FOR_EVER, NOON, Bench, going, settles, with_bench

if TYPE_CHECKING:
    from pathlib import Path


def test_a_job_runs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        session_id = await bench.opens()
        job_ids = [await bench.submits(session_id) for _ in range(5)]
        jobs = [await bench.ended(job_id) for job_id in job_ids]
        assert {job.state for job in jobs} == {JobState.COMPLETED}
        text = await bench.store.result(job_ids[0])
        assert text is not None
        assert codec.loads(text)[0].data.meas.num_shots == 10
        assert (await bench.session(session_id)).state is SessionState.ACTIVE
        await bench.coordinator.close_session(session_id)
        assert (await bench.session(session_id)).state is SessionState.CLOSED
        bench.nothing_left()
        assert bench.coordinator.idle

    with_bench(tmp_path, body)


def test_one_job_at_a_time_on_a_device(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        first, second = await bench.submits(), await bench.submits()
        other = await bench.submits(backend="fake_torino")
        await bench.running(first)
        await bench.running(other)
        assert (await bench.job(second)).state is JobState.QUEUED
        jobs = [await bench.job(second)]
        assert bench.coordinator.queue_positions(jobs) == {second: 1}
        await bench.coordinator.cancel_job(first)
        await bench.running(second)

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER, workers=3)


# -- workers -------------------------------------------------------------------------------


def test_a_worker_is_told_of_a_session_when_it_is_opened(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        session_id = await bench.opens()
        workers = bench.coordinator._pool._workers
        assert [each.affinity for each in workers].count(session_id) == 1
        job_id = await bench.submits(session_id)
        await bench.ended(job_id)
        assert [each.affinity for each in workers].count(session_id) == 1, "it got the job, too"

    with_bench(tmp_path, body, workers=3)


def test_a_job_whose_worker_dies_is_tried_once_more_and_then_failed(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
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

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER)


def test_the_retry_succeeds_and_keeps_its_place_in_the_queue(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        job_id, second = await bench.submits(), await bench.submits()
        os.kill(await bench.running(job_id), signal.SIGKILL)
        job = await bench.ended(job_id)
        assert (job.state, job.attempts) == (JobState.COMPLETED, 2)
        assert (await bench.ended(second)).started_at is not None
        bench.nothing_left()

    with_bench(tmp_path, body, min_job_seconds=0.3)


def test_the_runtimes_own_end_does_not_count_as_an_attempt(tmp_path: Path) -> None:
    async def main() -> None:
        async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
            job_id = await bench.submits()
            await bench.running(job_id)
        async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
            os.kill(await bench.running(job_id), signal.SIGKILL)
            await bench.running(job_id, attempt=2)

    asyncio.run(main())


def test_a_job_under_which_the_runtime_dies_is_tried_once_more_and_then_failed(
    tmp_path: Path,
) -> None:
    """A death is one that leaves the job running on disk, as no end by itself does."""

    def dies(job_id: str) -> None:
        with closing(sqlite3.connect(tmp_path / "runtime.db")) as other, other:
            other.execute(
                "update jobs set state = 'Running', started_at = created_at, attempts = 1 "
                "where id = ?",
                (job_id,),
            )

    async def main() -> None:
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
            assert (await bench.job(job_id)).interruptions == 1, "an end is no death"
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

    asyncio.run(main())


def test_a_job_beyond_its_limit_is_stopped(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
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

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER)


# -- races ---------------------------------------------------------------------------------


def test_a_job_can_be_cancelled_at_every_moment_of_its_way(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
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
        bench.nothing_left()
        executor = bench.coordinator._pool
        await settles(lambda: executor.free == 2)

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER)


def test_who_cancels_in_the_moment_of_the_end_is_told_of_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is answered is what can be read then: it is on disk that the job has ended."""
    monkeypatch.setattr(store, "BUSY_MILLISECONDS", 20)
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)

    async def body(bench: Bench) -> None:
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
            await settles(lambda: not inside._state.jobs)
            assert inside._state.ending.keys() == {first, queued}
            late = [asyncio.create_task(inside.cancel_job(job_id)) for job_id in (first, queued)]
            await settles(lambda: not inside._state.wake_up.requested)
            assert not any(each.done() for each in late), "there is nothing to be read yet"
            assert inside.unfinished("o", queued)
            other.execute("rollback")
        assert await asyncio.gather(*late) == [False, False]
        for job_id in (first, queued):
            assert (await bench.job(job_id)).state is JobState.CANCELLED
        await asyncio.gather(*cancelling)
        assert not inside._state.ending

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER)


def test_many_jobs_are_cancelled_in_turns_and_none_of_them_starts_meanwhile(
    tmp_path: Path,
) -> None:
    async def body(bench: Bench) -> None:
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
        bench.nothing_left()

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER)


def test_many_jobs_end_in_turns_at_their_sessions_maximum_time(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
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
        bench.nothing_left()

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER)


def test_a_cancellation_that_the_runtimes_death_cut_off_is_gone_on_with(tmp_path: Path) -> None:
    async def main() -> None:
        async with going(Bench(tmp_path)) as bench:
            session_id = await bench.opens()
            # Another's session has the device, so that nothing starts.
            bench.coordinator._scheduler._lanes = 0
            job_ids = [await bench.submits(session_id) for _ in range(3)]
            session = bench.coordinator._state.sessions[session_id]
            await bench.store.write(Write(sessions=(lifecycle.begin_to_cancel(session),)))
        async with going(Bench(tmp_path)) as bench:
            assert (await bench.closed(session_id)).state_reason == lifecycle.CANCELLED_BY_USER
            for job_id in job_ids:
                assert (await bench.ended(job_id)).state is JobState.CANCELLED
            bench.nothing_left()

    asyncio.run(main())


def test_tags_given_at_the_moment_of_a_jobs_end_leave_the_end_alone(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        job_id = await bench.submits()
        await bench.running(job_id)
        as_read = await bench.job(job_id)
        assert as_read.state is JobState.RUNNING
        ending = asyncio.create_task(bench.coordinator.cancel_job(job_id))
        await asyncio.sleep(0)
        assert not ending.done(), "its end is on the way to the disk"
        await bench.coordinator.set_tags(as_read, ("late",))
        await ending
        job = await bench.job(job_id)
        assert (job.state, job.tags) == (JobState.CANCELLED, ("late",))
        assert job.ended_at is not None

    with_bench(tmp_path, body, min_job_seconds=3_600)


def test_tags_given_while_a_jobs_payload_is_read_do_not_keep_it_from_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LARGEST_AT_HAND", 0)

    async def body(bench: Bench) -> None:
        job_id = await bench.submits()
        inside = bench.coordinator
        while not inside._dispatcher.handing_over:  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)
        await inside.set_tags(inside._state.jobs[job_id], ("new",))
        job = await bench.ended(job_id)
        assert (job.state, job.tags) == (JobState.COMPLETED, ("new",))

    with_bench(tmp_path, body)


def test_cancelling_a_session_while_a_job_is_being_stored_ends_that_job(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        session_id = await bench.opens()
        submitting = asyncio.create_task(bench.submits(session_id))
        await asyncio.sleep(0)
        assert not submitting.done()
        await bench.coordinator.cancel_session(session_id)
        job_id = await submitting
        assert (await bench.job(job_id)).state is JobState.CANCELLED
        session = await bench.session(session_id)
        assert (session.state, session.queued) == (SessionState.CLOSED, 0)
        bench.nothing_left()

    with_bench(tmp_path, body)


def test_closing_a_session_while_a_job_is_being_stored_lets_that_job_run(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        session_id = await bench.opens()
        submitting = asyncio.create_task(bench.submits(session_id))
        await asyncio.sleep(0)
        await bench.coordinator.close_session(session_id)
        with pytest.raises(NotAcceptingJobsError):
            await bench.submits(session_id)
        assert (await bench.ended(await submitting)).state is JobState.COMPLETED
        assert (await bench.session(session_id)).state is SessionState.CLOSED

    with_bench(tmp_path, body)


def test_a_running_job_can_be_deleted(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        job_id = await bench.submits()
        await bench.running(job_id)
        with bench.coordinator.notifier.watch(job_id) as changed:
            await bench.coordinator.delete_job(job_id)
            assert changed.is_set()
        assert await bench.store.job("o", job_id) is None
        assert await bench.store.params(job_id) is None
        bench.nothing_left()
        await bench.running(await bench.submits())

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER)


def test_revisions_do_not_come_again_after_deletions_and_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
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

    asyncio.run(main())


# -- late timers ---------------------------------------------------------------------------


def test_a_session_whose_time_is_over_takes_no_job_however_late_its_timer(tmp_path: Path) -> None:
    """The machine slept past the maximum time; the request is the first thing that happens."""

    async def body(bench: Bench) -> None:
        session_id = await bench.opens(seconds=600)
        await bench.ended(await bench.submits(session_id))
        bench.clock.moves(hours=1)
        with pytest.raises(NotAcceptingJobsError):
            await bench.submits(session_id)
        session = await bench.closed(session_id)
        assert session.closed_at == NOON + timedelta(seconds=600)

    with_bench(tmp_path, body)


def test_a_job_that_ran_past_max_time_completes_and_closes_its_session_then(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
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

    with_bench(tmp_path, body, min_job_seconds=0.3)


def test_a_job_that_max_time_stops_does_not_end_again_with_the_result_that_showed_it(
    tmp_path: Path,
) -> None:
    """The machine slept past the maximum time; a worker's word is the first thing that happens."""

    async def body(bench: Bench) -> None:
        session_id = await bench.opens(seconds=600)
        job_id = await bench.submits(session_id)
        other = await bench.submits(session_id)
        await bench.running(job_id)
        bench.clock.moves(hours=1)
        assert (await bench.ended(other)).state is JobState.FAILED
        await settles(lambda: bench.coordinator._pool.free == 2)
        await bench.store.write(Write(clock=bench.clock.now()))
        job = await bench.job(job_id)
        assert (job.state, job.reason_code) == (JobState.CANCELLED, RAN_TOO_LONG)
        assert await bench.store.result(job_id) is None
        assert bench.coordinator._state.pending["o"] == 0
        bench.nothing_left()

    with_bench(tmp_path, body, min_job_seconds=0.6, stop_at_max_time=True)


def test_timers_that_ran_out_while_the_runtime_was_down_count_from_their_time(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with going(Bench(tmp_path)) as bench:
            session_id = await bench.opens()
            await bench.ended(await bench.submits(session_id))
        bench = Bench(tmp_path)
        bench.clock.moves(minutes=30)
        async with going(bench):
            await bench.opens()
            async with asyncio.timeout(DEADLINE_SECONDS):
                with bench.coordinator.notifier.watch(session_id) as changed:
                    while len((session := await bench.session(session_id)).transitions) < 3:
                        await changed.wait()
                        changed.clear()
            assert session.transitions[-1] == (
                SessionState.INACTIVE,
                NOON + timedelta(seconds=60),
            )
            assert session.used_seconds == 60

    asyncio.run(main())


# -- faults --------------------------------------------------------------------------------


def test_one_session_that_cannot_be_dealt_with_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(bench: Bench) -> None:
        poisoned, sound = await bench.opens(), await bench.opens()
        tick = lifecycle.tick

        def failing(session: Session, now: datetime) -> lifecycle.Step:
            if session.id == poisoned:
                raise RuntimeError("poisoned")
            return tick(session, now)

        monkeypatch.setattr(lifecycle, "tick", failing)
        bench.clock.moves(hours=1)
        assert (await bench.ended(await bench.submits())).state is JobState.COMPLETED
        await bench.closed(sound)
        assert bench.coordinator._ticker.timer is not None, "and time goes on"

    with_bench(tmp_path, body)


def test_a_result_that_can_never_be_stored_fails_its_job_by_name(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
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
        bench.nothing_left()

    with_bench(tmp_path, body)


def test_a_result_waits_until_the_store_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BUSY_MILLISECONDS", 20)
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)

    async def body(bench: Bench) -> None:
        session_id = await bench.opens()
        job_id = await bench.submits(session_id)
        await bench.until(job_id, lambda job: job.state is JobState.RUNNING)
        with closing(sqlite3.connect(tmp_path / "runtime.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            await settles(lambda: not bench.coordinator._state.jobs)
            with pytest.raises(StoreUnavailableError):
                await bench.submits(session_id)
            assert (await bench.job(job_id)).state is JobState.RUNNING, "nobody was told otherwise"
            other.execute("rollback")
        assert (await bench.ended(job_id)).state is JobState.COMPLETED
        assert await bench.store.result(job_id) is not None
        await bench.coordinator.close_session(session_id)
        session = await bench.session(session_id)
        assert session.state is SessionState.CLOSED, "no ghost of the refused job holds it open"
        bench.nothing_left()

    with_bench(tmp_path, body, min_job_seconds=0.3)


def test_a_payload_that_cannot_be_read_fails_its_job_and_frees_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Large ones are always read from the store; here everything is large.
    monkeypatch.setattr(live, "LARGEST_AT_HAND", 0)

    async def body(bench: Bench) -> None:
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
        bench.nothing_left()

    with_bench(tmp_path, body)


# -- policies ------------------------------------------------------------------------------


def test_a_session_reserves_its_device_until_there_are_several_owners(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
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

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER)


@pytest.mark.parametrize("policy", ["dedicated", "shared"])
def test_a_policy_that_is_set_stands_whoever_there_is(tmp_path: Path, policy: str) -> None:
    async def body(bench: Bench) -> None:
        for bench.owners in (1, 2):
            assert bench.coordinator.policy == policy

    with_bench(tmp_path, body, policy=policy)


# -- what IBM's documents leave open -------------------------------------------------------


@pytest.mark.parametrize("stops", [False, True])
def test_at_max_time_running_jobs_go_on_unless_they_are_to_be_stopped(
    tmp_path: Path, *, stops: bool
) -> None:
    async def body(bench: Bench) -> None:
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
        bench.nothing_left()

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER, stop_at_max_time=stops)


@pytest.mark.parametrize(("given", "of_batch"), [(None, 60), (1, 1)])
def test_a_batch_may_idle_as_long_as_it_is_given(
    tmp_path: Path, given: int | None, of_batch: int
) -> None:
    async def body(bench: Bench) -> None:
        for mode, seconds in ((Mode.BATCH, of_batch), (Mode.DEDICATED, 60)):
            found = await bench.session(await bench.opens(mode))
            assert found.interactive_seconds == seconds

    with_bench(tmp_path, body, batch_interactive_seconds=given)


# -- stages --------------------------------------------------------------------------------


def test_the_stages_of_a_job_are_kept_and_its_time_on_the_device_is_its_use(
    tmp_path: Path,
) -> None:
    async def body(bench: Bench) -> None:
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
        assert job.device_seconds == 40, "who cancels pays for what was used"
        assert (await bench.session(session_id)).usage_seconds(bench.clock.now()) == 40
        assert bench.coordinator._scheduler.used_seconds("o") == 40

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER)


def test_a_job_that_cannot_be_prepared_was_never_on_the_device(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        job = await bench.ended(await bench.submits(params='{"pubs": [[1]]}'))
        assert job.state is JobState.FAILED
        assert (job.preparing_at, job.on_device_at, job.device_seconds) == (NOON, None, 0)

    with_bench(tmp_path, body)


def test_a_worker_that_dies_costs_its_user_nothing(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        job_id = await bench.submits()
        for attempt in (1, 2):
            pid = await bench.running(job_id, attempt)
            bench.clock.moves(seconds=30)
            os.kill(pid, signal.SIGKILL)
        job = await bench.ended(job_id)
        assert (job.state, job.device_seconds) == (JobState.FAILED, 0)
        # It had a worker for as long, which counts for who goes next.
        assert bench.coordinator._scheduler.used_seconds("o") == 30

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER)


def test_use_is_known_again_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
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

    asyncio.run(main())


def test_with_lanes_the_next_job_is_prepared_while_one_is_on_the_device(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        job_ids = [await bench.submits() for _ in range(3)]
        inside = bench.coordinator._scheduler
        device = inside._device("fake_manila")
        # Whoever is prepared first has the device first.
        await settles(lambda: device.on_device is not None and len(device.prepared) == 1)
        first, second, third = device.on_device, device.prepared[0], job_ids[2]
        assert {first, second} == set(job_ids[:2])
        await bench.running(str(first))
        waiting = await bench.job(second)
        assert (waiting.state, waiting.stage) == (JobState.RUNNING, Stage.PREPARING)
        assert (await bench.job(third)).state is JobState.QUEUED
        bench.clock.moves(seconds=10)
        await bench.coordinator.cancel_job(str(first))
        await bench.running(second)
        assert device.on_device == second
        await settles(lambda: third in device.prepared)
        os.kill(await bench.running(second), signal.SIGKILL)
        await bench.running(third)
        for job_id in (second, third):
            await bench.coordinator.cancel_job(job_id)
        assert (await bench.job(third)).device_seconds == 0
        bench.nothing_left()

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER, lanes=2)


def test_a_job_that_only_waits_for_its_device_makes_room_for_an_idle_one(tmp_path: Path) -> None:
    """Two workers, one device with a job for hours and another behind it; then comes a third."""

    async def body(bench: Bench) -> None:
        first, second = [await bench.submits() for _ in range(2)]
        device = bench.coordinator._scheduler._device("fake_manila")
        await settles(lambda: len(device.prepared) == 1)
        on_device, waiting = str(device.on_device), device.prepared[0]
        assert {on_device, waiting} == {first, second}
        process = bench.pid(waiting)
        other = await bench.submits(owner="p", backend="fake_torino")
        await bench.until(other, lambda job: job.stage is Stage.ON_DEVICE, "p")
        assert bench.pid(other) == process, "the worker lives, and what it has kept with it"
        assert bench.coordinator._scheduler.in_work("fake_manila") == [on_device]
        job = await bench.job(waiting)
        assert (job.state, job.attempts, job.prepared_at) == (JobState.QUEUED, 0, None)
        await bench.coordinator.cancel_job(other)
        await settles(lambda: len(device.prepared) == 1)
        for job_id in (on_device, waiting):
            assert await bench.coordinator.cancel_job(job_id)
        bench.nothing_left()

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER, lanes=3)


def test_waiting_for_the_device_is_not_being_prepared(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        session_id = await bench.opens(Mode.BATCH)
        for _ in range(2):
            await bench.submits(session_id)
        device = bench.coordinator._scheduler._device("fake_manila")
        await settles(lambda: len(device.prepared) == 1)
        first, second = str(device.on_device), device.prepared[0]
        await bench.running(first)
        bench.clock.moves(seconds=1_000)
        await bench.coordinator.cancel_job(first)
        await bench.running(second)
        bench.clock.moves(seconds=10)
        await bench.coordinator.cancel_job(second)
        jobs = [await bench.job(each) for each in (first, second)]
        # A stage is dated by the processes' own clock, and so a little more exactly.
        near = partial(pytest.approx, abs=0.1)
        assert [job.device_seconds for job in jobs] == near([1_000, 10])
        assert [job.preparing_seconds for job in jobs] == near([0, 0])
        session = await bench.session(session_id)
        parts = session.on_device_seconds, session.preparing_seconds
        assert parts == near((1_010, 0))
        assert session.busy_seconds == near(sum(parts))

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER, lanes=2)


def test_lanes_lose_nothing(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        session_id = await bench.opens(Mode.BATCH)
        job_ids = [await bench.submits(session_id) for _ in range(12)]
        assert {(await bench.ended(each)).state for each in job_ids} == {JobState.COMPLETED}
        await bench.coordinator.close_session(session_id)
        assert (await bench.session(session_id)).state is SessionState.CLOSED
        bench.nothing_left()

    with_bench(tmp_path, body, lanes=3, workers=2)


# -- a store that cannot be written --------------------------------------------------------


def test_nothing_starts_while_its_start_could_not_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BUSY_MILLISECONDS", 20)
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)

    async def body(bench: Bench) -> None:
        first, second = await bench.submits(), await bench.submits()
        await bench.until(first, lambda job: job.state is JobState.RUNNING)
        inside = bench.coordinator
        with closing(sqlite3.connect(tmp_path / "runtime.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            with pytest.raises(StoreUnavailableError):
                await bench.submits()
            await settles(lambda: first not in inside._state.jobs)
            await settles(lambda: inside._dispatcher.probe is not None)
            assert inside._state.jobs[second].state is JobState.QUEUED
            assert inside._pool.free == 2
            other.execute("rollback")
        assert (await bench.ended(second)).state is JobState.COMPLETED
        assert inside._dispatcher.probe is None
        bench.nothing_left()

    with_bench(tmp_path, body, min_job_seconds=0.3)


def test_the_clock_goes_on_from_the_store_when_the_machines_was_set_back(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        bench.clock.moves(hours=1)
        async with going(bench):
            session_id = await bench.opens()
            await bench.ended(await bench.submits(session_id))
        # The machine came up an hour earlier.
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

    asyncio.run(main())


def test_an_end_that_is_at_hand_has_the_tags_that_came_while_it_was_stored(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        job_id = await bench.submits()
        await bench.running(job_id)
        inside = bench.coordinator
        inside._dispatcher.take(job_id, Done("{}", 0.1, Figures()))
        await inside.set_tags(await bench.job(job_id), ("new",))
        assert (await bench.ended(job_id)).tags == ("new",)
        at_hand = inside.take_outcome("o", job_id)
        assert at_hand is None or at_hand[0].tags == ("new",)

    with_bench(tmp_path, body, min_job_seconds=FOR_EVER)
