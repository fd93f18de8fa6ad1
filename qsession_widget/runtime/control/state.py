"""The unfinished sessions and jobs in memory.

Each change goes to the store in order, and wakes the requests that wait for it once it is on disk.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from qsession_widget.runtime.control.at_hand import AtHand
from qsession_widget.runtime.control.notifier import Notifier
from qsession_widget.runtime.control.timers import Timers
from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.errors import InvalidTransitionError
from qsession_widget.runtime.pieces import LongText
from qsession_widget.runtime.store.writes import Retag, Update
from qsession_widget.runtime.worker.messages import Done
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from datetime import datetime

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.control.wake_up import WakeUp
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.settings import Settings
    from qsession_widget.runtime.store.store import Store
    from qsession_widget.runtime.store.writes import Write
    from qsession_widget.runtime.worker.messages import Event
    from qsession_widget.wire.states import Stage


class Phase(Enum):
    """Where a job stands in memory, more finely than its `JobState` says."""

    ARRIVING = auto()
    """On its way to the disk. It may be queued, running or even done by now; no client sees it."""

    QUEUED = auto()
    """In its queue, and on disk."""

    HANDING_OVER = auto()
    """Running for clients; its payload is being read for its worker."""

    RUNNING = auto()
    """A worker has it."""

    DONE = auto()
    """Its result is known; for clients it runs until its time has passed."""

    ENDING = auto()
    """Final; its end is on its way to the disk."""

    AT_HAND = auto()
    """Final and on disk; its outcome is still in memory."""


class Arrival(NamedTuple):
    """What happened while a job was on its way to the disk.

    Attributes:
        before: its session before the job came.
        end: how the job ended at its worker, if it has.
    """

    before: Session | None
    end: Event | None = None


@dataclass(slots=True)
class _Unfinished:
    """A job that has not ended, and what belongs to it.

    Attributes:
        arrival: set while the job is on its way to the disk.
        inherited: an earlier runtime left it.
        has_worker: its payload was given to a worker.
        attempt: how often this runtime has started it.
        host_losses: how often it lost the machine that it ran on.
        interim: results of the pubs that are finished.
        result: set while the end waits for the runtime's time.
    """

    job: Job
    arrival: Arrival | None = None
    inherited: bool = False
    has_worker: bool = False
    attempt: int = 0
    host_losses: int = 0
    interim: list[str] = field(default_factory=list)
    result: Done | None = None

    @property
    def phase(self) -> Phase:
        if self.arrival is not None:
            return Phase.ARRIVING
        if self.job.state is JobState.QUEUED:
            return Phase.QUEUED
        if self.result is not None:
            return Phase.DONE
        return Phase.RUNNING if self.has_worker else Phase.HANDING_OVER


class _Ending(NamedTuple):
    """The owner of a job that has ended, and a future that is done when that is on disk."""

    owner: str
    stored: asyncio.Future[None]


class RuntimeState:
    """The only owner of unfinished sessions and jobs: every change of them is a method here.

    A change that is impossible raises `InvalidTransitionError` and changes nothing.

    Attributes:
        store: the store that all changes are written to.
        clock: the clock for the times of sessions and jobs.
        settings: the settings of the runtime.
        wake_up: to be requested where something may follow from a change.
        notifier: the requests that wait for changes.
        timers: when a session or a job has to be looked at.
        at_hand: payloads and outcomes that need not be read from the store.
    """

    def __init__(self, store: Store, clock: Clock, settings: Settings, wake_up: WakeUp) -> None:
        self.store, self.clock, self.settings, self.wake_up = store, clock, settings, wake_up
        self.notifier = Notifier()
        self.timers = Timers()
        self.at_hand = AtHand()
        self._sessions: dict[str, Session] = {}
        self._jobs: dict[str, _Unfinished] = {}
        self._arriving = 0
        self._of_session: dict[str, dict[str, None]] = {}
        self._pending: Counter[str] = Counter()
        self._counts: Counter[tuple[str, JobState]] = Counter()
        self._ending: dict[str, _Ending] = {}
        self._revision = 0

    @property
    def now(self) -> datetime:
        """The runtime's time."""
        return self.clock.now()

    def go_on_from(self, revision: int) -> None:
        """Continue with revisions above this one."""
        # Clients may know higher ones than the store, of jobs that were deleted since.
        self._revision = max(revision, int(self.now.timestamp() * 1000))

    def next_revision(self) -> int:
        """Return the revision of one more change."""
        self._revision += 1
        return self._revision

    # -- sessions --------------------------------------------------------------------------

    @property
    def empty(self) -> bool:
        """Whether there is no open session and no unfinished job."""
        return not self._sessions and not self._jobs

    def session(self, session_id: str) -> Session | None:
        """Return a session, None if it is closed or unknown."""
        return self._sessions.get(session_id)

    def sessions(self, owner: str | None = None) -> list[Session]:
        """Return the sessions that are not closed: an owner's, or all."""
        return [each for each in self._sessions.values() if owner in {None, each.owner}]

    def session_of(self, job: Job) -> Session | None:
        """Return a job's session, None if it has none or that is closed."""
        return None if job.session_id is None else self._sessions.get(job.session_id)

    def put_session(self, session: Session) -> None:
        """Keep a session and its timer; remove them if it is closed."""
        if session.closed_at is None:
            self._sessions[session.id] = session
        else:
            self._sessions.pop(session.id, None)
        self.timers.set(session.id, lifecycle.next_deadline(session))

    # -- jobs: what is known ---------------------------------------------------------------

    @property
    def arriving(self) -> int:
        """How many jobs are on their way to the disk, also those that have ended meanwhile."""
        return self._arriving

    @property
    def unfinished(self) -> int:
        """How many jobs have not ended."""
        return len(self._jobs)

    def pending(self, owner: str) -> int:
        """Return how many of an owner's jobs have not ended."""
        return self._pending[owner]

    def counts(self) -> Counter[tuple[str, JobState]]:
        """Count the unfinished jobs that are on disk, by backend and state."""
        return self._counts.copy()

    def job(self, job_id: str) -> Job | None:
        """Return a job, None if it has ended or is unknown."""
        known = self._jobs.get(job_id)
        return None if known is None else known.job

    def phase(self, job_id: str) -> Phase | None:
        """Return where a job stands, None if it is not in memory."""
        known = self._jobs.get(job_id)
        if known is not None:
            return known.phase
        if job_id in self._ending:
            return Phase.ENDING
        return Phase.AT_HAND if job_id in self.at_hand else None

    def require(self, job_id: str) -> Job:
        """Return a job that has to be unfinished.

        Raises:
            InvalidTransitionError: it is not.
        """
        return self._known(job_id, "go on").job

    def owner_of(self, job_id: str) -> str | None:
        """Return the owner of a job that is unfinished or whose end is not on disk yet."""
        known = self._jobs.get(job_id)
        if known is not None:
            return known.job.owner
        ending = self._ending.get(job_id)
        return None if ending is None else ending.owner

    def jobs(self, owner: str | None = None, state: JobState | None = None) -> list[Job]:
        """Return the unfinished jobs: an owner's or all, in one state or any."""
        return [
            each.job
            for each in self._jobs.values()
            if owner in {None, each.job.owner} and state in {None, each.job.state}
        ]

    def jobs_of(self, session_id: str, state: JobState) -> list[Job]:
        """Return a session's jobs in a state, in order of arrival."""
        of = (self._jobs[job_id].job for job_id in self._of_session.get(session_id, ()))
        return [job for job in of if job.state is state]

    def attempt(self, job_id: str) -> int:
        """Return how often this runtime has started a job; 0 if it has ended or is unknown.

        `Job.attempts` leaves out those that were cut off for no fault of the job.
        """
        known = self._jobs.get(job_id)
        return 0 if known is None else known.attempt

    def runs(self, job_id: str, attempt: int) -> bool:
        """Whether a job runs, in this attempt."""
        known = self._jobs.get(job_id)
        return (
            known is not None and known.job.state is JobState.RUNNING and known.attempt == attempt
        )

    def lose_host(self, job_id: str) -> int:
        """Count that a running job has lost its machine; returns how often it has in all.

        That is kept in memory only: the deaths of the runtime have a bound of their own.
        """
        known = self._known(job_id, "lose its host")
        known.host_losses += 1
        return known.host_losses

    def is_inherited(self, job_id: str) -> bool:
        """Whether an earlier runtime left this unfinished job."""
        known = self._jobs.get(job_id)
        return known is not None and known.inherited

    def holds_end(self, job_id: str) -> bool:
        """Whether a job on its way to the disk has ended at its worker."""
        known = self._jobs.get(job_id)
        return known is not None and known.arrival is not None and known.arrival.end is not None

    def interim(self, job_id: str) -> list[str]:
        """Return the results of the finished pubs of a job that runs."""
        known = self._jobs.get(job_id)
        return [] if known is None else known.interim

    # -- jobs: what happens ----------------------------------------------------------------

    def admit(self, job: Job, before: Session | None = None) -> None:
        """Add a new job that is on its way to the disk.

        Args:
            job: the job, which is queued.
            before: its session before the job came.
        """
        self._add(job, _Unfinished(job, Arrival(before)))
        self._arriving += 1

    def inherit(self, job: Job) -> None:
        """Add an unfinished job that an earlier runtime left."""
        self._add(job, _Unfinished(job, inherited=True))
        self._counts[job.backend, job.state] += 1

    def settle(self, job_id: str) -> Arrival | None:
        """Note that the store has accepted or refused a new job.

        Returns:
            What happened meanwhile; None if the job has ended.
        """
        self._arriving -= 1
        known = self._jobs.get(job_id)
        if known is None or known.arrival is None:
            return None
        arrival, known.arrival = known.arrival, None
        self._counts[known.job.backend, known.job.state] += 1
        return arrival

    def hold_end(self, job_id: str, end: Event) -> None:
        """Keep how a job ended at its worker until the job itself is on disk."""
        known = self._known(job_id, "hold its end")
        if known.arrival is None or known.job.state is not JobState.RUNNING:
            raise InvalidTransitionError(f"job {job_id} is {known.phase.name}: its end is due now")
        known.arrival = known.arrival._replace(end=end)

    def start(self, job_id: str) -> Job:
        """Start a queued job."""
        known = self._known(job_id, "start")
        started = self._change(known, known.job.start(self.now))
        known.attempt += 1
        return started

    def hand_over(self, job_id: str) -> None:
        """Note that a worker has received a running job."""
        known = self._known(job_id, "be handed over")
        if known.job.state is not JobState.RUNNING:
            raise InvalidTransitionError(f"job {job_id} is queued and cannot be handed over")
        known.has_worker = True

    def prepare(self, job_id: str, when: datetime) -> None:
        """Note that a job waits for the device, prepared. Not a change that clients see."""
        known = self._known(job_id, "be prepared")
        known.job = known.job.prepare(when)

    def reach(self, job_id: str, stage: Stage, when: datetime) -> None:
        """Note a running job's stage. Clients see it after `revise`, or with the next change."""
        known = self._known(job_id, "reach a stage")
        known.job = known.job.reach(stage, when)

    def revise(self, job_id: str) -> Job:
        """Return a job with a new revision, so that clients see what was noted of it."""
        known = self._known(job_id, "be revised")
        return self._change(known, known.job)

    def expect_end(self, job_id: str, seconds: float, by: str) -> Job:
        """Note how long a running job will still take.

        Args:
            job_id: the job.
            seconds: how long it will take, by the machine's clock.
            by: what the estimate is based on.
        """
        known = self._known(job_id, "have its end estimated")
        left = timedelta(seconds=seconds * (self.clock.rate or 1.0))
        return self._change(known, known.job.expect_end(self.now + left, by))

    def add_interim(self, job_id: str, text: str) -> None:
        """Keep the result of a finished pub of a running job."""
        known = self._known(job_id, "have interim results")
        if known.job.state is not JobState.RUNNING:
            raise InvalidTransitionError(f"job {job_id} is queued and has no interim results")
        known.interim.append(text)

    def keep_result(self, job_id: str, done: Done) -> None:
        """Keep the result of a running job until its time has passed."""
        known = self._known(job_id, "have a result")
        if known.job.state is not JobState.RUNNING:
            raise InvalidTransitionError(f"job {job_id} is queued and has no result")
        known.result = done
        self._look_later(known)

    def take_result(self, job_id: str) -> Done | None:
        """Return the result of a job whose time has passed by now, once; None for any other."""
        known = self._jobs.get(job_id)
        if known is None or known.result is None or self.lasts_until(known.job) > self.now:
            return None
        done, known.result = known.result, None
        return done

    def requeue(self, job_id: str, *, attempts: int, interruptions: int | None = None) -> Job:
        """Put a running job back into its queue: nothing from its attempt is kept."""
        known = self._known(job_id, "go back to its queue")
        queued = known.job.requeue(attempts=attempts, interruptions=interruptions)
        self._drop_result(known)
        known.interim, known.has_worker = [], False
        return self._change(known, queued)

    def tag(self, job: Job, tags: tuple[str, ...]) -> Write:
        """Replace the tags of a job, finished or not; returns the change to be written."""
        known = self._jobs.get(job.id)
        if known is not None:
            return Update(jobs=(self._change(known, replace(known.job, tags=tags)),))
        # The row that was read may be older than its end, which is on its way to the disk.
        return Retag(replace(job, tags=tags, revision=self.next_revision()))

    def end(
        self,
        job_id: str,
        state: JobState,
        when: datetime,
        *,
        reason: str | None = None,
        reason_code: int | None = None,
        busy_seconds: float | None = None,
        interruptions: int | None = None,
        crashed: bool = False,
        result_summary: str | None = None,
    ) -> Job:
        """End a job and forget it; `Job.end` describes the arguments."""
        known = self._known(job_id, f"end as {state}")
        ended = known.job.end(
            state,
            when,
            # It may quote the name of a circuit. Not every store can keep a NUL character.
            reason=None if reason is None else reason.replace("\0", "\N{REPLACEMENT CHARACTER}"),
            reason_code=reason_code,
            busy_seconds=busy_seconds,
            interruptions=interruptions,
            crashed=crashed,
            result_summary=result_summary,
        )
        ended = replace(ended, revision=self.next_revision())
        self._remove(known)
        return ended

    def withdraw(self, job_id: str) -> Job:
        """Forget a job as if it had never come, and return it as it was."""
        known = self._known(job_id, "be withdrawn")
        self._remove(known)
        return known.job

    def lose_result(self, job: Job, reason: str) -> Job:
        """Return a job that has ended as Failed, since its result can never be stored."""
        lost = job.lose_result(reason)
        return replace(lost, revision=self.next_revision())

    def _known(self, job_id: str, what: str) -> _Unfinished:
        known = self._jobs.get(job_id)
        if known is None:
            raise InvalidTransitionError(f"job {job_id} is not among the unfinished: cannot {what}")
        return known

    def _add(self, job: Job, unfinished: _Unfinished) -> None:
        if job.id in self._jobs or job.state.final:
            raise InvalidTransitionError(f"job {job.id} is here already, or has ended")
        self._jobs[job.id] = unfinished
        self._pending[job.owner] += 1
        if job.session_id is not None:
            self._of_session.setdefault(job.session_id, {})[job.id] = None

    def _change(self, known: _Unfinished, job: Job) -> Job:
        """Take a job's new value; all changes that clients see come through here."""
        job = replace(job, revision=self.next_revision())
        if known.arrival is None and known.job.state is not job.state:
            self._uncount(known.job)
            self._counts[job.backend, job.state] += 1
        known.job = job
        self._look_later(known)
        return job

    def _remove(self, known: _Unfinished) -> None:
        job = known.job
        del self._jobs[job.id]
        if known.arrival is None:
            self._uncount(job)
        self._pending[job.owner] -= 1
        if not self._pending[job.owner]:
            del self._pending[job.owner]
        if job.session_id is not None:
            others = self._of_session[job.session_id]
            del others[job.id]
            if not others:
                del self._of_session[job.session_id]
        self.timers.set(job.id, None)
        self.at_hand.take_payload(job.id)
        self._drop_result(known)

    def _drop_result(self, known: _Unfinished) -> None:
        """Forget the result of a job that ends without it, or runs again."""
        ends = (known.result, None if known.arrival is None else known.arrival.end)
        known.result = None
        for end in ends:
            if isinstance(end, Done) and isinstance(end.result, LongText):
                self.store.drop(end.result)

    def _uncount(self, job: Job) -> None:
        place = job.backend, job.state
        self._counts[place] -= 1
        if not self._counts[place]:
            del self._counts[place]

    # -- times of jobs ---------------------------------------------------------------------

    def limit_seconds(self, job: Job) -> int:
        """Return how long a job may run."""
        limit = self.settings.max_job_seconds
        return limit if job.cost_seconds is None else min(job.cost_seconds, limit)

    def time_limit(self, job: Job) -> datetime | None:
        """Return until when a job may run; None for one that does not run."""
        if job.state is not JobState.RUNNING or job.started_at is None:
            return None
        return job.started_at + timedelta(seconds=self.limit_seconds(job))

    def lasts_until(self, job: Job) -> datetime:
        """Return the time before which a running job does not end."""
        started = job.started_at or self.now
        lasts = 0.0 if self.clock.rate else self.settings.min_job_seconds
        return started + timedelta(seconds=lasts)

    def _look_later(self, known: _Unfinished) -> None:
        """Set the timer of a running job: at its limit, or when it ends with its result."""
        limit = self.time_limit(known.job)
        if limit is not None and known.result is not None:
            limit = min(limit, self.lasts_until(known.job))
        self.timers.set(known.job.id, limit)

    # -- the store -------------------------------------------------------------------------

    def write(self, change: Write) -> asyncio.Future[None]:
        """Store a change, and notify the requests that wait for it once it is on disk."""

        def written(done: asyncio.Future[None]) -> None:
            # Also outcomes that were kept since, of a change that came before.
            self.at_hand.forget_outcomes(keys)
            if not done.cancelled() and done.exception() is None:
                self.notifier.notify(keys)

        keys = change.keys()
        future = self.store.write(change)
        future.add_done_callback(written)
        return future

    def write_end(self, change: Update) -> asyncio.Future[None]:
        """Store the end of jobs; until it is on disk, they are ending."""
        future = self.write(change)
        for job in change.jobs:
            self._ending[job.id] = _Ending(job.owner, future)

        def stored(_done: asyncio.Future[None]) -> None:
            for job in change.jobs:
                known = self._ending.get(job.id)
                if known is not None and known.stored is future:
                    del self._ending[job.id]

        if change.jobs:
            future.add_done_callback(stored)
        return future

    async def until_stored(self, job_id: str) -> None:
        """Wait until the end of a job can be read, if it is on its way to the disk."""
        while (ending := self._ending.get(job_id)) is not None:
            await asyncio.wait([ending.stored])
            # The callbacks of the future run in the next turn of the event loop.
            await asyncio.sleep(0)
