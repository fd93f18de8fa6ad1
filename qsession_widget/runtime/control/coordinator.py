"""The facade of `control/`: all that HTTP asks of a runtime's sessions and jobs.

Everything runs in the event loop. Memory holds the unfinished sessions and jobs; each change goes
to the store in order, and a request returns when its change is on disk. Lifecycle and scheduler
decide; the parts that carry their decisions out are put together here.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from qsession_widget.runtime.control.abandonment import Abandonment
from qsession_widget.runtime.control.admission import KEYS, Admission
from qsession_widget.runtime.control.device_arbiter import DeviceArbiter
from qsession_widget.runtime.control.dispatcher import Dispatcher, safely
from qsession_widget.runtime.control.heartbeats import Heartbeats
from qsession_widget.runtime.control.state import Phase, RuntimeState
from qsession_widget.runtime.control.ticker import Ticker
from qsession_widget.runtime.control.transitions import Transitions
from qsession_widget.runtime.control.wake_up import WakeUp
from qsession_widget.runtime.control.worker_pool import WorkerPool
from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.scheduling.scheduler import Scheduler
from qsession_widget.runtime.store import idempotency, usage
from qsession_widget.runtime.store.writes import DeleteJob
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.control.admission import NewSession
    from qsession_widget.runtime.control.executor import HostPlace, MakeExecutor, WorkerPlace
    from qsession_widget.runtime.control.notifier import Notifier
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.pieces import Content
    from qsession_widget.runtime.scheduling.estimates import StartEstimate
    from qsession_widget.runtime.settings import Policy, Settings
    from qsession_widget.runtime.store.store import Store
    from qsession_widget.runtime.worker.messages import Event

log = logging.getLogger(__name__)

CANCELLED_BY_USER_REASON = "Cancelled by its user."


class Holder(NamedTuple):
    """A session that has a backend to itself, for which jobs of others wait.

    Attributes:
        session: the session.
        until: when its time ends if nothing else happens; None if that is not known.
        abandoned: whether the programs that use it have ended.
    """

    session: Session
    until: datetime | None
    abandoned: bool


class Coordinator:
    """The sessions and jobs of a runtime."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        *,
        several_owners: Callable[[], bool] = lambda: False,
        is_known: Callable[[str], bool] = lambda _owner: True,
        make_executor: MakeExecutor | None = None,
    ) -> None:
        """Put the parts together; `start` starts them.

        Args:
            store: the store of sessions and jobs.
            clock: the clock for their times.
            settings: the settings of the runtime.
            several_owners: whether the runtime has more than one user at present.
            is_known: whether an owner may use the runtime at present.
            make_executor: makes what runs the jobs; None takes worker processes on this machine.
        """
        self._several_owners = several_owners
        self._state = state = RuntimeState(store, clock, settings, WakeUp(self._look))
        make = make_executor or partial(WorkerPool, settings.workers)
        self._executor = make(self._on_event, state.wake_up.request)
        self._scheduler = Scheduler(lanes=settings.lanes, shared=self.policy == "shared")
        self._arbiter = DeviceArbiter(state, self._scheduler, self._executor)
        self._transitions = Transitions(state, self._scheduler, self._arbiter, self._executor)
        self._dispatcher = Dispatcher(
            state, self._scheduler, self._arbiter, self._transitions, self._executor
        )
        self._heartbeats = Heartbeats(settings.beat_seconds)
        self._admission = Admission(
            state, self._transitions, self._dispatcher, self._heartbeats, is_known
        )
        self._ticker = Ticker(state, self._transitions, self._dispatcher)
        self._abandonment = Abandonment(state, self._transitions, self._scheduler, self._heartbeats)

    @property
    def notifier(self) -> Notifier:
        """The requests that wait for changes."""
        return self._state.notifier

    @property
    def now(self) -> datetime:
        """The runtime's time."""
        return self._state.now

    @property
    def policy(self) -> Policy:
        """Whether an active session has its backend to itself, or only goes first."""
        if self._state.settings.policy is not None:
            return self._state.settings.policy
        return "shared" if self._several_owners() else "dedicated"

    @property
    def idle(self) -> bool:
        """Whether there is no open session and no unfinished job."""
        return self._state.empty

    def start(self) -> None:
        """Continue where the last runtime on this store stopped, however it ended."""
        state, store = self._state, self._state.store
        newest = store.read_at_start(usage.newest_time)
        if newest is not None:
            state.clock.go_on_from(newest)
        sessions, jobs, revision = store.unfinished()
        state.go_on_from(revision)
        past = store.read_at_start(
            partial(usage.recent_use, shared=self._scheduler.shared), self.now
        )
        self._admission.remember(store.read_at_start(idempotency.latest, KEYS))
        for owner, day, seconds in past:
            self._scheduler.charge(owner, seconds, day)
        for session in sessions:
            self._transitions.keep_session(session, counted=True)
        for job in jobs:
            state.inherit(job)
            self._transitions.enqueue(job)
        if state.empty:
            state.clock.free()
        self._executor.start()
        for job in jobs:
            if job.state is JobState.RUNNING:
                self._transitions.recover(job)
        for session in sessions:
            known = state.session(session.id)
            if known is not None and lifecycle.is_cancelled(known):
                # The last runtime died while it cancelled this session.
                self._transitions.apply(lifecycle.cancel(known, self.now))
        self._look()

    def stop(self) -> None:
        """End the workers. The next runtime runs the jobs again that were running.

        They go back to their queues: a job that the next runtime finds running counts as one under
        which a runtime died.
        """
        self._ticker.stop()
        self._abandonment.stop()
        self.notifier.close()
        self._executor.stop()
        for job in self._state.jobs(state=JobState.RUNNING):
            safely(partial(self._transitions.requeue, job, attempts=job.attempts - 1))

    async def close(self) -> None:
        """Wait until other machines have heard of `stop`, for some seconds at most."""
        await self._executor.close()

    # -- requests --------------------------------------------------------------------------

    async def create_session(self, wanted: NewSession, key: str | None) -> str:
        """Open a session; returns its id once it is on disk. See `Admission.create_session`."""
        return await self._admission.create_session(wanted, key)

    async def submit(
        self, job: Job, params: str | Content, key: str | None, process: str = ""
    ) -> str:
        """Admit a job; returns its id once it is on disk. See `Admission.submit`."""
        return await self._admission.submit(job, params, key, process)

    def beat(self, owner: str, process: str) -> tuple[float, int]:
        """Note that a program lives.

        Returns:
            After how many seconds it should report again, and how many open sessions it uses.
        """
        self._heartbeats.note(owner, process)
        used = sum(process in session.processes for session in self.sessions(owner))
        return self._heartbeats.every_seconds, used

    async def close_session(self, session_id: str) -> None:
        """Accept no more jobs in a session. Does nothing to a closed session."""
        session = self._transitions.current(session_id)
        if session is not None:
            await self._transitions.apply(lifecycle.Step(lifecycle.close(session, self.now)))

    async def cancel_session(self, session_id: str) -> None:
        """Accept no more jobs and cancel the queued ones. Does nothing to a closed session."""
        await self._transitions.cancel_session(session_id)

    async def cancel_queued(self, session_id: str) -> list[str]:
        """Cancel a session's queued jobs; returns their ids."""
        if self._transitions.current(session_id) is None:
            return []
        queued = self._state.jobs_of(session_id, JobState.QUEUED)
        return await self._transitions.end_in_turns(
            queued, JobState.CANCELLED, lifecycle.QUEUE_CANCELLED_REASON
        )

    async def cancel_job(self, job_id: str) -> bool:
        """Cancel an unfinished job; returns False if it had ended, once that is on disk."""
        job = self._state.job(job_id)
        if job is not None and job.session_id is not None:
            self._transitions.current(job.session_id)
            job = self._state.job(job_id)
        if job is None:
            await self._state.until_stored(job_id)
            return False
        await self._transitions.end(job, JobState.CANCELLED, reason=CANCELLED_BY_USER_REASON)
        return True

    async def cancel_all(self, owner: str) -> None:
        """Cancel all sessions and jobs of an owner, running jobs included."""
        for session in self._state.sessions(owner):
            await self.cancel_session(session.id)
        jobs = self._state.jobs(owner)
        await self._transitions.end_in_turns(
            jobs, JobState.CANCELLED, CANCELLED_BY_USER_REASON, running=True
        )

    async def set_tags(self, job: Job, tags: tuple[str, ...]) -> None:
        """Replace the tags of a job, finished or not."""
        await self._state.write(self._state.tag(job, tags))

    async def delete_job(self, job_id: str) -> None:
        """Cancel a job if it is unfinished, and remove it with payload and result."""
        await self.cancel_job(job_id)
        await self._state.write(DeleteJob(job_id))

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass, and return when all that was due has happened and is on disk.

        Raises:
            TypeError: the clock is not a virtual one.
        """
        await self._ticker.advance(seconds)

    def next_revision(self) -> int:
        """Return the revision of a change that is not stored, for requests that wait for it."""
        return self._state.next_revision()

    # -- queries ---------------------------------------------------------------------------

    def queue_positions(self, jobs: Iterable[Job]) -> dict[str, int]:
        """Return the position of each queued job on its backend, 1 being the next to start."""
        places = ((job.id, self._scheduler.position(job.id)) for job in jobs)
        return {job_id: place for job_id, place in places if place is not None}

    def estimate(self, job_id: str) -> StartEstimate | None:
        """Estimate when a queued job starts; None where there is no basis for that."""
        return self._scheduler.estimate(job_id, self.now)

    def holder(self, backend: str, session_id: str | None) -> Holder | None:
        """Return the session for which jobs of a backend wait.

        Args:
            backend: the backend.
            session_id: the session of these jobs, which does not hold itself up; None if they have
                none.
        """
        found = self._scheduler.holder(backend)
        session = None if found in {None, session_id} else self._transitions.current(found or "")
        if session is None:
            return None
        abandoned = self._abandonment.is_abandoned(session)
        return Holder(session, lifecycle.gives_way_at(session), abandoned)

    def gives_way(self, session: Session) -> bool:
        """Whether a session gives up its backend early once its programs have ended."""
        return self._state.settings.yield_abandoned and bool(session.processes)

    def is_abandoned(self, session: Session) -> bool:
        """Whether all programs that use a session are known to have ended."""
        return self._abandonment.is_abandoned(session)

    def sessions(self, owner: str | None = None) -> list[Session]:
        """Return the sessions that are not closed: an owner's, or all."""
        return self._state.sessions(owner)

    def job(self, job_id: str) -> Job | None:
        """Return an unfinished job that is on disk, None for any other."""
        return None if self._state.phase(job_id) is Phase.ARRIVING else self._state.job(job_id)

    def counts(self) -> Counter[tuple[str, JobState]]:
        """Count the unfinished jobs that are on disk, by backend and state."""
        return self._state.counts()

    def workers(self) -> list[WorkerPlace]:
        """Return what each worker does."""
        return self._executor.places()

    def hosts(self) -> list[HostPlace]:
        """Return the machines that lend workers, besides this one."""
        return self._executor.hosts()

    @property
    def slots(self) -> int:
        """How many jobs can run at once; 0 while there is no worker."""
        return self._executor.slots

    @property
    def free(self) -> int:
        """How many jobs could start now, as far as workers are concerned."""
        return self._executor.free

    def drain(self, host: str) -> int:
        """Let a machine finish its jobs and leave; returns how many are meant by its name."""
        return self._executor.drain(host)

    def queue_length(self, backend: str) -> int:
        """Return how many jobs of a backend have not ended."""
        return self._scheduler.length(backend)

    def session(self, owner: str, session_id: str) -> Session | None:
        """Return an owner's session, None if it is closed or belongs to another owner."""
        session = self._transitions.current(session_id)
        return session if session is not None and session.owner == owner else None

    def unfinished(self, owner: str, job_id: str) -> bool:
        """Whether this is an owner's job whose end is not on disk yet."""
        return self._state.owner_of(job_id) == owner

    def take_outcome(self, owner: str, job_id: str) -> tuple[Job, str] | None:
        """Return a job that has just ended, and its result, both on disk by now; None later.

        It is returned once; later requests are served from the store.
        """
        return self._state.at_hand.take_outcome(owner, job_id)

    def interim(self, job_id: str) -> list[str]:
        """Return the encoded results of the pubs that a running job has finished."""
        return self._state.interim(job_id)

    # -- callbacks -------------------------------------------------------------------------

    def _look(self) -> None:
        self._scheduler.shared = self.policy == "shared"
        if self._state.empty:
            self._state.clock.free()
        safely(self._abandonment.look)
        self._ticker.look()

    def _on_event(self, job_id: str, attempt: int, event: Event) -> None:
        self._dispatcher.receive(job_id, attempt, event)
