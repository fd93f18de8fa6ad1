"""All that can be asked of a runtime's sessions and jobs; nothing else changes them.

Everything runs in the event loop. Memory holds the sessions and jobs that have not ended; each
change is handed to the store in order, and whoever asked for it is answered when it is on disk.
Lifecycle and scheduler decide; the parts that carry it out are put together here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from qsession_widget.runtime.control.admission import KEYS, Admission
from qsession_widget.runtime.control.device_arbiter import DeviceArbiter
from qsession_widget.runtime.control.dispatcher import Dispatcher, safely
from qsession_widget.runtime.control.state import RuntimeState, WakeUp
from qsession_widget.runtime.control.ticker import Ticker
from qsession_widget.runtime.control.transitions import Transitions
from qsession_widget.runtime.control.worker_pool import WorkerPool
from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.scheduling.scheduler import Scheduler
from qsession_widget.runtime.store import idempotency, usage
from qsession_widget.runtime.store.store import Write
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.control.admission import NewSession
    from qsession_widget.runtime.control.notifier import Notifier
    from qsession_widget.runtime.control.worker_pool import Event, WorkerPlace
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.scheduling.estimates import StartEstimate
    from qsession_widget.runtime.settings import Policy, Settings
    from qsession_widget.runtime.store.store import Store

log = logging.getLogger(__name__)

CANCELLED_BY_USER_REASON = "Cancelled by its user."


class Coordinator:
    """The sessions and jobs of a runtime, and what happens to them."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        several_owners: Callable[[], bool] = lambda: False,
        is_known: Callable[[str], bool] = lambda _owner: True,
    ) -> None:
        """Prepare, start nothing.

        Args:
            store: of the runtime.
            clock: for the times of sessions and jobs.
            settings: of the runtime.
            several_owners: whether there is more than one at the moment.
            is_known: whether an owner may use the runtime at the moment.
        """
        self._several_owners = several_owners
        self._state = state = RuntimeState(store, clock, settings, WakeUp(self._look))
        self._pool = WorkerPool(settings.workers, self._on_event, state.wake_up.request)
        self._scheduler = Scheduler(lanes=settings.lanes, shared=self.policy == "shared")
        self._arbiter = DeviceArbiter(state, self._scheduler, self._pool)
        self._transitions = Transitions(state, self._scheduler, self._arbiter, self._pool)
        self._dispatcher = Dispatcher(
            state, self._scheduler, self._arbiter, self._transitions, self._pool
        )
        self._admission = Admission(state, self._transitions, self._dispatcher, is_known)
        self._ticker = Ticker(state, self._transitions, self._dispatcher)

    @property
    def notifier(self) -> Notifier:
        """Who watches what."""
        return self._state.notifier

    @property
    def now(self) -> datetime:
        """The runtime's time."""
        return self._state.now

    @property
    def policy(self) -> Policy:
        """Whether an active session has its device to itself, or only goes first."""
        if self._state.settings.policy is not None:
            return self._state.settings.policy
        return "shared" if self._several_owners() else "dedicated"

    @property
    def idle(self) -> bool:
        """Whether there is no session that is open and no job that has not ended."""
        return not self._state.sessions and not self._state.jobs

    def start(self) -> None:
        """Go on where the last runtime on this store stopped, by whatever death."""
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
            state.add(job)
            state.inherited.add(job.id)
            self._transitions.enqueue(job)
        self._pool.start()
        for job in jobs:
            if job.state is JobState.RUNNING:
                self._transitions.interrupted(job)
        for session in sessions:
            known = state.sessions.get(session.id)
            if known is not None and lifecycle.is_cancelled(known):
                # The last runtime died over it.
                self._transitions.apply(lifecycle.cancel(known, self.now))
        self._look()

    def stop(self) -> None:
        """End the workers. Jobs that were running are run again by the next runtime.

        They go back to their queues: one that is found running had a runtime that died.
        """
        self._ticker.stop()
        self.notifier.close()
        self._pool.stop()
        for job in [each for each in self._state.jobs.values() if each.state is JobState.RUNNING]:
            safely(partial(self._transitions.requeue, job, attempts=job.attempts - 1))

    # -- what is asked for -----------------------------------------------------------------

    async def create_session(self, wanted: NewSession, key: str | None) -> str:
        """Open a session; returns its id once it is on disk. `Admission` says what it raises."""
        return await self._admission.create_session(wanted, key)

    async def submit(self, job: Job, params: str, key: str | None) -> str:
        """Take a job; returns its id once it is on disk. `Admission.submit` says more."""
        return await self._admission.submit(job, params, key)

    async def close_session(self, session_id: str) -> None:
        """Take no more jobs into a session. Does nothing to one that is closed."""
        session = self._transitions.current(session_id)
        if session is not None:
            await self._transitions.apply(lifecycle.Step(lifecycle.close(session, self.now)))

    async def cancel_session(self, session_id: str) -> None:
        """Take no more jobs and cancel the queued ones. Does nothing to a closed session."""
        session = self._transitions.current(session_id)
        if session is None:
            return
        session = self._transitions.put_session(lifecycle.begin_to_cancel(session))
        # What is on disk by now is gone on with by the next runtime.
        stored = self._state.write(Write(sessions=(session,)))
        queued = self._state.jobs_of(session_id, JobState.QUEUED)
        await self._transitions.end_in_turns(queued, JobState.CANCELLED, lifecycle.CANCELLED_REASON)
        left = self._state.sessions.get(session_id)
        if left is not None:
            await self._transitions.apply(lifecycle.cancel(left, self.now))
        await asyncio.wait([stored])

    async def cancel_queued(self, session_id: str) -> list[str]:
        """Cancel a session's queued jobs; returns their ids."""
        if self._transitions.current(session_id) is None:
            return []
        queued = self._state.jobs_of(session_id, JobState.QUEUED)
        return await self._transitions.end_in_turns(
            queued, JobState.CANCELLED, lifecycle.QUEUE_CANCELLED_REASON
        )

    async def cancel_job(self, job_id: str) -> bool:
        """Cancel a job, running or not; False if it has ended already, and that is on disk."""
        job = self._state.jobs.get(job_id)
        if job is not None and job.session_id is not None:
            self._transitions.current(job.session_id)
            job = self._state.jobs.get(job_id)
        if job is None:
            await self._state.until_stored(job_id)
            return False
        await self._transitions.end(job, JobState.CANCELLED, reason=CANCELLED_BY_USER_REASON)
        return True

    async def cancel_all(self, owner: str) -> None:
        """Cancel an owner's jobs, running or not, and their sessions with them."""
        for session in [each for each in self._state.sessions.values() if each.owner == owner]:
            await self.cancel_session(session.id)
        jobs = [each for each in self._state.jobs.values() if each.owner == owner]
        await self._transitions.end_in_turns(
            jobs, JobState.CANCELLED, CANCELLED_BY_USER_REASON, running=True
        )

    async def set_tags(self, job: Job, tags: tuple[str, ...]) -> None:
        """Give a job other tags, whether it has ended or not."""
        known = self._state.jobs.get(job.id)
        if known is not None:
            await self._state.write(Write(jobs=(self._state.change(replace(known, tags=tags)),)))
        else:
            # What was read of it may be older than its end, which is on its way to the disk.
            changed = replace(job, tags=tags, revision=self._state.next_revision())
            await self._state.write(Write(retagged=changed))

    async def delete_job(self, job_id: str) -> None:
        """Cancel a job if need be, and remove it with all that belongs to it."""
        await self.cancel_job(job_id)
        await self._state.write(Write(deleted_job=job_id))

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass, and return when all that was due has happened and is on disk.

        Raises:
            TypeError: the clock is none that can be advanced.
        """
        await self._ticker.advance(seconds)

    def next_revision(self) -> int:
        """Give the number of one more change, for what only its watchers have to hear of."""
        return self._state.next_revision()

    # -- what is known ---------------------------------------------------------------------

    def queue_positions(self, jobs: Iterable[Job]) -> dict[str, int]:
        """Give the place of each queued job on its device, 1 being the next to start."""
        places = ((job.id, self._scheduler.position(job.id)) for job in jobs)
        return {job_id: place for job_id, place in places if place is not None}

    def estimate(self, job_id: str) -> StartEstimate | None:
        """Say when a queued job may start, where there is something to rest that on."""
        return self._scheduler.estimate(job_id, self.now)

    def sessions(self, owner: str | None = None) -> list[Session]:
        """Give the sessions that are not closed: an owner's, or all."""
        return [each for each in self._state.sessions.values() if owner in {None, each.owner}]

    def job(self, job_id: str) -> Job | None:
        """Give a job that is on disk and has not ended."""
        return None if job_id in self._state.arriving else self._state.jobs.get(job_id)

    def counts(self) -> Counter[tuple[str, JobState]]:
        """Count the jobs that are on disk and have not ended, by device and state."""
        return self._state.counts - Counter(
            (job.backend, job.state)
            for job_id in self._state.arriving
            if (job := self._state.jobs.get(job_id)) is not None
        )

    def workers(self) -> list[WorkerPlace]:
        """Say what each worker does."""
        return self._pool.places()

    def queue_length(self, backend: str) -> int:
        """Count the jobs of a device that have not ended."""
        return self._scheduler.length(backend)

    def session(self, owner: str, session_id: str) -> Session | None:
        """Give a session of an owner's that is not closed."""
        session = self._transitions.current(session_id)
        return session if session is not None and session.owner == owner else None

    def unfinished(self, owner: str, job_id: str) -> bool:
        """Whether it is an owner's job whose end is not on disk yet."""
        job = self._state.jobs.get(job_id)
        if job is not None:
            return job.owner == owner
        ending = self._state.ending.get(job_id)
        return ending is not None and ending.owner == owner

    def take_outcome(self, owner: str, job_id: str) -> tuple[Job, str | None] | None:
        """Give a job that has just ended, and its result, both on disk by now; None later on.

        It is given once: whoever asks again is served from the store.
        """
        return self._state.take_outcome(owner, job_id)

    def interim(self, job_id: str) -> list[str]:
        """Give what a running job has finished so far, one encoded result for each pub."""
        return self._state.interim.get(job_id, [])

    # -- what happens by itself ------------------------------------------------------------

    def _look(self) -> None:
        self._scheduler.shared = self.policy == "shared"
        self._ticker.look()

    def _on_event(self, job_id: str, event: Event) -> None:
        self._dispatcher.take(job_id, event)
