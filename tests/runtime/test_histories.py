"""Scheduler and lifecycle together: random histories of several owners, devices and sessions."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qsession_widget.runtime.control.timers import Timers
from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.cost import Cost
from qsession_widget.runtime.model.lifecycle import Session
from qsession_widget.runtime.scheduling.scheduler import Scheduler
from qsession_widget.wire.states import Mode, SessionState

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HISTORIES = int(os.environ.get("QSESSION_HISTORIES", "150"))
"""How many random histories; `make soak` tries more."""

OWNERS = st.sampled_from("abc")
DEVICES = st.sampled_from(["d", "e"])


@dataclass(frozen=True)
class Job:
    id: str
    owner: str
    device: str
    session_id: str | None
    started_at: datetime | None = None
    on_device_at: datetime | None = None
    off_device_at: datetime | None = None

    def device_seconds(self, now: datetime) -> float:
        if self.on_device_at is None:
            return 0.0
        return ((self.off_device_at or now) - self.on_device_at).total_seconds()


class Runtime(RuleBasedStateMachine):
    """The coordinator without processes and without a store."""

    @initialize(shared=st.booleans(), lanes=st.integers(1, 3))
    def begin(self, shared: bool, lanes: int) -> None:
        self.now = NOON
        self.shared, self.lanes, self.switched = shared, lanes, False
        self.scheduler = Scheduler(shared=shared, lanes=lanes)
        self.timers = Timers()
        self.sessions: dict[str, Session] = {}
        self.jobs: dict[str, Job] = {}
        self.ended: dict[str, str] = {}
        self.sent = self.names = 0
        self.charged: defaultdict[str, float] = defaultdict(float)
        self.session_use: dict[str, float] = {}
        self.before: dict[str, Session] = {}

    # -- steps of the coordinator ---------------------------------------------------------

    def put(self, session: Session) -> None:
        self.sessions[session.id] = session
        self.timers.set(session.id, lifecycle.next_deadline(session))
        self.scheduler.update(session, self.now)
        if session.mode is Mode.DEDICATED and not self.shared:
            used = session.usage_seconds(self.now)
            self.charged[session.owner] += used - self.session_use.get(session.id, 0.0)
            self.session_use[session.id] = used

    def take(self, step: lifecycle.Step) -> None:
        if step.ended is not None:
            dropped = self.queued(step.session)
            assert dropped, "only queued jobs are dropped"
            for job in dropped:
                self.finish(job.id, step.ended.state.value)
        self.put(step.session)

    def finish(self, job_id: str, how: str) -> None:
        assert job_id not in self.ended, "a job ends once"
        job = self.jobs.pop(job_id)
        self.ended[job_id] = how
        seconds = job.device_seconds(self.now)
        dedicated = (
            job.session_id is not None
            and self.sessions[job.session_id].mode is Mode.DEDICATED
            and not self.shared
        )
        if not dedicated:
            self.charged[job.owner] += seconds
        self.gets_device(
            self.scheduler.leave(
                job_id, self.now, used_seconds=seconds, completed=how == "Completed"
            )
        )

    def gets_device(self, job_id: str | None) -> None:
        if job_id is not None:
            assert self.jobs[job_id].on_device_at is None
            self.jobs[job_id] = replace(self.jobs[job_id], on_device_at=self.now)

    def queued(self, session: Session) -> list[Job]:
        of = [each for each in self.jobs.values() if each.session_id == session.id]
        return [each for each in of if each.started_at is None]

    def pick(self, data: st.DataObject, jobs: list[Job]) -> Job:
        return data.draw(st.sampled_from(sorted(jobs, key=lambda each: each.id)))

    def open_ones(self) -> list[Session]:
        return [each for each in self.sessions.values() if each.closed_at is None]

    @property
    def in_work(self) -> list[Job]:
        return [each for each in self.jobs.values() if each.started_at is not None]

    # -- events -------------------------------------------------------------------

    @rule(owner=OWNERS, device=DEVICES, mode=st.sampled_from(list(Mode)))
    def open(self, owner: str, device: str, mode: Mode) -> None:
        session = Session(
            id=f"s{len(self.sessions)}",
            owner=owner,
            backend=device,
            mode=mode,
            max_seconds=3_600,
            interactive_seconds=60,
            active_seconds=900,
            first_job_seconds=600,
            created_at=self.now,
        )
        self.put(lifecycle.create(session))

    @rule(data=st.data(), owner=OWNERS, device=DEVICES, count=st.integers(1, 3))
    def submit(self, data: st.DataObject, owner: str, device: str, count: int) -> None:
        ready = [each.id for each in self.open_ones() if each.accepting_jobs]
        session_id = data.draw(st.sampled_from([None, *ready]))
        for _ in range(count):
            self.sent += 1
            self.names += 1
            job_id = f"j{self.names:04}"
            if session_id is not None:
                session = self.sessions[session_id]
                owner, device = session.owner, session.backend
                self.before[job_id] = session
                self.put(lifecycle.submit(session))
            self.jobs[job_id] = Job(job_id, owner, device, session_id)
            self.scheduler.wait(job_id, device=device, owner=owner, session_id=session_id)

    @rule(at_most=st.integers(1, 4))
    def start(self, at_most: int) -> None:
        for _ in range(at_most):
            first = {
                device: next(
                    (
                        each.id
                        for each in self.jobs.values()
                        if each.device == device and self.scheduler.position(each.id) == 1
                    ),
                    None,
                )
                for device in "de"
            }
            holders = {device: self.scheduler.holder(device) for device in "de"}
            job_id = self.scheduler.start_next(self.now)
            if job_id is None:
                return
            job = self.jobs[job_id]
            assert job.started_at is None, "nothing runs twice at once"
            others = [each for each in self.in_work if each.device == job.device]
            if not others:
                assert first[job.device] == job_id, "the first in its queue starts"
            if holders[job.device] is not None and not self.switched:
                assert job.session_id == holders[job.device], "the device is its session's alone"
            self.jobs[job_id] = replace(job, started_at=self.now)
            if job.session_id is not None:
                session = self.sessions[job.session_id]
                assert session.closed_at is None, "a closed session starts nothing"
                self.put(lifecycle.start(session, self.now))
                if session.mode is Mode.DEDICATED and not self.shared and not self.switched:
                    assert all(each.session_id == session.id for each in others)

    @rule(data=st.data())
    @precondition(lambda self: any(each.on_device_at is None for each in self.in_work))
    def prepared(self, data: st.DataObject) -> None:
        job = self.pick(data, [each for each in self.in_work if each.on_device_at is None])
        if self.scheduler.ask_device(job.id):
            self.gets_device(job.id)

    @rule(data=st.data())
    @precondition(lambda self: any(self.scheduler.on_device(device) for device in "de"))
    def off_device(self, data: st.DataObject) -> None:
        job_id = data.draw(
            st.sampled_from([found for d in "de" if (found := self.scheduler.on_device(d))])
        )
        self.jobs[job_id] = replace(self.jobs[job_id], off_device_at=self.now)
        self.gets_device(self.scheduler.release(job_id))

    @rule(data=st.data(), how=st.sampled_from(["Completed", "Failed", "Cancelled"]))
    @precondition(lambda self: self.jobs)
    def end(self, data: st.DataObject, how: str) -> None:
        candidates = list(self.jobs.values()) if how == "Cancelled" else self.in_work
        if not candidates:
            return
        job = self.pick(data, candidates)
        seconds = job.device_seconds(self.now)
        self.finish(job.id, how)
        if job.session_id is not None:
            session = self.sessions[job.session_id]
            if job.started_at is None:
                self.put(lifecycle.drop(session, self.now))
            else:
                self.put(lifecycle.end(session, self.now, Cost(seconds)))

    @rule(data=st.data())
    @precondition(lambda self: self.jobs)
    def withdraw(self, data: st.DataObject) -> None:
        """A job that could not be stored, running or not, is not charged."""
        job = self.pick(data, list(self.jobs.values()))
        del self.jobs[job.id]
        self.sent -= 1
        self.gets_device(self.scheduler.leave(job.id, self.now))
        if job.session_id is not None:
            session, before = self.sessions[job.session_id], self.before[job.id]
            self.put(lifecycle.withdraw(session, self.now, before, job.started_at))
            self.take(lifecycle.tick(self.sessions[job.session_id], self.now))

    @rule(data=st.data())
    @precondition(lambda self: self.in_work)
    def lose_worker(self, data: st.DataObject) -> None:
        job = self.pick(data, self.in_work)
        self.jobs[job.id] = Job(job.id, job.owner, job.device, job.session_id)
        self.gets_device(self.scheduler.requeue(job.id))
        if job.session_id is not None:
            self.put(lifecycle.requeue(self.sessions[job.session_id], self.now))
            self.take(lifecycle.tick(self.sessions[job.session_id], self.now))

    @rule(seconds=st.sampled_from([1, 30, 60, 600, 4_000]))
    def wait(self, seconds: int) -> None:
        until = self.now + timedelta(seconds=seconds)
        while (following := self.timers.next()) is not None and following <= until:
            self.now = max(self.now, following)
            session_id = self.timers.take_due(self.now)
            assert session_id is not None
            before = self.sessions[session_id]
            step = lifecycle.tick(before, self.now)
            assert step.session != before, "no timer early"
            self.take(step)
        self.now = until

    @rule(data=st.data(), how=st.sampled_from(["close", "cancel", "cancel_queued"]))
    @precondition(lambda self: self.open_ones())
    def steer(self, data: st.DataObject, how: str) -> None:
        session = data.draw(st.sampled_from(self.open_ones()))
        if how == "close":
            self.put(lifecycle.close(session, self.now))
        elif how == "cancel":
            self.take(lifecycle.cancel(session, self.now))
        else:
            dropped = self.queued(session)
            for job in dropped:
                self.finish(job.id, "Cancelled")
            self.put(lifecycle.drop(session, self.now, len(dropped)))

    @rule()
    def others_come_or_go(self) -> None:
        """Without a set policy, the number of owners decides."""
        self.shared, self.switched = not self.shared, True
        self.scheduler.shared = self.shared

    # -- invariants -----------------------------------------------------------------

    @invariant()
    def no_job_is_lost(self) -> None:
        assert len(self.jobs) + len(self.ended) == self.sent
        for device in "de":
            here = [each for each in self.jobs.values() if each.device == device]
            assert self.scheduler.length(device) == len(here)
            assert self.scheduler.waiting(device) == sum(each.started_at is None for each in here)
        for session in self.sessions.values():
            of = [each for each in self.jobs.values() if each.session_id == session.id]
            queued = self.queued(session)
            assert (session.queued, session.running) == (len(queued), len(of) - len(queued))

    @invariant()
    def at_most_one_job_is_on_a_device(self) -> None:
        for device in "de":
            here = [
                each.id
                for each in self.in_work
                if each.device == device
                and each.on_device_at is not None
                and each.off_device_at is None
            ]
            assert here == [found for found in [self.scheduler.on_device(device)] if found]
            assert len(self.scheduler.in_work(device)) <= self.lanes

    @invariant()
    def places_have_no_gaps(self) -> None:
        for device in "de":
            waiting = [
                each.id
                for each in self.jobs.values()
                if each.device == device and each.started_at is None
            ]
            places: list[Any] = [self.scheduler.position(each) for each in waiting]
            assert sorted(places) == list(range(1, len(waiting) + 1))

    @invariant()
    def each_owner_is_charged_for_usage(self) -> None:
        if not self.switched:
            for owner in "abc":
                assert self.scheduler.used_seconds(owner) == pytest.approx(self.charged[owner])

    @invariant()
    def a_closed_session_is_over(self) -> None:
        for session in self.sessions.values():
            if session.state is SessionState.CLOSED:
                assert not session.queued
                assert not session.running


TestRuntime = pytest.mark.minute(Runtime.TestCase)
TestRuntime.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
