"""The life of a session: each row of the table in IBM's documentation, and random histories."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.cost import Cost
from qsession_widget.runtime.model.errors import InvalidTransitionError
from qsession_widget.runtime.model.lifecycle import NotAcceptingJobsError, Session
from qsession_widget.wire.states import JobState, Mode, SessionState

HISTORIES = int(os.environ.get("QSESSION_HISTORIES", "1000"))
"""How many random histories; `make soak` tries more."""

OPEN = SessionState.OPEN
ACTIVE = SessionState.ACTIVE
PENDING_INACTIVE = SessionState.PENDING_INACTIVE
INACTIVE = SessionState.INACTIVE
PENDING_CLOSED = SessionState.PENDING_CLOSED
CLOSED = SessionState.CLOSED


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 11, 22, hour, minute, second, tzinfo=UTC)


NOON = at(12)


def opened(mode: Mode = Mode.DEDICATED, *, max_hours: int = 8, active_hours: int = 8) -> Session:
    """Open a session at noon, with IBM's timers."""
    return lifecycle.create(
        Session(
            id="s",
            owner="o",
            backend="fake_manila",
            mode=mode,
            max_seconds=max_hours * 3600,
            interactive_seconds=60,
            active_seconds=active_hours * 3600,
            first_job_seconds=1800,
            created_at=NOON,
        )
    )


def running(mode: Mode = Mode.DEDICATED, *, max_hours: int = 8, active_hours: int = 8) -> Session:
    """Return such a session with a job that has run since 12:10."""
    session = lifecycle.submit(opened(mode, max_hours=max_hours, active_hours=active_hours))
    return lifecycle.start(session, at(12, 10))


def history(session: Session) -> list[tuple[SessionState, datetime]]:
    return list(session.transitions)


# -- a test for each row of the table -----------------------------------------------------------


def test_post_sessions_opens_one_that_accepts_jobs() -> None:
    session = opened()
    assert session.accepting_jobs
    assert history(session) == [(OPEN, NOON)]
    assert session.started_at is None
    assert session.usage_seconds(at(13)) == 0


def test_no_job_submitted_for_30_minutes_closes() -> None:
    session = opened()
    assert lifecycle.tick(session, at(12, 29, 59)).session == session
    assert lifecycle.next_deadline(session) == at(12, 30)
    closed = lifecycle.tick(session, at(12, 30)).session
    assert history(closed) == [(OPEN, NOON), (CLOSED, at(12, 30))]
    assert (closed.closed_at, closed.accepting_jobs) == (at(12, 30), False)
    assert "30 min" in closed.state_reason


def test_first_job_dequeued_activates_and_starts_the_clock_of_max_time() -> None:
    session = lifecycle.submit(opened())
    assert lifecycle.next_deadline(session) is None, "a session waits for its turn without limit"
    session = lifecycle.start(session, at(15))
    assert history(session) == [(OPEN, NOON), (ACTIVE, at(15))]
    assert session.started_at == session.activated_at == session.last_job_started == at(15)
    assert lifecycle.next_deadline(session) == at(23), "8 h from the first job, not from noon"


def test_the_clock_of_max_time_never_pauses() -> None:
    session = lifecycle.end(running(), at(12, 11))
    session = lifecycle.tick(session, at(12, 30)).session
    assert session.state is INACTIVE
    assert lifecycle.next_deadline(session) == at(20, 10), "12:10 and 8 h, inactive or not"
    assert lifecycle.tick(session, at(20, 10)).session.state is CLOSED


def test_job_ends_and_nothing_is_queued_starts_the_interactive_timer() -> None:
    session = lifecycle.end(running(), at(12, 11))
    assert (session.state, session.idle_since) == (ACTIVE, at(12, 11))
    assert session.last_job_completed == at(12, 11)
    assert lifecycle.next_deadline(session) == at(12, 12)


def test_a_queued_job_keeps_the_interactive_timer_from_starting() -> None:
    session = lifecycle.end(lifecycle.submit(running()), at(12, 11))
    assert session.idle_since is None
    assert lifecycle.next_deadline(session) == at(20, 10)


def test_a_new_job_stops_the_interactive_timer() -> None:
    session = lifecycle.submit(lifecycle.end(running(), at(12, 11)))
    assert lifecycle.tick(session, at(12, 30)).session.state is ACTIVE


def test_interactive_timer_elapses_makes_inactive_and_stops_usage() -> None:
    session = lifecycle.end(running(), at(12, 11))
    assert lifecycle.tick(session, at(12, 11, 59)).session.state is ACTIVE
    session = lifecycle.tick(session, at(12, 12)).session
    assert history(session)[-1] == (INACTIVE, at(12, 12))
    assert session.accepting_jobs
    assert session.usage_seconds(at(19)) == 120, "12:10 to 12:12, idle tail included"


def test_active_time_elapses_while_a_job_runs_is_pending_inactive() -> None:
    session = running(active_hours=1)
    session = lifecycle.tick(session, at(13, 10)).session
    assert history(session)[-1] == (PENDING_INACTIVE, at(13, 10))
    assert session.accepting_jobs
    assert session.holds_device, "its job is on the device still"
    session = lifecycle.end(session, at(13, 20))
    assert history(session)[-1] == (INACTIVE, at(13, 20))
    assert session.usage_seconds(at(20)) == 70 * 60


def test_active_time_elapses_with_only_queued_jobs_is_inactive() -> None:
    session = lifecycle.end(lifecycle.submit(running(active_hours=1)), at(13))
    session = lifecycle.tick(session, at(13, 10)).session
    assert (session.state, session.queued) == (INACTIVE, 1)


def test_job_submitted_while_inactive_waits_in_the_normal_queue() -> None:
    session = lifecycle.tick(lifecycle.end(running(), at(12, 11)), at(12, 12)).session
    session = lifecycle.submit(session)
    assert session.state is INACTIVE
    assert not session.prioritised
    assert not session.holds_device
    session = lifecycle.start(session, at(14))
    assert (session.state, session.activated_at, session.started_at) == (
        ACTIVE,
        at(14),
        at(12, 10),
    )
    assert session.usage_seconds(at(14, 5)) == 120 + 300, "the gap is not counted"


def test_close_lets_running_and_queued_jobs_finish() -> None:
    session = lifecycle.close(lifecycle.submit(running()), at(12, 11))
    assert (session.state, session.accepting_jobs) == (ACTIVE, False)
    assert (session.queued, session.running) == (1, 1)
    session = lifecycle.end(session, at(12, 12))
    assert session.state is ACTIVE
    session = lifecycle.start(session, at(12, 12))
    assert (session.state, session.state_reason) == (PENDING_CLOSED, "closed by its user")
    assert lifecycle.next_deadline(session) is None
    session = lifecycle.end(session, at(12, 13))
    assert history(session)[-2:] == [(PENDING_CLOSED, at(12, 12)), (CLOSED, at(12, 13))]


def test_the_only_job_of_a_closed_session_starts_and_the_session_ends_with_it() -> None:
    for before in (
        opened(),
        lifecycle.tick(lifecycle.end(running(), at(12, 11)), at(12, 20)).session,
    ):
        session = lifecycle.close(lifecycle.submit(before), at(12, 21))
        session = lifecycle.start(session, at(12, 22))
        assert history(session)[-2:] == [(ACTIVE, at(12, 22)), (PENDING_CLOSED, at(12, 22))]
        assert session.usage_seconds(at(12, 23)) == before.used_seconds + 60
        session = lifecycle.end(session, at(12, 23))
        assert (session.state, session.state_reason) == (CLOSED, "closed by its user")


def test_close_with_a_running_job_only_is_pending_closed() -> None:
    session = lifecycle.close(running(), at(12, 11))
    assert session.state is PENDING_CLOSED
    assert lifecycle.end(session, at(12, 12)).closed_at == at(12, 12)


def test_close_of_an_unused_session_closes_at_once() -> None:
    session = lifecycle.close(opened(), at(12, 1))
    assert history(session) == [(OPEN, NOON), (CLOSED, at(12, 1))]
    assert lifecycle.close(session, at(12, 5)) == session, "twice is the same as once"


def test_queued_jobs_of_a_closed_session_have_until_max_time() -> None:
    session = lifecycle.close(lifecycle.submit(running(max_hours=1)), at(12, 11))
    step = lifecycle.tick(session, at(14))
    assert step.session.state is PENDING_CLOSED
    assert step.ended == (JobState.FAILED, lifecycle.MAX_TIME_REASON, at(13, 10))
    assert (step.session.queued, step.session.running) == (0, 1)


def test_cancel_cancels_queued_jobs_and_lets_running_ones_finish() -> None:
    session = lifecycle.submit(lifecycle.submit(running()))
    session, ended = lifecycle.cancel(session, at(12, 11))
    assert ended == (JobState.CANCELLED, lifecycle.CANCELLED_REASON, at(12, 11))
    assert (session.queued, session.running) == (0, 1)
    assert (session.state, session.accepting_jobs) == (PENDING_CLOSED, False)
    with pytest.raises(NotAcceptingJobsError):
        lifecycle.submit(session)
    session = lifecycle.end(session, at(12, 12))
    assert history(session)[-1] == (CLOSED, at(12, 12))
    assert lifecycle.cancel(session, at(13)) == (session, None), "twice is the same as once"


def test_cancel_after_close_still_cancels_what_is_queued() -> None:
    session = lifecycle.close(lifecycle.submit(running()), at(12, 11))
    session, ended = lifecycle.cancel(session, at(12, 12))
    assert ended is not None
    assert (session.state, session.queued) == (PENDING_CLOSED, 0)


def test_cancel_queued_jobs_leaves_the_session_open() -> None:
    session = lifecycle.submit(lifecycle.submit(running()))
    session = lifecycle.drop(session, at(12, 11), 2)
    assert (session.state, session.accepting_jobs) == (ACTIVE, True)
    assert (session.queued, session.running) == (0, 1)


def test_a_session_being_cancelled_starts_nothing_and_closes_with_its_last_queued_job() -> None:
    session = lifecycle.submit(lifecycle.submit(opened()))
    session = lifecycle.begin_to_cancel(session)
    assert (session.state, session.accepting_jobs) == (OPEN, False)
    assert not lifecycle.may_start(session)
    session = lifecycle.drop(session, at(12, 1))
    assert (session.state, lifecycle.may_start(session)) == (OPEN, False)
    session = lifecycle.drop(session, at(12, 2))
    assert (session.state, session.state_reason) == (CLOSED, lifecycle.CANCELLED_BY_USER)


def test_max_time_lets_running_jobs_go_on_and_fails_queued_ones() -> None:
    session = lifecycle.submit(running())
    assert lifecycle.tick(session, at(20, 9, 59)) == (session, None)
    session, ended = lifecycle.tick(session, at(20, 10))
    assert ended == (JobState.FAILED, lifecycle.MAX_TIME_REASON, at(20, 10))
    assert (session.queued, session.running) == (0, 1)
    assert (session.state, session.accepting_jobs) == (PENDING_CLOSED, False)
    assert "28800 s" in session.state_reason
    session = lifecycle.end(session, at(20, 30))
    assert session.closed_at == at(20, 30)
    assert session.usage_seconds(at(23)) == (8 * 60 + 20) * 60


def test_max_time_of_an_idle_session_closes_it() -> None:
    session = lifecycle.end(running(max_hours=1), at(13, 9, 30))
    assert history(lifecycle.tick(session, at(14)).session)[-1] == (CLOSED, at(13, 10))


def test_a_closed_session_takes_and_starts_nothing() -> None:
    closed = lifecycle.close(opened(), at(12, 1))
    with pytest.raises(NotAcceptingJobsError, match="s"):
        lifecycle.submit(closed)
    with pytest.raises(InvalidTransitionError, match="closed"):
        lifecycle.start(replace(closed, queued=1), at(12, 2))
    assert lifecycle.next_deadline(closed) is None
    assert not closed.holds_device


def test_a_running_job_that_is_withdrawn_leaves_the_session_idle() -> None:
    session = running(Mode.BATCH)
    session = lifecycle.withdraw(session, at(12, 11), opened(Mode.BATCH), session.last_job_started)
    assert (session.state, session.running, session.idle_since) == (ACTIVE, 0, at(12, 11))
    assert (session.last_job_completed, session.usage_seconds(at(12, 11))) == (None, 0)
    closing = lifecycle.close(running(), at(12, 11))
    closing = lifecycle.withdraw(closing, at(12, 12), opened(), closing.last_job_started)
    assert history(closing)[-1] == (CLOSED, at(12, 12))


def test_a_withdrawn_job_leaves_the_session_unchanged() -> None:
    idle = lifecycle.end(running(), at(12, 11), Cost(1.0))
    queued = lifecycle.submit(idle)
    assert lifecycle.withdraw(queued, at(12, 12), idle) == idle
    busy = lifecycle.start(queued, at(12, 12))
    assert lifecycle.withdraw(busy, at(12, 13), idle, at(12, 12)) == idle
    # Other jobs are unaffected.
    both = lifecycle.start(lifecycle.submit(busy), at(12, 13))
    left = lifecycle.withdraw(both, at(12, 14), idle, at(12, 12))
    assert (left.running, left.last_job_started, left.idle_since) == (1, at(12, 13), None)
    other_ended = lifecycle.end(both, at(12, 14), Cost(1.0))
    left = lifecycle.withdraw(other_ended, at(12, 20), idle, at(12, 12))
    assert left.busy_seconds - idle.busy_seconds == 120, "until the other one ended"
    assert left.idle_since == at(12, 20)


def test_a_refunded_job_was_never_charged() -> None:
    for mode in Mode:
        before = running(mode)
        after = lifecycle.end(before, at(12, 11), Cost(2.0, 1.0))
        back = lifecycle.refund(after, Cost(2.0, 1.0))
        assert (back.on_device_seconds, back.preparing_seconds) == (0, 0)
        assert back.used_seconds == before.used_seconds


def test_impossible_events_are_refused() -> None:
    session = opened()
    for step in (
        lifecycle.start,
        lifecycle.drop,
        lifecycle.end,
        lifecycle.requeue,
    ):
        with pytest.raises(InvalidTransitionError, match="session s"):
            step(session, at(12, 1))
    for started_at in (None, at(12)):
        with pytest.raises(InvalidTransitionError, match="session s"):
            lifecycle.withdraw(session, at(12, 1), session, started_at)


# -- usage, downtimes, requeueing ----------------------------------------------------------


def test_usage_of_a_batch_is_the_time_of_its_jobs_on_the_device() -> None:
    session = lifecycle.end(running(Mode.BATCH), at(12, 40), Cost(1800))
    assert session.usage_seconds(at(12, 41)) == 1800
    assert lifecycle.tick(session, at(13)).session.usage_seconds(at(19)) == 1800
    assert not session.holds_device
    assert session.prioritised


def test_usage_is_work_and_idle_time() -> None:
    session = lifecycle.end(running(), at(12, 11), Cost(40, 15))
    session = lifecycle.tick(session, at(12, 12)).session
    assert session.state is INACTIVE
    assert (session.on_device_seconds, session.preparing_seconds) == (40, 15)
    assert session.busy_seconds == 60
    assert session.usage_seconds(at(15)) == 120
    assert session.idle_seconds(at(15)) == 60, "idle time is charged too"
    batch = lifecycle.end(running(Mode.BATCH), at(12, 11), Cost(40))
    assert batch.usage_seconds(at(12, 11, 30)) == 40
    assert batch.idle_seconds(at(12, 11, 30)) == 0, "a batch is charged only for its jobs"


def test_jobs_that_overlap_are_one_stretch_of_work() -> None:
    session = lifecycle.start(lifecycle.submit(running()), at(12, 11))
    session = lifecycle.end(session, at(12, 12))
    assert session.idle_seconds(at(12, 13)) == 0, "b runs still"
    session = lifecycle.end(session, at(12, 14))
    assert session.busy_seconds == 240
    assert session.idle_seconds(at(12, 14, 30)) == 30


def test_usage_never_falls_when_the_machines_clock_is_set_back() -> None:
    assert running().usage_seconds(at(11)) == 0
    session = lifecycle.close(running(), at(11))
    assert lifecycle.end(session, at(11, 30)).used_seconds == 0


def test_timers_after_a_downtime_run_out_in_their_order_each_at_its_own_time() -> None:
    session = lifecycle.end(running(), at(12, 11))
    session, ended = lifecycle.tick(session, at(23))
    assert ended is None
    assert history(session) == [
        (OPEN, NOON),
        (ACTIVE, at(12, 10)),
        (INACTIVE, at(12, 12)),
        (CLOSED, at(20, 10)),
    ]
    assert session.usage_seconds(at(23)) == 120


def test_a_job_that_was_queued_at_max_time_failed_then_not_after_the_downtime() -> None:
    session = lifecycle.end(lifecycle.submit(running(max_hours=1)), at(12, 11))
    session, ended = lifecycle.tick(session, at(19))
    assert ended is not None
    assert ended.when == session.closed_at == at(13, 10)


def test_a_first_job_that_was_cancelled_gives_the_session_another_30_minutes() -> None:
    session = lifecycle.drop(lifecycle.submit(opened()), at(13))
    assert session.last_job_completed is None
    assert lifecycle.tick(session, at(13)).session.state is OPEN, "it had a job until now"
    assert history(lifecycle.tick(session, at(14)).session)[-1] == (CLOSED, at(13, 30))


def test_requeue_from_active_waits_again_and_is_not_idle() -> None:
    session = lifecycle.requeue(running(), at(12, 11))
    assert (session.state, session.queued, session.running) == (ACTIVE, 1, 0)
    assert session.idle_since is None
    assert lifecycle.start(session, at(12, 12)).activated_at == at(12, 10)


def test_requeue_from_pending_inactive_goes_through_the_normal_queue() -> None:
    session = lifecycle.tick(running(active_hours=1), at(13, 10)).session
    session = lifecycle.requeue(session, at(13, 20))
    assert (session.state, session.queued) == (INACTIVE, 1)
    assert session.usage_seconds(at(15)) == 70 * 60
    assert lifecycle.start(session, at(15)).activated_at == at(15)


def test_requeue_from_pending_closed_runs_again_and_closes_then() -> None:
    session = lifecycle.close(running(), at(12, 11))
    session = lifecycle.requeue(session, at(12, 12))
    assert (session.state, session.accepting_jobs) == (ACTIVE, False)
    session = lifecycle.end(lifecycle.start(session, at(12, 13)), at(12, 14))
    assert history(session)[-1] == (CLOSED, at(12, 14))


def test_requeue_after_max_time_fails_the_job_and_time_does_not_run_back() -> None:
    session = lifecycle.tick(running(max_hours=1), at(13, 10)).session
    assert session.state is PENDING_CLOSED
    session = lifecycle.requeue(session, at(14))
    session, ended = lifecycle.tick(session, at(14))
    assert ended is not None
    assert (ended.state, session.queued) == (JobState.FAILED, 0)
    assert history(session)[-2:] == [(ACTIVE, at(14)), (CLOSED, at(14))]


# -- random histories ----------------------------------------------------------------------


class Histories(RuleBasedStateMachine):
    """Random events of a session, in any order, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.session = opened()
        self.live: dict[str, JobState] = {}
        self.ended: dict[str, JobState] = {}
        self.count = 0
        self.began: dict[str, datetime] = {}
        self.before: dict[str, Session] = {}
        self.device_seconds = 0.0
        self.worked_seconds = 0.0
        self.promised = lifecycle.next_deadline(self.session)

    def take(self, step: lifecycle.Step) -> None:
        if step.ended is not None:
            assert self.has_queued, "only queued jobs are dropped"
            for job_id in self.of(JobState.QUEUED):
                self.finish(job_id, step.ended.state)
        self.put(step.session)

    def put(self, session: Session) -> None:
        self.session = session
        self.promised = lifecycle.next_deadline(session)

    def finish(self, job_id: str, state: JobState) -> None:
        assert job_id not in self.ended
        del self.live[job_id]
        self.ended[job_id] = state

    def pick(self, data: st.DataObject, state: JobState) -> str:
        return data.draw(st.sampled_from(self.of(state)))

    def of(self, state: JobState) -> list[str]:
        return [job_id for job_id, each in self.live.items() if each is state]

    @property
    def has_queued(self) -> bool:
        return JobState.QUEUED in self.live.values()

    @property
    def has_running(self) -> bool:
        return JobState.RUNNING in self.live.values()

    @rule(batch=st.booleans(), active_hours=st.sampled_from([1, 8]))
    @precondition(lambda self: not self.live and not self.ended and self.session.state is OPEN)
    def choose(self, batch: bool, active_hours: int) -> None:
        mode = Mode.BATCH if batch else Mode.DEDICATED
        created = replace(
            self.session, mode=mode, active_seconds=active_hours * 3600, max_seconds=3 * 3600
        )
        self.put(created)

    @rule(seconds=st.sampled_from([1, 30, 60, 600, 3600, 4 * 3600]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.worked_seconds += seconds if self.has_running else 0
        before = self.session
        step = lifecycle.tick(before, self.now)
        if step.session != before:
            assert self.promised is not None
            assert self.promised <= self.now, "no timer early"
            new = step.session.transitions[len(before.transitions) :]
            assert all(self.promised <= when <= self.now for _, when in new)
        self.take(step)
        assert self.promised is None or self.promised > self.now, "no timer late"

    @rule()
    def submit(self) -> None:
        self.count += 1
        job_id = str(self.count)
        if self.session.accepting_jobs:
            self.before[job_id] = self.session
            self.put(lifecycle.submit(self.session))
            self.live[job_id] = JobState.QUEUED
        else:
            with pytest.raises(NotAcceptingJobsError):
                lifecycle.submit(self.session)

    @rule(data=st.data())
    @precondition(lambda self: self.has_queued and lifecycle.may_start(self.session))
    def start(self, data: st.DataObject) -> None:
        job_id = self.pick(data, JobState.QUEUED)
        self.put(lifecycle.start(self.session, self.now))
        self.live[job_id], self.began[job_id] = JobState.RUNNING, self.now
        ends_with_it = not self.session.accepting_jobs and not self.has_queued
        assert self.session.state is (PENDING_CLOSED if ends_with_it else ACTIVE)

    @rule(data=st.data())
    @precondition(lambda self: self.has_running)
    def complete(self, data: st.DataObject) -> None:
        job_id = self.pick(data, JobState.RUNNING)
        seconds = (self.now - self.began[job_id]).total_seconds()
        self.device_seconds += seconds
        self.put(lifecycle.end(self.session, self.now, Cost(seconds)))
        self.finish(job_id, JobState.COMPLETED)

    @rule(data=st.data())
    @precondition(lambda self: self.has_queued)
    def cancel_job(self, data: st.DataObject) -> None:
        job_id = self.pick(data, JobState.QUEUED)
        self.put(lifecycle.drop(self.session, self.now))
        self.finish(job_id, JobState.CANCELLED)

    @rule(data=st.data())
    @precondition(lambda self: self.has_running)
    def lose_worker(self, data: st.DataObject) -> None:
        job_id = self.pick(data, JobState.RUNNING)
        self.put(lifecycle.requeue(self.session, self.now))
        self.live[job_id] = JobState.QUEUED
        # As the runtime does after every change: a timer that is active again may have expired.
        self.take(lifecycle.tick(self.session, self.now))

    @rule(data=st.data())
    @precondition(lambda self: self.has_running)
    def withdraw(self, data: st.DataObject) -> None:
        job_id = self.pick(data, JobState.RUNNING)
        before = self.session
        self.put(lifecycle.withdraw(before, self.now, self.before[job_id], self.began[job_id]))
        idle = self.session.idle_seconds(self.now)
        assert idle >= before.idle_seconds(self.now), (
            "the withdrawn job did no work, so idle time can only grow"
        )
        if self.session.mode is Mode.DEDICATED:
            self.worked_seconds = self.session.usage_seconds(self.now) - idle
        assert self.session.last_job_completed == before.last_job_completed
        del self.live[job_id]

    @rule()
    def close(self) -> None:
        self.put(lifecycle.close(self.session, self.now))

    @rule()
    def cancel(self) -> None:
        self.take(lifecycle.cancel(self.session, self.now))
        assert not self.session.queued

    @rule()
    def cancel_queued(self) -> None:
        for job_id in self.of(JobState.QUEUED):
            self.finish(job_id, JobState.CANCELLED)
        self.put(lifecycle.drop(self.session, self.now, self.session.queued))

    @invariant()
    def no_job_is_lost(self) -> None:
        assert self.session.queued == len(self.of(JobState.QUEUED))
        assert self.session.running == len(self.of(JobState.RUNNING))

    @invariant()
    def a_closed_session_is_over(self) -> None:
        closed = self.session.state is CLOSED
        assert closed == (self.session.closed_at is not None)
        if closed:
            assert not self.live
            assert not self.session.accepting_jobs
            assert not lifecycle.may_start(self.session)

    @invariant()
    def a_session_without_jobs_that_takes_none_is_closed(self) -> None:
        if not self.live and not self.session.accepting_jobs:
            assert self.session.state is CLOSED

    @invariant()
    def usage_is_active_time_or_device_time(self) -> None:
        if self.session.mode is Mode.BATCH:
            assert self.session.usage_seconds(self.now) == pytest.approx(self.device_seconds)
            return
        active = timedelta()
        ends = [when for _, when in self.session.transitions[1:]] + [self.now]
        for (state, since), until in zip(self.session.transitions, ends, strict=True):
            if state in {ACTIVE, PENDING_INACTIVE, PENDING_CLOSED}:
                active += until - since
        assert self.session.usage_seconds(self.now) == pytest.approx(active.total_seconds())

    @invariant()
    def time_without_work_is_idle(self) -> None:
        if self.session.mode is Mode.BATCH:
            assert self.session.idle_seconds(self.now) == 0
        else:
            used = self.session.usage_seconds(self.now)
            assert self.session.idle_seconds(self.now) == pytest.approx(used - self.worked_seconds)

    @invariant()
    def transitions_are_in_order(self) -> None:
        times = [when for _, when in self.session.transitions]
        assert times == sorted(times)


TestHistories = pytest.mark.minute(Histories.TestCase)
TestHistories.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
