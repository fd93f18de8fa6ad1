"""Which job starts next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from qsession_widget.runtime import lifecycle, scheduler
from qsession_widget.runtime.job import Job
from qsession_widget.runtime.lifecycle import Session
from qsession_widget.wire.states import Mode, SessionState

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def job(name: str, backend: str = "manila", session: str | None = None) -> Job:
    return Job(
        id=name,
        owner="o",
        backend=backend,
        program_id="sampler",
        created_at=NOON,
        session_id=session,
    )


def session(
    name: str,
    state: SessionState = SessionState.ACTIVE,
    mode: Mode = Mode.DEDICATED,
    backend: str = "manila",
) -> Session:
    return Session(
        id=name,
        owner="o",
        backend=backend,
        mode=mode,
        max_seconds=28_800,
        interactive_seconds=60,
        active_seconds=28_800,
        first_job_seconds=1_800,
        created_at=NOON,
        state=state,
    )


def started(
    jobs: list[Job], *sessions: Session, busy: frozenset[str] = frozenset(), slots: int = 9
) -> list[str]:
    by_id = {each.id: each for each in sessions}
    return [each.id for each in scheduler.startable(jobs, by_id, busy=busy, slots=slots)]


def test_one_job_a_device_the_oldest_first() -> None:
    jobs = [job("a"), job("b"), job("c", "torino"), job("d", "torino")]
    assert started(jobs) == ["a", "c"]


def test_a_device_that_is_busy_starts_nothing() -> None:
    assert started([job("a"), job("b", "torino")], busy=frozenset({"manila"})) == ["b"]


def test_no_more_jobs_than_workers_are_free() -> None:
    jobs = [job("a"), job("b", "torino"), job("c", "fez")]
    assert started(jobs, slots=2) == ["a", "b"]
    assert started(jobs, slots=0) == []
    assert started(jobs, slots=-1) == []


def test_an_active_session_goes_ahead_of_older_jobs() -> None:
    assert started([job("old"), job("mine", session="s")], session("s")) == ["mine"]


def test_an_active_dedicated_session_has_its_device_to_itself() -> None:
    jobs = [job("other"), job("theirs", session="t"), job("elsewhere", "torino")]
    others = session("t", SessionState.OPEN)
    for state in (
        SessionState.ACTIVE,
        SessionState.PENDING_INACTIVE,
        SessionState.PENDING_CLOSED,
    ):
        assert started(jobs, session("s", state), others) == ["elsewhere"]


def test_a_session_that_is_not_active_reserves_nothing() -> None:
    for state in (SessionState.OPEN, SessionState.INACTIVE):
        jobs = [job("other"), job("mine", session="s")]
        assert started(jobs, session("s", state)) == ["other"]


def test_a_session_that_is_not_active_waits_in_the_normal_queue_and_starts_from_there() -> None:
    for state in (SessionState.OPEN, SessionState.INACTIVE):
        assert started([job("mine", session="s"), job("other")], session("s", state)) == ["mine"]


def test_an_active_batch_goes_first_without_reserving() -> None:
    batch = session("b", mode=Mode.BATCH)
    assert started([job("other"), job("mine", session="b")], batch) == ["mine"]
    assert started([job("other")], batch) == ["other"]


def test_a_session_between_two_states_starts_nothing_until_it_is_through() -> None:
    jobs = [job("mine", session="s"), job("other")]
    assert started(jobs, session("s", SessionState.PENDING_INACTIVE)) == []
    batch = session("s", SessionState.PENDING_INACTIVE, Mode.BATCH)
    assert started(jobs, batch) == ["other"]


def test_what_is_chosen_is_what_the_lifecycle_lets_start() -> None:
    for state in SessionState:
        each = session("s", state)
        chosen = started([job("mine", session="s")], each)
        assert bool(chosen) == lifecycle.may_start(each)


def test_positions_are_the_order_in_which_jobs_start() -> None:
    jobs = [job("first"), job("second"), job("mine", session="s"), job("next", session="s")]
    waiting, order, sessions = list(jobs), [], {"s": session("s")}
    expected = [each.id for each in scheduler.start_order(waiting, sessions)]
    while waiting:
        if not any(each.session_id for each in waiting):
            sessions = {"s": session("s", SessionState.INACTIVE)}
        (chosen,) = scheduler.startable(waiting, sessions, busy=(), slots=1)
        order.append(chosen.id)
        waiting.remove(chosen)
    assert order == expected == ["mine", "next", "first", "second"]


def test_equal_times_keep_the_order_in_which_jobs_came() -> None:
    jobs = [job(str(number)) for number in range(20)]
    later = [Job(**{**vars(each), "created_at": NOON + timedelta(1)}) for each in jobs]
    assert [each.id for each in scheduler.start_order(later, {})] == [each.id for each in jobs]
