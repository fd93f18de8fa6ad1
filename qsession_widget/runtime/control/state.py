"""What memory holds: the sessions and jobs that have not ended, and what is kept at hand.

Every change of them is handed to the store in order, and wakes who watches once it is on disk.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from qsession_widget.runtime.control.notifier import Notifier
from qsession_widget.runtime.control.timers import Timers
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.settings import Settings
    from qsession_widget.runtime.store.store import Store, Write
    from qsession_widget.runtime.worker.messages import Done, Event

AT_HAND = 32
"""How many payloads, and how many outcomes, are kept at hand."""

LARGEST_AT_HAND = 2**18
"""Characters of the largest of them."""


class WakeUp:
    """Has somebody look, as soon as the present change is complete, what follows from it.

    Args:
        look: what to do; once, however often it is requested until then.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self.requested = False
        self._look = look

    def request(self) -> None:
        """Have it done soon."""
        if not self.requested:
            self.requested = True
            asyncio.get_running_loop().call_soon(self._answer)

    def _answer(self) -> None:
        self.requested = False
        self._look()


class Ending(NamedTuple):
    """Whose job has ended, and when that is on disk."""

    owner: str
    stored: asyncio.Future[None]


class RuntimeState:
    """The sessions and jobs that have not ended.

    Attributes:
        store: of the runtime.
        clock: of the runtime.
        settings: of the runtime.
        wake_up: is requested where something may follow from a change.
        changes: who watches what.
        timers: when a session or a job has to be looked at.
        sessions: those that are not closed.
        jobs: those that have not ended.
        pending: how many of those each owner has.
        counts: how many of those there are of each device, in each state.
        interim: what running jobs have finished so far.
        finished: results of jobs that wait for virtual time to pass.
        arriving: jobs that are on their way to the disk themselves, and the end that a worker has
            told of them meanwhile.
        ending: jobs whose end is on its way to the disk.
        inherited: jobs that a runtime before this one has left, and that have not ended.
    """

    def __init__(self, store: Store, clock: Clock, settings: Settings, wake_up: WakeUp) -> None:
        self.store, self.clock, self.settings, self.wake_up = store, clock, settings, wake_up
        self.notifier = Notifier()
        self.timers = Timers()
        self.sessions: dict[str, Session] = {}
        self.jobs: dict[str, Job] = {}
        self.pending: Counter[str] = Counter()
        self.counts: Counter[tuple[str, JobState]] = Counter()
        self.interim: dict[str, list[str]] = {}
        self.finished: dict[str, Done] = {}
        self.arriving: dict[str, Event | None] = {}
        self.ending: dict[str, Ending] = {}
        self.inherited: set[str] = set()
        self._of_session: dict[str, dict[str, None]] = {}
        self._payloads: dict[str, str] = {}
        self._outcomes: dict[str, tuple[Job, str | None]] = {}
        self._revision = 0

    @property
    def now(self) -> datetime:
        """The runtime's time."""
        return self.clock.now()

    # -- sessions and jobs -----------------------------------------------------------------

    def go_on_from(self, revision: int) -> None:
        """Give higher revisions from now on."""
        # Clients may know higher ones than the store, of jobs that were deleted since.
        self._revision = max(revision, int(self.now.timestamp() * 1000))

    def next_revision(self) -> int:
        """Give the number of one more change."""
        self._revision += 1
        return self._revision

    def add(self, job: Job) -> None:
        """Take a new job in."""
        self.jobs[job.id] = job
        self.pending[job.owner] += 1
        self.counts[job.backend, job.state] += 1
        if job.session_id is not None:
            self._of_session.setdefault(job.session_id, {})[job.id] = None

    def change(self, job: Job) -> Job:
        """Take note of a job that has changed and goes on."""
        job = replace(job, revision=self.next_revision())
        known = self.jobs.get(job.id)
        if known is not None:
            self._uncount(known)
        self.jobs[job.id] = job
        self.counts[job.backend, job.state] += 1
        self.look_later(job)
        return job

    def remove(self, job: Job) -> None:
        """Forget a job that has ended. Does nothing to one that is not there."""
        known = self.jobs.pop(job.id, None)
        if known is not None:
            self._uncount(known)
            self.pending[job.owner] -= 1
            if not self.pending[job.owner]:
                del self.pending[job.owner]
            if job.session_id is not None:
                others = self._of_session[job.session_id]
                del others[job.id]
                if not others:
                    del self._of_session[job.session_id]
        self.interim.pop(job.id, None)
        self.finished.pop(job.id, None)
        self.inherited.discard(job.id)
        self.timers.set(job.id, None)
        self._payloads.pop(job.id, None)

    def _uncount(self, job: Job) -> None:
        place = job.backend, job.state
        self.counts[place] -= 1
        if not self.counts[place]:
            del self.counts[place]

    def jobs_of(self, session_id: str, state: JobState) -> list[Job]:
        """Give a session's jobs in a state, in the order in which they came."""
        of = (self.jobs[job_id] for job_id in self._of_session.get(session_id, ()))
        return [job for job in of if job.state is state]

    def session_of(self, job: Job) -> Session | None:
        """Give a job's session, None if it has none."""
        return None if job.session_id is None else self.sessions.get(job.session_id)

    # -- times of jobs ---------------------------------------------------------------------

    def limit_seconds(self, job: Job) -> int:
        """Say how long a job may run."""
        limit = self.settings.max_job_seconds
        return limit if job.cost_seconds is None else min(job.cost_seconds, limit)

    def time_limit(self, job: Job) -> datetime | None:
        """Say until when a job may run; None for one that does not."""
        if job.state is not JobState.RUNNING or job.started_at is None:
            return None
        return job.started_at + timedelta(seconds=self.limit_seconds(job))

    def lasts_until(self, job: Job) -> datetime:
        """Give the time before which a running job does not end."""
        started = job.started_at or self.now
        lasts = 0.0 if self.clock.rate else self.settings.min_job_seconds
        return started + timedelta(seconds=lasts)

    def look_later(self, job: Job) -> None:
        """Have a running job looked at when it reaches its limit, or ends with its result."""
        limit = self.time_limit(job)
        if limit is not None and job.id in self.finished:
            limit = min(limit, self.lasts_until(job))
        self.timers.set(job.id, limit)

    # -- the store -------------------------------------------------------------------------

    def write(self, change: Write) -> asyncio.Future[None]:
        """Store a change, and wake who watches what it changed once it is on disk."""

        def written(done: asyncio.Future[None]) -> None:
            for key in keys:
                # Also one that was kept since, of a change that came before.
                self._outcomes.pop(key, None)
            if not done.cancelled() and done.exception() is None:
                self.notifier.notify(keys)

        keys = change.keys()
        future = self.store.write(change)
        future.add_done_callback(written)
        return future

    def write_end(self, change: Write) -> asyncio.Future[None]:
        """Store the end of jobs; until it is on disk, they are among those that are ending."""
        future = self.write(change)
        for job in change.jobs:
            self.ending[job.id] = Ending(job.owner, future)

        def stored(_done: asyncio.Future[None]) -> None:
            for job in change.jobs:
                known = self.ending.get(job.id)
                if known is not None and known.stored is future:
                    del self.ending[job.id]

        if change.jobs:
            future.add_done_callback(stored)
        return future

    async def until_stored(self, job_id: str) -> None:
        """Wait until the end of a job can be read, if it is on its way to the disk."""
        while (ending := self.ending.get(job_id)) is not None:
            await asyncio.wait([ending.stored])
            # What follows from its being stored is still to be called where it was stored already.
            await asyncio.sleep(0)

    def keep_payload(self, job_id: str, params: str) -> bool:
        """Keep a payload for a job that starts soon; False where it has to be read."""
        keeps = len(self._payloads) < AT_HAND and len(params) <= LARGEST_AT_HAND
        if keeps:
            self._payloads[job_id] = params
        return keeps

    def take_payload(self, job_id: str) -> str | None:
        """Give a payload that is at hand, once."""
        return self._payloads.pop(job_id, None)

    def keep_outcome(self, job: Job, result: str) -> None:
        """Spare who waits for a job's end the reading of what was just stored."""
        if job.private or len(result) > LARGEST_AT_HAND:
            return
        self._outcomes[job.id] = job, result
        if len(self._outcomes) > AT_HAND:
            del self._outcomes[next(iter(self._outcomes))]

    def take_outcome(self, owner: str, job_id: str) -> tuple[Job, str | None] | None:
        """Give what is at hand of a job's end, once, to its owner."""
        found = self._outcomes.get(job_id)
        if found is None or found[0].owner != owner:
            return None
        del self._outcomes[job_id]
        return found
