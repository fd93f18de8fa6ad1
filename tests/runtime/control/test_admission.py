"""Jobs that start while they are being stored, and jobs that cannot be stored."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from qsession_widget.runtime.control import worker_pool
from qsession_widget.runtime.control.admission import (
    KeyReusedError,
    NewSession,
    TooManyError,
    UnknownOwnerError,
)
from qsession_widget.runtime.model.job import Job
from qsession_widget.runtime.store import database, store
from qsession_widget.runtime.store.store import StoreUnavailableError
from qsession_widget.runtime.store.writes import SetClock
from qsession_widget.wire.states import JobState, Mode, SessionState
from tests.conftest import DEADLINE_SECONDS
from tests.runtime.bench import COIN, FOR_EVER, NOON, Bench, going, settles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qsession_widget.runtime.control.state import RuntimeState


@contextmanager
def slow_disk(folder: Path) -> Iterator[sqlite3.Connection]:
    """Lock the store's file: changes are written when the lock is released."""
    with closing(sqlite3.connect(folder / "runtime.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        yield other
        if other.in_transaction:
            other.execute("commit")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store wait for as long as the file is locked."""
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", int(DEADLINE_SECONDS * 1000))


def refuse(other: sqlite3.Connection) -> None:
    """Make pending changes fail for good."""
    other.execute(
        "create trigger refuse before insert on jobs begin select raise(abort, 'no job'); end"
    )
    other.execute("commit")


def take_away(other: sqlite3.Connection) -> None:
    """Make pending changes fail for now."""
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
    """Return a session that is active and has no job."""
    session_id = await bench.opens()
    job_id = await bench.submits(session_id)
    await settles(lambda: bench.coordinator._state._sessions[session_id].prioritised)
    await bench.coordinator.cancel_job(job_id)
    await bench.ended(job_id)
    return session_id


def holds_an_end(state: RuntimeState) -> bool:
    return any(state.holds_end(each.id) for each in state.jobs())


def has_interim(state: RuntimeState) -> bool:
    return any(state.interim(each.id) for each in state.jobs())


@pytest.mark.usefixtures("patient")
async def test_a_job_starts_while_it_is_stored_but_is_not_visible_before(
    bench: Bench, tmp_path: Path
) -> None:
    session_id = await warmed(bench)
    inside = bench.coordinator
    with slow_disk(tmp_path):
        submitting = asyncio.create_task(bench.submits(session_id))
        await settles(lambda: holds_an_end(inside._state))
        (job_id,) = inside._state._jobs
        assert not submitting.done()
        assert not inside.counts()
        assert await bench.store.job("o", job_id) is None
        assert (await bench.session(session_id)).running == 0
    assert await submitting == job_id
    assert (await bench.ended(job_id)).state is JobState.COMPLETED
    assert await bench.store.result(job_id) is not None
    await bench.nothing_left()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("refusal", [refuse, take_away])
@pytest.mark.parametrize("in_session", [False, True])
@pytest.mark.parametrize("seconds", [0.0, FOR_EVER])
async def test_a_job_that_cannot_be_stored_is_undone_at_any_stage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    refusal: Callable[[sqlite3.Connection], None],
    *,
    in_session: bool,
    seconds: float,
) -> None:
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)

    async with going(Bench(tmp_path, min_job_seconds=seconds)) as bench:
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
            has_come_so_far = has_interim if seconds else holds_an_end
            await settles(lambda: has_come_so_far(inside._state))
            bench.clock.moves(seconds=30)
            refusal(other)
        with pytest.raises((StoreUnavailableError, IntegrityError)):
            await submitting
        assert not inside._state.unfinished
        give_back(tmp_path)
        await settles(lambda: inside._executor.free == 2)
        await bench.store.write(SetClock(bench.clock.now()))
        assert inside._scheduler.used_seconds("p") == 0
        after = await bench.session(session_id)
        assert replace(after, revision=0) == replace(before, revision=0), "its session is unchanged"
        assert stored(tmp_path) == kept
        told = [record.getMessage().split(",")[0].split(":")[0] for record in caplog.records]
        assert told == (
            ["a change cannot be stored"]
            if refusal is refuse
            else ["the store cannot be written; still trying", "the store can be written again"]
        )
        assert await bench.submits(session_id)


@pytest.mark.usefixtures("patient")
async def test_a_job_whose_worker_dies_while_it_is_stored_runs_again(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER)) as bench:
        session_id = await warmed(bench)
        inside = bench.coordinator
        with slow_disk(tmp_path):
            submitting = asyncio.create_task(bench.submits(session_id))
            await settles(lambda: has_interim(inside._state))
            (job_id,) = inside._state._jobs
            os.kill(bench.pid(job_id), signal.SIGKILL)
            await settles(lambda: holds_an_end(inside._state))
        assert await submitting == job_id
        await bench.running(job_id, attempt=2)
        assert await inside.cancel_job(job_id)
        await bench.nothing_left()


def written(folder: Path) -> list[dict[str, Any]]:
    """Read the whole store, except revisions, which may have gaps."""
    with closing(sqlite3.connect(folder / "runtime.db")) as other:
        other.row_factory = sqlite3.Row
        return [
            {**dict(row), "revision": table}
            for table in ("sessions", "jobs", "payloads", "results")
            for row in other.execute(f"select * from {table} order by 1")  # noqa: S608 - ours
        ]


@pytest.mark.parametrize("knows", [True, False])
async def test_a_replay_after_a_restart_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, knows: bool
) -> None:
    """An idle session stays idle, its worker lives, and the response is the first job."""
    # Also on a slow machine the task has to stop by itself.
    monkeypatch.setattr(worker_pool, "STOP_SECONDS", DEADLINE_SECONDS)
    job = Job("", "o", "fake_manila", "sampler", NOON)
    async with going(Bench(tmp_path)) as bench:
        job = replace(job, session_id=await bench.opens())
        job_id = await bench.coordinator.submit(job, COIN, "key")
        await bench.ended(job_id)
        assert await bench.coordinator.submit(job, COIN, "key") == job_id
    async with going(Bench(tmp_path)) as bench:
        inside = bench.coordinator
        bench.clock.moves(seconds=30)
        if not knows:
            # As if thousands of jobs had been submitted since.
            inside._admission._keys.clear()
        await settles(lambda: all(each.pid for each in inside.workers()))
        before, kept = written(tmp_path), inside.workers()
        live = dict(inside._state._sessions)
        assert await inside.submit(job, COIN, "key") == job_id
        await settles(lambda: inside._executor.free == 2 and not inside._state.wake_up.requested)
        await bench.store.write(SetClock(bench.clock.now()))
        assert written(tmp_path) == before
        assert {k: replace(v, revision=0) for k, v in inside._state._sessions.items()} == {
            k: replace(v, revision=0) for k, v in live.items()
        }
        assert {each.pid for each in inside.workers()} == {each.pid for each in kept}
        await bench.nothing_left()


@pytest.mark.parametrize("knows", [True, False])
async def test_a_key_with_another_request_is_refused_and_changes_nothing(
    bench: Bench, tmp_path: Path, *, knows: bool
) -> None:
    inside = bench.coordinator
    session_id = await bench.opens()
    job = Job("", "o", "fake_manila", "sampler", NOON, session_id=session_id)
    job_id = await inside.submit(job, COIN, "key")
    await bench.ended(job_id)
    session = NewSession("o", "fake_torino", Mode.BATCH, 60)
    opened = await inside.create_session(session, "key")
    assert await inside.create_session(session, "key") == opened
    if not knows:
        inside._admission._keys.clear()
    await settles(lambda: not inside._state.wake_up.requested)
    before = written(tmp_path)
    others = [
        replace(job, optimization_level=3),
        replace(job, session_id=None),
        replace(job, private=True),
        replace(job, program_id="estimator"),
    ]
    for other, params in [*((each, COIN) for each in others), (job, COIN + " ")]:
        with pytest.raises(KeyReusedError, match=f"'key' was used for job {job_id}"):
            await inside.submit(other, params, "key")
    for change in (
        dataclasses.replace(session, max_seconds=61),
        dataclasses.replace(session, mode=Mode.DEDICATED),
        dataclasses.replace(session, active_seconds=5),
    ):
        with pytest.raises(KeyReusedError, match=opened):
            await inside.create_session(change, "key")
    # Both at once, so that the first is not on disk yet.
    alone = replace(job, session_id=None, backend="fake_torino")
    one, two = await asyncio.gather(
        inside.submit(alone, COIN, "new"),
        inside.submit(alone, COIN + " ", "new"),
        return_exceptions=True,
    )
    assert isinstance(two, KeyReusedError)
    assert isinstance(one, str)
    await bench.ended(one)
    await inside.delete_job(one)
    await settles(lambda: inside._executor.free == 2 and not inside._state.wake_up.requested)
    assert written(tmp_path) == before
    # A key belongs to one user.
    assert await inside.submit(replace(job, owner="p", session_id=None), "{}", "key") != job_id


async def test_concurrent_requests_do_not_exceed_the_limit_of_sessions(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, max_open_sessions=2)) as bench:
        found = await asyncio.gather(*(bench.opens() for _ in range(16)), return_exceptions=True)
        opened = [each for each in found if isinstance(each, str)]
        assert len(opened) == 2
        assert {type(each) for each in found} == {str, TooManyError}
        await bench.coordinator.cancel_session(opened[0])
        assert isinstance(await bench.opens(), str), "refused requests take no slot"
        with pytest.raises(TooManyError):
            await bench.opens()
        await bench.nothing_left()


@pytest.mark.usefixtures("patient")
async def test_a_user_removed_during_a_submission_leaves_nothing_behind(tmp_path: Path) -> None:
    """A user can be removed between the check of the token and the write to disk."""
    known = {"o"}

    bench = Bench(tmp_path, is_known=lambda owner: owner in known)
    async with going(bench):
        with slow_disk(tmp_path):
            opening = asyncio.create_task(bench.opens())
            await settles(lambda: bool(bench.coordinator._admission._opening))
            known.clear()
            await bench.coordinator.cancel_all("o")
        session_id = await opening
        assert (await bench.closed(session_id)).state is SessionState.CLOSED
        for late in (bench.opens, bench.submits):
            with pytest.raises(UnknownOwnerError):
                await late()
        await bench.nothing_left()


async def test_a_client_that_hangs_up_while_its_job_is_stored_leaves_a_job_that_ends(
    bench: Bench,
) -> None:
    submitting = asyncio.create_task(bench.submits())
    await settles(lambda: bool(bench.coordinator._state.unfinished))
    (job_id,) = bench.coordinator._state._jobs
    submitting.cancel()
    await settles(lambda: not bench.coordinator._state.arriving)
    assert (await bench.ended(job_id)).state is JobState.COMPLETED
    await bench.nothing_left()
