"""Devices of idle sessions whose programs have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qsession_widget.runtime.control.admission import NewSession
from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.errors import InvalidTransitionError
from qsession_widget.runtime.model.lifecycle import Session
from qsession_widget.wire import processes
from qsession_widget.wire.states import JobState, Mode, SessionState
from tests.programs import Program
from tests.runtime.bench import NOON, Bench, going, settles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def program() -> Iterator[Program]:
    found = Program()
    yield found
    found.kill_and_reap()


async def idle_session(bench: Bench, *names: str) -> str:
    """Return a session that is idle after a job, used by these processes."""
    wanted = NewSession("o", "fake_manila", Mode.DEDICATED, 3_600, process=names[0])
    session_id = await bench.coordinator.create_session(wanted, None)
    for name in names:
        await bench.ended(await bench.submits(session_id, process=name))
    return session_id


async def test_it_gives_its_device_to_the_first_who_waits(bench: Bench, program: Program) -> None:
    session_id = await idle_session(bench, program.name)
    program.kill_and_reap()
    await settles(lambda: not bench.coordinator._state.wake_up.requested)
    session = await bench.session(session_id)
    assert session.state is SessionState.ACTIVE, "as long as no job waits, nothing changes"
    job = await bench.ended(await bench.submits())
    assert job.state is JobState.COMPLETED
    session = await bench.session(session_id)
    assert (session.state, session.state_reason) == (
        SessionState.INACTIVE,
        lifecycle.ABANDONED_REASON,
    )
    assert session.accepting_jobs
    again = await bench.ended(await bench.submits(session_id))
    assert again.state is JobState.COMPLETED


async def test_it_gives_way_as_well_if_the_program_ends_while_another_job_waits(
    bench: Bench, program: Program
) -> None:
    session_id = await idle_session(bench, program.name)
    waiting = await bench.submits()
    assert (await bench.job(waiting)).state is JobState.QUEUED
    assert (await bench.session(session_id)).state is SessionState.ACTIVE
    program.kill_and_reap()
    assert (await bench.ended(waiting)).state is JobState.COMPLETED
    assert (await bench.session(session_id)).state is SessionState.INACTIVE


async def test_one_of_its_programs_that_lives_keeps_the_device(
    bench: Bench, program: Program
) -> None:
    own = processes.own_name()
    session_id = await idle_session(bench, program.name, own)
    program.kill_and_reap()
    waiting = await bench.submits()
    looked = bench.coordinator._abandonment
    first = looked._next
    await settles(lambda: looked._next is not first)
    assert (await bench.job(waiting)).state is JobState.QUEUED
    assert (await bench.session(session_id)).state is SessionState.ACTIVE


async def test_a_setting_keeps_the_device_until_its_time(tmp_path: Path, program: Program) -> None:
    async with going(Bench(tmp_path, yield_abandoned=False)) as bench:
        session_id = await idle_session(bench, program.name)
        program.kill_and_reap()
        waiting = await bench.submits()
        assert (await bench.job(waiting)).state is JobState.QUEUED
        holder = bench.coordinator.holder("fake_manila", None)
        assert holder is not None
        assert (holder.session.id, holder.abandoned) == (session_id, True)
        bench.clock.moves(seconds=60)
        bench.coordinator._state.wake_up.request()
        assert (await bench.ended(waiting)).state is JobState.COMPLETED


async def test_the_processes_of_a_session_survive_a_restart(
    tmp_path: Path, program: Program
) -> None:
    async with going(Bench(tmp_path)) as bench:
        session_id = await idle_session(bench, program.name)
    program.kill_and_reap()
    async with going(Bench(tmp_path)) as bench:
        assert (await bench.session(session_id)).processes == (program.name,)
        assert (await bench.ended(await bench.submits())).state is JobState.COMPLETED


def test_only_an_idle_session_gives_up() -> None:
    session = lifecycle.create(
        Session("s", "o", "fake_manila", Mode.DEDICATED, 3_600, 60, 3_600, 1_800, NOON)
    )
    with pytest.raises(InvalidTransitionError, match="not idle"):
        lifecycle.give_up_device(session, NOON)
    busy = lifecycle.start(lifecycle.submit(session), NOON)
    with pytest.raises(InvalidTransitionError, match="not idle"):
        lifecycle.give_up_device(busy, NOON)


MANY = [f"a/1:{number}:1" for number in range(3 * lifecycle.MOST_PROCESSES)]


def used_by(names: list[str], has_ended: Callable[[str], bool]) -> Session:
    session = lifecycle.create(
        Session("s", "o", "fake_manila", Mode.DEDICATED, 3_600, 60, 3_600, 1_800, NOON)
    )
    for name in names:
        session = lifecycle.submit(session, name, has_ended)
        assert len(session.processes) <= lifecycle.MOST_PROCESSES
        assert session.processes[-1] == name
    return session


def test_a_process_that_lives_is_not_crowded_out_by_those_that_have_ended() -> None:
    living = MANY[7]
    session = used_by(MANY, lambda name: name != living)
    assert living in session.processes
    assert lifecycle.TOO_MANY_PROCESSES not in session.processes


def test_a_session_of_more_living_processes_than_are_remembered_never_looks_abandoned() -> None:
    session = used_by(MANY, lambda _name: False)
    assert session.processes[0] == lifecycle.TOO_MANY_PROCESSES
    assert not processes.has_ended(lifecycle.TOO_MANY_PROCESSES)
    # Nor does the mark come before there is a need.
    assert lifecycle.TOO_MANY_PROCESSES not in used_by(MANY[:64], lambda _name: False).processes
