"""Reports of programs that the runtime cannot see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qsession_widget.runtime.control import heartbeats
from qsession_widget.runtime.control.heartbeats import Heartbeats
from qsession_widget.runtime.model.lifecycle import ABANDONED_REASON
from qsession_widget.wire.states import JobState, SessionState
from tests.runtime.control.test_abandonment import idle_session

if TYPE_CHECKING:
    import pytest

    from tests.runtime.bench import Bench

ELSEWHERE = "5d1cb2d6-8e4b-4b42-9f6b-5f2c6a1b3c4d/4026531836:{}:1"


class Elapsed:
    """A monotonic clock that a test sets."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_three_missed_reports_are_one_too_many() -> None:
    elapsed = Elapsed()
    beats = Heartbeats(10.0, elapsed)
    beats.note("ada", "a")
    elapsed.seconds += 30.0
    assert not beats.has_stopped("ada", "a")
    elapsed.seconds += 0.1
    assert beats.has_stopped("ada", "a")
    beats.note("ada", "a")
    assert not beats.has_stopped("ada", "a")


def test_who_never_reported_is_never_judged_and_reports_count_for_their_owner_only() -> None:
    elapsed = Elapsed()
    beats = Heartbeats(10.0, elapsed)
    beats.note("bob", "a")
    elapsed.seconds += 1_000.0
    assert not beats.has_stopped("ada", "a")
    assert not beats.has_stopped("bob", "b")
    assert beats.has_stopped("bob", "a")


def test_only_so_many_programs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "MOST_PROGRAMS", 2)
    elapsed = Elapsed()
    beats = Heartbeats(10.0, elapsed)
    for name in ("a", "b", "a", "c"):
        beats.note("ada", name)
    elapsed.seconds += 1_000.0
    assert [name for name in "abc" if beats.has_stopped("ada", name)] == ["a", "c"]


async def test_a_session_from_elsewhere_gives_way_once_its_reports_stop(bench: Bench) -> None:
    elapsed = Elapsed()
    bench.coordinator._heartbeats._elapsed = elapsed
    silent, reporting = ELSEWHERE.format(1), ELSEWHERE.format(2)
    session_id = await idle_session(bench, silent, reporting)
    assert bench.coordinator.beat("o", reporting) == (10.0, 1)
    assert bench.coordinator.beat("other", reporting) == (10.0, 0)
    elapsed.seconds += 31.0
    bench.coordinator.beat("o", silent)
    waiting = await bench.submits()
    assert (await bench.job(waiting)).state is JobState.QUEUED
    assert (await bench.session(session_id)).state is SessionState.ACTIVE
    elapsed.seconds += 31.0
    assert (await bench.ended(waiting)).state is JobState.COMPLETED
    session = await bench.session(session_id)
    assert (session.state, session.state_reason) == (SessionState.INACTIVE, ABANDONED_REASON)


async def test_a_client_that_never_reports_keeps_its_device(bench: Bench) -> None:
    elapsed = Elapsed()
    bench.coordinator._heartbeats._elapsed = elapsed
    await idle_session(bench, ELSEWHERE.format(1))
    elapsed.seconds += 1_000.0
    waiting = await bench.submits()
    assert (await bench.job(waiting)).state is JobState.QUEUED
    holder = bench.coordinator.holder("fake_manila", None)
    assert holder is not None
    assert holder.abandoned is False
