"""Random events in any order: refused means unchanged, and the collections agree."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qsession_widget.runtime.control import coordinator
from qsession_widget.runtime.control.admission import (
    NewSession,
    TooManyError,
    UnknownOwnerError,
)
from qsession_widget.runtime.control.coordinator import Coordinator
from qsession_widget.runtime.control.state import Phase, RuntimeState
from qsession_widget.runtime.model.errors import InvalidTransitionError
from qsession_widget.runtime.model.job import Job
from qsession_widget.runtime.model.lifecycle import NotAcceptingJobsError
from qsession_widget.runtime.settings import Settings
from qsession_widget.runtime.store.store import StoreUnavailableError
from qsession_widget.runtime.store.writes import AddJob, Update
from qsession_widget.runtime.worker.messages import (
    GOES_ON,
    Done,
    Event,
    Failed,
    Interim,
    Lost,
    Reached,
    Task,
)
from qsession_widget.wire.states import JobState, Mode, Stage
from tests.runtime.bench import NOON, HandClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.runtime.control.executor import OnEvent
    from qsession_widget.runtime.store.writes import Write

BACKENDS = st.sampled_from(["fake_manila", "fake_torino"])
OWNERS = st.sampled_from("op")
PICKS = st.integers(0, 99)
EVENTS = st.sampled_from(
    [
        Interim("one pub"),
        Reached(Stage.ON_DEVICE),
        Reached(Stage.POST_PROCESSING),
        Done("{}", 0.1),
        Failed("no reason"),
        Lost(-9),
    ]
)
REFUSALS = (NotAcceptingJobsError, TooManyError, UnknownOwnerError)


class Disk:
    """A store with a slow disk: a test decides when a change is written or refused."""

    def __init__(self, left: list[Job]) -> None:
        self.available = True
        self.waiting: list[tuple[Write, asyncio.Future[None]]] = []
        self.payloads = {job.id: "{}" for job in left}
        self._left = left

    def read_at_start(self, read: Any, *_arguments: Any) -> Any:
        return None if getattr(read, "__name__", "") == "newest_time" else []

    def unfinished(self) -> Any:
        return [], self._left, 0

    def write(self, change: Write) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((change, future))
        return future

    async def params(self, job_id: str) -> str | None:
        await asyncio.sleep(0)
        return self.payloads.get(job_id)

    def settle(self, problem: Callable[[Write], Exception | None]) -> None:
        waiting, self.waiting = self.waiting, []
        for change, future in waiting:
            error = problem(change)
            if error is not None:
                future.set_exception(error)
                # A failure that no test awaits is not reported.
                future.exception()
                continue
            if isinstance(change, AddJob):
                assert isinstance(change.params, str)
                self.payloads[change.job.id] = change.params
            future.set_result(None)


class Pool:
    """A pool of workers that the test controls."""

    def __init__(self, workers: int, on_event: OnEvent, on_free: Callable[[], None]) -> None:
        self.workers, self.on_event, self.on_free = workers, on_event, on_free
        self.tasks: dict[str, Task] = {}
        self.over: list[Task] = []
        self.given_up = 0

    @property
    def free(self) -> int:
        return self.workers - len(self.tasks) - self.given_up

    @property
    def busy(self) -> bool:
        return self.free < self.workers

    @property
    def giving_up(self) -> bool:
        return self.given_up > 0

    def submit(self, task: Task) -> None:
        assert self.free > 0
        self.tasks[task.job_id] = task

    def cancel(self, job_id: str) -> None:
        task = self.tasks.pop(job_id, None)
        if task is not None:
            self.over.append(task)
            self.given_up += 1

    def tell(self, job_id: str, event: Event) -> None:
        task = self.tasks[job_id]
        if not isinstance(event, GOES_ON):
            self.over.append(self.tasks.pop(job_id))
        self.on_event(job_id, task.attempt, event)

    def is_free(self) -> None:
        self.given_up -= 1
        self.on_free()

    def start(self) -> None:
        pass

    stop = start

    def warm(self, *_arguments: str) -> None:
        pass

    grant_device = warm


def left_by_an_earlier_runtime(state: JobState, number: int) -> Job:
    job = Job(f"left-{number}", "o", "fake_manila", "sampler", NOON)
    return job.start(NOON) if state is JobState.RUNNING else job


class Runtime(RuleBasedStateMachine):
    """A coordinator with a slow disk, and workers that do anything."""

    @initialize(
        virtual=st.booleans(),
        lanes=st.integers(1, 2),
        stops=st.booleans(),
        left=st.lists(st.sampled_from([JobState.QUEUED, JobState.RUNNING]), max_size=2),
    )
    def begin(self, *, virtual: bool, lanes: int, stops: bool, left: list[JobState]) -> None:
        self.loop = asyncio.new_event_loop()
        self.known = {"o", "p"}
        self.clock = HandClock()
        self.clock.rate = 0.0 if virtual else 1.0
        jobs = [left_by_an_earlier_runtime(state, number) for number, state in enumerate(left)]
        self.disk = Disk(jobs)
        self.requests: list[asyncio.Task[Any]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(coordinator, "WorkerPool", Pool)
            self.runtime = Coordinator(
                cast("Any", self.disk),
                self.clock,
                Settings(
                    home=Path(),
                    workers=3,
                    lanes=lanes,
                    min_job_seconds=5 if virtual else 0,
                    max_pending_jobs=5,
                    max_open_sessions=5,
                    stop_at_max_time=stops,
                ),
                is_known=self.known.__contains__,
            )
        self.state = self.runtime._state
        self.pool = cast("Pool", self.runtime._executor)
        self.turns(self.runtime.start)
        for mode, backend in zip(Mode, ("fake_manila", "fake_torino"), strict=True):
            wanted = NewSession("o", backend, mode, 300)
            self.asks(self.runtime.create_session(wanted, None))
        self.writes()

    def turns(self, call: Callable[[], object] = lambda: None) -> None:
        """Call a function in the event loop, and run the loop until nothing is left to do."""

        async def body() -> None:
            call()
            for _ in range(12):
                await asyncio.sleep(0)

        self.loop.run_until_complete(body())

    def asks(self, request: Any) -> asyncio.Task[Any]:
        task = self.loop.create_task(request)
        self.requests.append(task)
        self.turns()
        return task

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        self.disk.available = True
        for owner in "op":
            self.asks(self.runtime.cancel_all(owner))
        while self.disk.waiting:
            self.writes()
        while self.pool.given_up:
            self.turns(self.pool.is_free)
        self.agree()
        assert (self.state._jobs, self.state._ending, self.state.at_hand._payloads) == ({}, {}, {})
        assert (self.state._pending, self.state._counts) == (Counter(), Counter())
        assert (self.state._of_session, self.runtime._scheduler._jobs) == ({}, {})
        for request in self.requests:
            assert request.done()
            request.exception()
        self.turns(self.runtime.stop)
        self.loop.close()

    # -- requests --------------------------------------------------------------------------

    @rule(owner=OWNERS, backend=BACKENDS, mode=st.sampled_from(Mode), seconds=st.integers(60, 600))
    def opens(self, owner: str, backend: str, mode: Mode, seconds: int) -> None:
        wanted = NewSession(owner, backend, mode, seconds)
        self.refused_means_unchanged(self.runtime.create_session(wanted, None))

    @rule(owner=OWNERS, backend=BACKENDS, pick=st.none() | PICKS, large=st.booleans())
    def submits(self, owner: str, backend: str, pick: int | None, large: bool) -> None:
        sessions = self.runtime.sessions()
        session_id = None
        if sessions and pick is not None:
            session = sessions[pick % len(sessions)]
            owner, backend, session_id = session.owner, session.backend, session.id
            # Its timers expire before the job arrives.
            self.turns(lambda: self.runtime.session(owner, session.id))
        job = Job("", owner, backend, "sampler", NOON, session_id=session_id)
        params = "x" * 2**19 if large else "{}"
        self.refused_means_unchanged(self.runtime.submit(job, params, None))

    def refused_means_unchanged(self, request: Any) -> bool:
        """Whether a request was refused at once."""
        before = everything(self.state)
        task = self.asks(request)
        refused = task.done() and isinstance(task.exception(), REFUSALS)
        assert not refused or everything(self.state) == before
        return refused

    @precondition(lambda self: any(each.queued for each in self.runtime.sessions()))
    @rule()
    def closes_one_with_queued_jobs_and_submits_another(self) -> None:
        session = next(each for each in self.runtime.sessions() if each.queued)
        self.asks(self.runtime.close_session(session.id))
        self.turns(lambda: self.runtime.session(session.owner, session.id))
        job = Job("", session.owner, session.backend, "sampler", NOON, session_id=session.id)
        assert self.refused_means_unchanged(self.runtime.submit(job, "{}", None))

    @precondition(lambda self: self.state.unfinished)
    @rule(pick=PICKS)
    def cancels(self, pick: int) -> None:
        self.asks(self.runtime.cancel_job(self.a_job(pick).id))

    @precondition(lambda self: self.runtime.sessions())
    @rule(pick=PICKS, how=st.sampled_from(["close_session", "cancel_session", "cancel_queued"]))
    def ends_a_session(self, pick: int, how: str) -> None:
        sessions = self.runtime.sessions()
        self.asks(getattr(self.runtime, how)(sessions[pick % len(sessions)].id))

    @precondition(lambda self: self.state.unfinished)
    @rule(pick=PICKS)
    def tags(self, pick: int) -> None:
        self.asks(self.runtime.set_tags(self.a_job(pick), ("tag",)))

    @rule()
    def removes_a_user(self) -> None:
        self.known.discard("p")

    # -- workers ---------------------------------------------------------------------------

    @precondition(lambda self: self.pool.tasks)
    @rule(pick=PICKS, event=EVENTS)
    def tells(self, pick: int, event: Event) -> None:
        job_id = list(self.pool.tasks)[pick % len(self.pool.tasks)]
        if isinstance(event, Reached):
            # Old enough to be shown at once.
            event = Reached(event.stage, time.monotonic() - 1)
        self.turns(lambda: self.pool.tell(job_id, event))

    @precondition(lambda self: self.pool.over)
    @rule(pick=PICKS, event=EVENTS)
    def tells_late(self, pick: int, event: Event) -> None:
        """A worker elsewhere tells of an attempt that is over; the job may run again by now."""
        task = self.pool.over[pick % len(self.pool.over)]
        if self.state.runs(task.job_id, task.attempt):
            # It has ended, and waits for the disk or the clock.
            return

        def tell() -> None:
            before = everything(self.state)
            self.pool.on_event(task.job_id, task.attempt, event)
            assert everything(self.state) == before

        self.turns(tell)

    @precondition(lambda self: self.pool.given_up)
    @rule()
    def is_free(self) -> None:
        self.turns(self.pool.is_free)

    # -- the disk and the clock ------------------------------------------------------------

    @rule()
    def writes(self) -> None:
        self.turns(lambda: self.disk.settle(lambda _change: None))

    @rule(hopeless=st.booleans())
    def does_not_write(self, hopeless: bool) -> None:
        """New jobs and sessions are refused, or a result cannot be written; the rest is stored."""

        def problem(change: Write) -> Exception | None:
            if hopeless:
                lost = isinstance(change, Update) and change.result is not None
                return ValueError("too large") if lost else None
            return StoreUnavailableError("full") if change.refusable else None

        self.turns(lambda: self.disk.settle(problem))

    @rule()
    def fills_and_empties(self) -> None:
        self.disk.available = not self.disk.available

    @rule(seconds=st.sampled_from([1, 10, 60, 1_000]))
    def ticks(self, seconds: int) -> None:
        self.clock.moves(seconds=seconds)
        self.turns(self.state.wake_up.request)

    # -- invariants -------------------------------------------------------------------

    def a_job(self, pick: int) -> Job:
        jobs = self.state.jobs()
        return jobs[pick % len(jobs)]

    @rule(pick=PICKS, known=st.booleans())
    def impossible(self, pick: int, known: bool) -> None:
        job_id = self.a_job(pick).id if known and self.state.unfinished else "unknown"
        self.turns(lambda: refuses_what_is_impossible(self.state, job_id))

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "loop"):
            return
        state, scheduler = self.state, self.runtime._scheduler
        kept, jobs = state._jobs, state.jobs()
        arriving = {job_id for job_id, each in kept.items() if each.arrival is not None}
        assert not any(job.state.final for job in jobs)
        assert state._pending == Counter(job.owner for job in jobs)
        assert state._counts == Counter(
            (job.backend, job.state) for job in jobs if job.id not in arriving
        )
        assert state.arriving == sum(isinstance(each, AddJob) for each, _ in self.disk.waiting)
        assert kept.keys().isdisjoint(state._ending)
        assert not any(each.stored.done() for each in state._ending.values())
        by_session: dict[str, list[str]] = {}
        for job in jobs:
            if job.session_id is not None:
                by_session.setdefault(job.session_id, []).append(job.id)
        assert {key: list(each) for key, each in state._of_session.items()} == by_session
        assert by_session.keys() <= state._sessions.keys()
        for session in state.sessions():
            states = [kept[job_id].job.state for job_id in by_session.get(session.id, [])]
            assert session.queued == states.count(JobState.QUEUED)
            assert session.running == states.count(JobState.RUNNING)
        for job_id in state.at_hand._payloads:
            assert kept[job_id].job.state is JobState.QUEUED
        running = {job.id for job in jobs if job.state is JobState.RUNNING}
        assert state.timers._when.keys() <= running | state._sessions.keys()
        assert kept.keys() - arriving <= scheduler._jobs.keys() <= kept.keys()
        for job_id, item in scheduler._jobs.items():
            assert (item.started_at is not None) == (job_id in running)
        for job_id, each in kept.items():
            computes = each.has_worker and each.result is None and not state.holds_end(job_id)
            assert computes == (job_id in self.pool.tasks)
            phase = state.phase(job_id)
            assert (phase is Phase.ARRIVING) == (job_id in arriving)
            assert phase in {Phase.ARRIVING, Phase.QUEUED} or job_id in running


def refuses_what_is_impossible(state: RuntimeState, job_id: str) -> None:
    """Try each change that is impossible in a job's state; nothing may change."""
    job = state.job(job_id)
    only_running: list[Callable[[], object]] = [
        lambda: state.prepare(job_id, state.now),
        lambda: state.reach(job_id, Stage.ON_DEVICE, state.now),
        lambda: state.requeue(job_id, attempts=0),
        lambda: state.hand_over(job_id),
        lambda: state.add_interim(job_id, "text"),
        lambda: state.keep_result(job_id, Done("{}", 0.1)),
        lambda: state.hold_end(job_id, Lost(-9)),
    ]
    tries: list[Callable[[], object]] = []
    if job is None or job.state is not JobState.RUNNING:
        tries += only_running
    if job is None or job.state is not JobState.QUEUED:
        tries.append(lambda: state.start(job_id))
    if job is None:
        tries += [
            lambda: state.end(job_id, JobState.CANCELLED, state.now),
            lambda: state.withdraw(job_id),
            lambda: state.revise(job_id),
            lambda: state.require(job_id),
        ]
    else:
        tries += [
            lambda: state.end(job_id, JobState.QUEUED, state.now),
            lambda: state.admit(job),
            lambda: state.inherit(job),
            lambda: state.lose_result(job, "none"),
        ]
        if state.phase(job_id) is not Phase.ARRIVING:
            tries.append(lambda: state.hold_end(job_id, Lost(-9)))
    before = everything(state)
    for each in tries:
        with pytest.raises(InvalidTransitionError, match=job_id):
            each()
        assert everything(state) == before


def everything(state: RuntimeState) -> dict[str, Any]:
    """Copy everything in a state."""
    jobs = {
        job_id: (
            each.job,
            each.arrival,
            each.inherited,
            each.has_worker,
            each.attempt,
            tuple(each.interim),
            each.result,
        )
        for job_id, each in state._jobs.items()
    }
    return {
        "jobs": jobs,
        "sessions": dict(state._sessions),
        "of_session": {key: list(each) for key, each in state._of_session.items()},
        "arriving": state.arriving,
        "pending": state._pending.copy(),
        "counts": state._counts.copy(),
        "ending": dict(state._ending),
        "payloads": dict(state.at_hand._payloads),
        "outcomes": dict(state.at_hand._outcomes),
        "timers": dict(state.timers._when),
        "revision": state._revision,
    }


TestRuntime = Runtime.TestCase
TestRuntime.settings = settings(max_examples=60, stateful_step_count=50, derandomize=True)
