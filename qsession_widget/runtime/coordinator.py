"""Carries out what lifecycle and scheduler decide; here alone the runtime's state changes.

Everything runs in the event loop. Memory holds the sessions and jobs that have not ended; each
change is handed to the store in order, and whoever asked for it is answered when it is on disk.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
import time
import uuid
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from qsession_widget.runtime import history, lifecycle
from qsession_widget.runtime.changes import Changes
from qsession_widget.runtime.clock import VirtualClock
from qsession_widget.runtime.devices import Catalog
from qsession_widget.runtime.executor import (
    STAGE_SHOWN_SECONDS,
    Done,
    Event,
    Failed,
    Interim,
    LocalExecutor,
    Lost,
    Place,
    Reached,
    Task,
)
from qsession_widget.runtime.job import MAX_ATTEMPTS, Job
from qsession_widget.runtime.lifecycle import Session
from qsession_widget.runtime.limits import Limits
from qsession_widget.runtime.scheduler import Scheduler
from qsession_widget.runtime.store import Write
from qsession_widget.runtime.timers import Timers
from qsession_widget.wire.states import JOB_FAILED, RAN_TOO_LONG, JobState, Mode, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from datetime import datetime
    from typing import Any

    from qsession_widget.runtime.caching import Figures
    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.estimates import Estimate
    from qsession_widget.runtime.settings import Policy, Settings
    from qsession_widget.runtime.store import Store

log = logging.getLogger(__name__)

_LONGEST_SLEEP_SECONDS = 30.0

_AT_HAND = 32
_LARGEST_AT_HAND = 2**18


class TooManyError(Exception):
    """There are as many of something as there may be."""

    def __init__(self, count: int, limit: int, what: str) -> None:
        super().__init__(f"{count} {what}")
        self.count, self.limit, self.what = count, limit, what


class Coordinator:
    """The sessions and jobs of a runtime, and what happens to them."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        several_owners: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare, start nothing.

        Args:
            store: of the runtime.
            clock: for the times of sessions and jobs.
            settings: of the runtime.
            several_owners: whether there is more than one at the moment.
        """
        self.changes = Changes()
        self._store = store
        self._clock = clock
        self._settings = settings
        self._executor = LocalExecutor(settings.workers, self._on_event)
        self._catalog = Catalog(settings.copies, settings.aliases)
        self._several_owners = several_owners
        self._scheduler = Scheduler(lanes=settings.lanes, shared=self.policy == "shared")
        self._timers = Timers()
        self._sessions: dict[str, Session] = {}
        self._jobs: dict[str, Job] = {}
        self._of_session: dict[str, dict[str, None]] = {}
        self._pending: Counter[str] = Counter()
        self._interim: dict[str, list[str]] = {}
        self._payloads: dict[str, str] = {}
        self._ending: dict[str, str] = {}
        self._outcomes: dict[str, tuple[Job, str | None]] = {}
        self._creating: dict[tuple[str, str, str], asyncio.Task[str]] = {}
        self._finished: dict[str, Done] = {}
        self._revision = 0
        self._handing_over = 0
        self._advanced = asyncio.Event()
        self._advancing = asyncio.Lock()
        self._poked = False
        self._timer: asyncio.TimerHandle | None = None
        self._probe: asyncio.Future[None] | None = None
        self._background: set[asyncio.Task[None]] = set()

    @property
    def now(self) -> datetime:
        """The runtime's time."""
        return self._clock.now()

    @property
    def policy(self) -> Policy:
        """Whether an active session has its device to itself, or only goes first."""
        if self._settings.policy is not None:
            return self._settings.policy
        return "shared" if self._several_owners() else "dedicated"

    @property
    def idle(self) -> bool:
        """Whether there is no session that is open and no job that has not ended."""
        return not self._sessions and not self._jobs

    def start(self) -> None:
        """Go on where the last runtime on this store stopped, by whatever death."""
        newest = self._store.read_at_start(history.newest_time)
        if newest is not None:
            self._clock.go_on_from(newest)
        sessions, jobs, revision = self._store.unfinished()
        # Clients may know higher revisions than the store, of jobs that were deleted since.
        self._revision = max(revision, int(self.now.timestamp() * 1000))
        past = self._store.read_at_start(
            partial(history.recent_use, shared=self._scheduler.shared), self.now
        )
        for owner, day, seconds in past:
            self._scheduler.charge(owner, seconds, day)
        for session in sessions:
            self._keep_session(session, counted=True)
        for job in jobs:
            self._add(job)
            self._enqueue(job)
        self._executor.start()
        for job in jobs:
            if job.state is JobState.RUNNING:
                log.info("job %s goes back to its queue: its runtime died", job.id)
                self._requeue(job, attempts=job.attempts - 1)
        self._advance()

    def stop(self) -> None:
        """End the workers. Jobs that were running are run again by the next runtime."""
        if self._timer is not None:
            self._timer.cancel()
        self.changes.close()
        self._executor.stop()

    async def create_session(
        self, owner: str, backend: str, mode: Mode, max_seconds: int, key: str | None
    ) -> str:
        """Open a session; returns its id once it is on disk.

        Raises:
            TooManyError: where its owner has as many already as he may.
        """

        async def create() -> str:
            count, limit = len(self.sessions(owner)), self._settings.max_open_sessions
            if count >= limit:
                raise TooManyError(count, limit, "open sessions")
            session = lifecycle.create(
                Session(
                    id=str(uuid.uuid4()),
                    owner=owner,
                    backend=backend,
                    mode=mode,
                    max_seconds=max_seconds,
                    interactive_seconds=self._idle_limit_seconds(mode),
                    active_seconds=max_seconds,
                    first_job_seconds=self._settings.first_job_seconds,
                    created_at=self.now,
                    revision=self._next_revision(),
                )
            )
            await self._store.write(Write(new_session=(session, key)))
            self._keep_session(session)
            self._executor.warm(session.id, self._recorded_name(backend))
            self._poke()
            return session.id

        return await self._once("session", owner, key, self._store.session_by_key, create)

    async def submit(self, job: Job, params: str, key: str | None) -> str:
        """Take a job; returns its id once it is on disk.

        Args:
            job: the job as asked for; it gets its id and its time here.
            params: JSON text of its payload.
            key: the request's idempotency key.

        Raises:
            lifecycle.NotAcceptingJobsError: the job's session takes no more jobs.
            TooManyError: where as many jobs as may be have not ended.
        """

        async def create() -> str:
            self._check_pending(job.owner)
            new = replace(
                job,
                id=_new_job_id(),
                created_at=self.now,
                revision=self._next_revision(),
            )
            session = None
            if new.session_id is not None:
                session = self._current(new.session_id)
                if session is None:
                    raise lifecycle.NotAcceptingJobsError(new.session_id)
                session = self._put_session(lifecycle.submit(session))
            self._add(new)
            sessions = (session,) if session is not None else ()
            try:
                await self._write(Write(new_job=(new, params, key), sessions=sessions))
            except Exception:
                self._withdraw(new)
                raise
            if new.id in self._jobs:
                # Else it has ended while it was stored: its session was cancelled.
                self._enqueue(new)
                self._keep_at_hand(new.id, params)
            self._poke()
            return new.id

        return await self._once("job", job.owner, key, self._store.job_by_key, create)

    def _check_pending(self, owner: str) -> None:
        settings = self._settings
        if self._pending[owner] >= settings.max_pending_jobs:
            raise TooManyError(self._pending[owner], settings.max_pending_jobs, "pending jobs")
        if len(self._jobs) >= settings.max_pending_jobs_in_total:
            raise TooManyError(
                len(self._jobs), settings.max_pending_jobs_in_total, "pending jobs of all users"
            )

    async def close_session(self, session_id: str) -> None:
        """Take no more jobs into a session. Does nothing to one that is closed."""
        session = self._current(session_id)
        if session is not None:
            await self._apply(lifecycle.Step(lifecycle.close(session, self.now)))

    async def cancel_session(self, session_id: str) -> None:
        """Take no more jobs and cancel the queued ones. Does nothing to a closed session."""
        session = self._current(session_id)
        if session is not None:
            await self._apply(lifecycle.cancel(session, self.now))

    async def cancel_queued(self, session_id: str) -> list[str]:
        """Cancel a session's queued jobs; returns their ids."""
        session = self._current(session_id)
        if session is None:
            return []
        dropped = [job.id for job in self._jobs_of(session_id, JobState.QUEUED)]
        await self._apply(lifecycle.cancel_queued(session, self.now))
        return dropped

    async def cancel_job(self, job_id: str) -> bool:
        """Cancel a job, killing its worker if it runs; False if it has ended already."""
        job = self._jobs.get(job_id)
        if job is not None and job.session_id is not None:
            self._current(job.session_id)
            job = self._jobs.get(job_id)
        if job is None:
            return False
        await self._end(job, JobState.CANCELLED, reason="Cancelled by its user.")
        return True

    async def cancel_all(self, owner: str) -> None:
        """Cancel an owner's jobs, running or not, and his sessions with them."""
        for session in [each for each in self._sessions.values() if each.owner == owner]:
            await self.cancel_session(session.id)
        for job in [each for each in self._jobs.values() if each.owner == owner]:
            await self.cancel_job(job.id)

    async def set_tags(self, job: Job, tags: tuple[str, ...]) -> None:
        """Give a job other tags, whether it has ended or not."""
        known = self._jobs.get(job.id)
        if known is not None:
            await self._write(Write(jobs=(self._put_job(replace(known, tags=tags)),)))
        else:
            # What was read of it may be older than its end, which is on its way to the disk.
            changed = replace(job, tags=tags, revision=self._next_revision())
            await self._write(Write(retagged=changed))

    async def delete_job(self, job_id: str) -> None:
        """Cancel a job if need be, and remove it with all that belongs to it."""
        await self.cancel_job(job_id)
        await self._write(Write(deleted_job=job_id))

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass, and return when all that was due has happened and is on disk.

        It goes from one timer to the next, so that each runs out at its own time, and stands still
        while a worker computes: a job takes `min_job_seconds`, however long its simulation takes.

        Raises:
            TypeError: the clock is none that can be advanced.
        """
        if not isinstance(self._clock, VirtualClock):
            raise TypeError(f"a {self._clock.kind} clock cannot be advanced")
        async with self._advancing:
            await self._settled()
            target = self.now + timedelta(seconds=seconds)
            following = self._timers.next()
            # One that is due still has failed, and is tried again later.
            while following is not None and self.now < following <= target:
                self._clock.advance_to(following)
                self._advance()
                await self._settled()
                following = self._timers.next()
            self._clock.advance_to(target)
            # Everybody who watches a session gets the new time with it.
            sessions = tuple(map(self._put_session, list(self._sessions.values())))
            await self._write(Write(clock=target, sessions=sessions))

    async def _settled(self) -> None:
        """Wait until no worker computes and nothing more follows by itself."""
        while not self.changes.closed and (
            self._poked or self._handing_over or self._executor.free < self._settings.workers
        ):
            self._advanced.clear()
            await self._advanced.wait()

    def queue_positions(self, jobs: Iterable[Job]) -> dict[str, int]:
        """Give the place of each queued job on its device, 1 being the next to start."""
        places = ((job.id, self._scheduler.position(job.id)) for job in jobs)
        return {job_id: place for job_id, place in places if place is not None}

    def estimate(self, job_id: str) -> Estimate | None:
        """Say when a queued job may start, where there is something to rest that on."""
        return self._scheduler.estimate(job_id, self.now)

    def sessions(self, owner: str | None = None) -> list[Session]:
        """Give the sessions that are not closed: an owner's, or all."""
        return [each for each in self._sessions.values() if owner in {None, each.owner}]

    def jobs(self) -> list[Job]:
        """Give the jobs that have not ended."""
        return list(self._jobs.values())

    def workers(self) -> list[Place]:
        """Say what each worker does."""
        return self._executor.places()

    def queue_length(self, backend: str) -> int:
        """Count the jobs of a device that have not ended."""
        return self._scheduler.length(backend)

    def session(self, owner: str, session_id: str) -> Session | None:
        """Give a session of an owner's that is not closed."""
        session = self._current(session_id)
        return session if session is not None and session.owner == owner else None

    def unfinished(self, owner: str, job_id: str) -> bool:
        """Whether it is an owner's job whose end is not on disk yet."""
        job = self._jobs.get(job_id)
        return (job.owner if job is not None else self._ending.get(job_id)) == owner

    def take_outcome(self, owner: str, job_id: str) -> tuple[Job, str | None] | None:
        """Give a job that has just ended, and its result, both on disk by now; None later on.

        It is given once: whoever asks again is served from the store.
        """
        found = self._outcomes.get(job_id)
        if found is None or found[0].owner != owner:
            return None
        del self._outcomes[job_id]
        return found

    def interim(self, job_id: str) -> list[str]:
        """Give what a running job has finished so far, one encoded result for each pub."""
        return self._interim.get(job_id, [])

    # -- what happens by itself ------------------------------------------------------------

    def _poke(self) -> None:
        """Look, as soon as the present change is complete, what follows from it."""
        if not self._poked:
            self._poked = True
            asyncio.get_running_loop().call_soon(self._advance)

    def _advance(self) -> None:
        """Let timers run out, start what can start, and plan the next look."""
        self._poked = False
        self._advanced.set()
        if self.changes.closed:
            return
        now, failed = self.now, []
        while (due := self._timers.take_due(now)) is not None:
            if not _safely(partial(self._look_at, due)):
                failed.append(due)
        for each in failed:
            self._timers.set(each, now)
        done = _safely(self._dispatch) and not failed
        self._plan(again_seconds=None if done else _LONGEST_SLEEP_SECONDS)

    def _look_at(self, due: str) -> None:
        """Let a session's or a job's time run out."""
        job = self._jobs.get(due)
        if job is None:
            self._current(due)
        elif due in self._finished and self._lasts_until(job) <= self.now:
            self._complete(job, self._finished.pop(due))
        else:
            self._stop_overdue(job)

    def _current(self, session_id: str) -> Session | None:
        """Give a session after every timer that has run out, None if it is closed.

        Whoever changes a session asks here first: a timer that is late (the machine slept) still
        comes before what happens now.
        """
        session = self._sessions.get(session_id)
        if session is None:
            return None
        now = self.now
        deadline = lifecycle.next_deadline(session)
        if deadline is not None and deadline <= now:
            self._apply(lifecycle.tick(session, now))
            if self._settings.stop_at_max_time:
                self._stop_at_max_time(session_id)
        return self._sessions.get(session_id)

    def _stop_at_max_time(self, session_id: str) -> None:
        session = self._sessions.get(session_id)
        if session is not None and lifecycle.is_past_max_time(session, self.now):
            for job in self._jobs_of(session_id, JobState.RUNNING):
                self._end(
                    job,
                    JobState.CANCELLED,
                    reason=lifecycle.STOPPED_REASON,
                    reason_code=RAN_TOO_LONG,
                )

    def _stop_overdue(self, job: Job) -> None:
        limit = self._time_limit(job)
        if limit is not None and limit <= self.now:
            reason = f"Ran longer than its limit of {self._limit_seconds(job)} s."
            self._end(job, JobState.CANCELLED, reason=reason, reason_code=RAN_TOO_LONG)

    def _dispatch(self) -> None:
        if not self._store.available:
            self._wait_for_store()
            return
        self._scheduler.shared = self.policy == "shared"
        while self._executor.free > self._handing_over:
            job_id = self._scheduler.start_next(self.now)
            if job_id is None:
                return
            try:
                self._start(self._jobs[job_id])
            except Exception:
                self._scheduler.requeue(job_id)
                raise

    def _wait_for_store(self) -> None:
        """Start nothing whose start could not be stored, and look again when the file can be."""
        if self._probe is None:
            self._probe = self._write(Write(clock=self.now))
            self._probe.add_done_callback(self._store_is_back)

    def _store_is_back(self, _done: asyncio.Future[None]) -> None:
        self._probe = None
        self._poke()

    def _plan(self, again_seconds: float | None) -> None:
        """Plan the next look: at the next timer, or so late where something could not be done."""
        if self._timer is not None:
            self._timer.cancel()
        following = self._timers.next()
        delay = again_seconds
        if delay is None and following is not None and self._clock.rate:
            # The cap bounds how late a timer can be when the machine's clock is set.
            wait = max(0.0, (following - self.now).total_seconds()) / self._clock.rate
            delay = min(wait, _LONGEST_SLEEP_SECONDS)
        if delay is not None:
            self._timer = asyncio.get_running_loop().call_later(delay, self._advance)

    def _start(self, job: Job) -> None:
        now = self.now
        session = self._session_of(job)
        if session is not None:
            session = self._put_session(lifecycle.start(session, now))
        started = self._put_job(job.start(now))
        # It may share the commit of the job's end: a runtime that dies before runs the job again.
        self._write(Write(jobs=(started,), sessions=(session,) if session else (), can_wait=True))
        self._handing_over += 1
        task = asyncio.create_task(self._hand_over(started))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _hand_over(self, job: Job) -> None:
        """Give a job to a worker, unless it ended while its payload was read."""
        problem: Exception | None = None
        params = None
        try:
            params = self._payloads.pop(job.id, None) or await self._store.params(job.id)
        except Exception as error:
            log.exception("the payload of job %s cannot be read", job.id)
            problem = error
        finally:
            self._handing_over -= 1
        if self._jobs.get(job.id) is not job:
            self._poke()
            return
        if params is None:
            reason = f"Its payload cannot be read: {problem or 'it is not there'}."
            self._end(job, JobState.FAILED, reason=reason, reason_code=JOB_FAILED)
            return
        self._executor.submit(
            Task(
                job_id=job.id,
                affinity=job.session_id or job.backend,
                program_id=job.program_id,
                params=params,
                backend=job.backend,
                optimization_level=job.optimization_level,
                min_seconds=self._sleep_seconds,
                device=self._recorded_name(job.backend),
                limits=Limits(
                    qubits=self._settings.max_qubits,
                    shots=self._settings.max_shots,
                    memory_bytes=self._settings.max_job_memory_bytes,
                ),
                asks=self._settings.lanes > 1,
            )
        )

    def _recorded_name(self, backend: str) -> str:
        device = self._catalog.get(backend)
        return device.recorded_name if device else ""

    def _on_event(self, job_id: str, event: Event) -> None:
        """Take what a worker says. What it says of a job that has ended is of no interest."""
        job = self._jobs.get(job_id)
        if not isinstance(event, Reached):
            # The worker is free, whatever becomes of this.
            self._poke()
        if job is not None and job.state is JobState.RUNNING:
            if job.session_id is not None:
                _safely(partial(self._current, job.session_id))
            match event:
                case Interim(text):
                    self._interim.setdefault(job_id, []).append(text)
                    self.changes.notify([job_id])
                case Reached():
                    self._on_stage(job, event)
                case Done():
                    self._on_result(job, event)
                case Failed(reason, traceback):
                    log.info("job %s failed: %s\n%s", job_id, reason, traceback)
                    self._end(job, JobState.FAILED, reason=reason, reason_code=JOB_FAILED)
                case Lost(status) if job.attempts < MAX_ATTEMPTS:
                    log.warning("the worker of job %s died with status %s", job_id, status)
                    self._requeue(job, attempts=job.attempts)
                case Lost(status):
                    reason = (
                        f"Its worker process died {job.attempts} times, last with status {status}; "
                        "too little memory is the usual cause; a job may take "
                        f"{self._settings.max_job_memory_bytes} bytes."
                    )
                    job = job.without_stages()
                    self._end(job, JobState.FAILED, reason=reason, reason_code=JOB_FAILED)

    def _on_stage(self, job: Job, event: Reached) -> None:
        """Let a job that is prepared on the device in its turn, and the next one when it is off."""
        if event.stage is Stage.ON_DEVICE:
            if self._scheduler.ask_device(job.id):
                self._give_device(job.id, event.at)
        elif self._lasts_until(job) <= self.now:
            self._reach(job, event.stage, event.at)
            self._give_device(self._scheduler.give_back(job.id))

    def _on_result(self, job: Job, done: Done) -> None:
        """End a job, or keep its result until virtual time has passed for it."""
        if self._lasts_until(job) > self.now:
            self._finished[job.id] = done
            self._timers.set(job.id, self._next_look(job))
        else:
            self._complete(job, done)

    @property
    def _sleep_seconds(self) -> float:
        """How long a worker lets a job last at least; virtual time it cannot wait for."""
        rate = self._clock.rate
        return self._settings.min_job_seconds / rate if rate else 0.0

    def _lasts_until(self, job: Job) -> datetime:
        """Give the time before which a running job does not end."""
        started = job.started_at or self.now
        lasts = 0.0 if self._clock.rate else self._settings.min_job_seconds
        return started + timedelta(seconds=lasts)

    def _complete(self, job: Job, done: Done) -> None:
        """End a job with its result."""
        if job.stage is Stage.ON_DEVICE:
            job = job.reach(Stage.POST_PROCESSING, self.now)
        self._count(job, done.cache)
        self._end(job, JobState.COMPLETED, result=done.result, busy_seconds=done.busy_seconds)

    def _give_device(self, job_id: str | None, since: float | None = None) -> None:
        """Let a job go on the device that it has now, or has had since a `time.monotonic()`."""
        if job_id is not None:
            since = time.monotonic() if since is None else since
            self._reach(self._jobs[job_id], Stage.ON_DEVICE, since)
            self._executor.give_device(job_id)

    def _reach(self, job: Job, stage: Stage, since: float) -> None:
        """Take note of a job's stage, and store and show it if it lasts."""
        age = time.monotonic() - since
        began = self.now - timedelta(seconds=age * self._clock.rate)
        # Not before the stage that it comes after.
        before = job.on_device_at or job.preparing_at or began
        self._jobs[job.id] = job.reach(stage, max(began, before))
        asyncio.get_running_loop().call_later(
            max(0.0, STAGE_SHOWN_SECONDS - age), self._show_stage, job.id, job.attempts, stage
        )

    def _show_stage(self, job_id: str, attempt: int, stage: Stage) -> None:
        job = None if self.changes.closed else self._jobs.get(job_id)
        if job is not None and (job.attempts, job.stage) == (attempt, stage):
            self._write(Write(jobs=(self._put_job(job),)))

    # -- changes of state ------------------------------------------------------------------

    def _end(
        self,
        job: Job,
        state: JobState,
        *,
        reason: str | None = None,
        reason_code: int | None = None,
        result: str | None = None,
        busy_seconds: float | None = None,
    ) -> asyncio.Future[None]:
        now = self.now
        if job.state is JobState.RUNNING and state is JobState.CANCELLED:
            self._executor.kill(job.id)
        ended = self._put_job(
            job.end(state, now, reason=reason, reason_code=reason_code, busy_seconds=busy_seconds)
        )
        session = self._session_of(job)
        if session is not None:
            session = self._put_session(
                lifecycle.end(session, now, ended.device_seconds, ended.preparing_seconds)
                if job.state is JobState.RUNNING
                else lifecycle.drop(session, now)
            )
        self._poke()
        change = Write(
            jobs=(ended,),
            sessions=(session,) if session else (),
            result=None if result is None else (job.id, result),
        )
        self._ending[job.id] = job.owner
        future = self._write(change)
        future.add_done_callback(lambda _: self._ending.pop(job.id, None))
        if result is not None:
            future.add_done_callback(lambda done: self._check_stored(change, done))
        return future

    def _check_stored(self, change: Write, done: asyncio.Future[None]) -> None:
        """Keep a stored result at hand; end its job as Failed where it can never be stored.

        Such a job must not look unfinished.
        """
        if done.cancelled():
            return
        error = done.exception()
        (job,) = change.jobs
        if error is None:
            self._keep_outcome(job, change.result)
            return
        failed = replace(
            job,
            state=JobState.FAILED,
            reason=f"Its result cannot be stored: {type(error).__name__}.",
            reason_code=JOB_FAILED,
            revision=self._next_revision(),
        )
        session = self._session_of(job)
        sessions = change.sessions if session is None else (self._put_session(session),)
        self._write(Write(jobs=(failed,), sessions=sessions))

    def _count(self, job: Job, cache: Figures) -> None:
        """Add what caches did for a job to its session; stored with the job's end."""
        session = self._session_of(job)
        if session is not None:
            self._put_session(
                replace(
                    session,
                    cache_hits=session.cache_hits + cache.hits,
                    cache_misses=session.cache_misses + cache.misses,
                    cache_seconds_saved=session.cache_seconds_saved + cache.seconds_saved,
                )
            )

    def _requeue(self, job: Job, *, attempts: int) -> None:
        again = self._put_job(job.requeue(attempts=attempts))
        self._give_device(self._scheduler.requeue(job.id))
        session = self._session_of(job)
        if session is not None:
            session = self._put_session(lifecycle.requeue(session, self.now))
        self._interim.pop(job.id, None)
        self._write(Write(jobs=(again,), sessions=(session,) if session else ()))
        self._poke()

    def _apply(self, step: lifecycle.Step) -> asyncio.Future[None]:
        """End the jobs that a session's change ends, and take its new state."""
        jobs: tuple[Job, ...] = ()
        if step.ended is not None:
            state, reason, when = step.ended
            jobs = tuple(
                self._put_job(job.end(state, when, reason=reason))
                for job in self._jobs_of(step.session.id, JobState.QUEUED)
            )
        session = self._put_session(step.session)
        self._poke()
        return self._write(Write(sessions=(session,), jobs=jobs))

    def _put_job(self, job: Job) -> Job:
        job = replace(job, revision=self._next_revision())
        if job.state.final:
            self._forget(job)
        else:
            self._jobs[job.id] = job
            self._timers.set(job.id, self._next_look(job))
        return job

    def _next_look(self, job: Job) -> datetime | None:
        """Say when a running job reaches its limit, or ends if it has its result already."""
        limit = self._time_limit(job)
        if limit is None or job.id not in self._finished:
            return limit
        return min(limit, self._lasts_until(job))

    def _put_session(self, session: Session) -> Session:
        session = replace(session, revision=self._next_revision())
        self._keep_session(session)
        return session

    def _keep_session(self, session: Session, *, counted: bool = False) -> None:
        if session.closed_at is None:
            self._sessions[session.id] = session
        else:
            self._sessions.pop(session.id, None)
        self._timers.set(session.id, lifecycle.next_deadline(session))
        self._scheduler.update(session, self.now, counted=counted)

    def _enqueue(self, job: Job) -> None:
        self._scheduler.wait(job.id, device=job.backend, owner=job.owner, session_id=job.session_id)

    def _keep_at_hand(self, job_id: str, params: str) -> None:
        """Spare a job that starts at once the reading of what it has just stored."""
        if len(self._payloads) < _AT_HAND and len(params) <= _LARGEST_AT_HAND:
            self._payloads[job_id] = params

    def _keep_outcome(self, job: Job, result: tuple[str, str] | None) -> None:
        """Spare who waits for a job's end the reading of what was just stored."""
        if result is None or job.private or len(result[1]) > _LARGEST_AT_HAND:
            return
        self._outcomes[job.id] = job, result[1]
        if len(self._outcomes) > _AT_HAND:
            del self._outcomes[next(iter(self._outcomes))]

    def _withdraw(self, job: Job) -> None:
        """Undo the taking of a job that could not be stored."""
        if job.id not in self._jobs:
            return
        self._forget(job)
        session = self._session_of(job)
        if session is not None:
            self._apply(lifecycle.Step(lifecycle.drop(session, self.now)))

    def _add(self, job: Job) -> None:
        self._jobs[job.id] = job
        self._pending[job.owner] += 1
        if job.session_id is not None:
            self._of_session.setdefault(job.session_id, {})[job.id] = None

    def _forget(self, job: Job) -> None:
        if self._jobs.pop(job.id, None) is not None:
            self._pending[job.owner] -= 1
            if job.session_id is not None:
                others = self._of_session[job.session_id]
                del others[job.id]
                if not others:
                    del self._of_session[job.session_id]
        self._interim.pop(job.id, None)
        self._finished.pop(job.id, None)
        self._timers.set(job.id, None)
        following = self._scheduler.leave(
            job.id,
            self.now,
            device_seconds=job.device_seconds,
            completed=job.state is JobState.COMPLETED,
        )
        self._give_device(following)
        self._payloads.pop(job.id, None)

    def _jobs_of(self, session_id: str, state: JobState) -> list[Job]:
        """Give a session's jobs in a state, in the order in which they came."""
        of = (self._jobs[job_id] for job_id in self._of_session.get(session_id, ()))
        return [job for job in of if job.state is state]

    def _session_of(self, job: Job) -> Session | None:
        return None if job.session_id is None else self._sessions.get(job.session_id)

    def _next_revision(self) -> int:
        self._revision += 1
        return self._revision

    def _idle_limit_seconds(self, mode: Mode) -> int:
        of_batch = self._settings.batch_interactive_seconds
        if mode is Mode.BATCH and of_batch is not None:
            return of_batch
        return self._settings.interactive_seconds

    def _limit_seconds(self, job: Job) -> int:
        limit = self._settings.max_job_seconds
        return limit if job.cost_seconds is None else min(job.cost_seconds, limit)

    def _time_limit(self, job: Job) -> datetime | None:
        if job.state is not JobState.RUNNING or job.started_at is None:
            return None
        return job.started_at + timedelta(seconds=self._limit_seconds(job))

    def _write(self, change: Write) -> asyncio.Future[None]:
        """Store a change, and wake who watches what it changed once it is on disk."""

        def written(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception() is None:
                self.changes.notify(keys)

        keys = change.keys()
        for key in keys:
            self._outcomes.pop(key, None)
        future = self._store.write(change)
        future.add_done_callback(written)
        return future

    async def _once(
        self,
        kind: str,
        owner: str,
        key: str | None,
        find: Callable[[str, str], Coroutine[Any, Any, str | None]],
        create: Callable[[], Coroutine[Any, Any, str]],
    ) -> str:
        """Create something once for each idempotency key, however often it is asked for.

        Nearly every key is a new one, so it is only looked for where the creating fails.
        """
        if key is None:
            return await create()

        async def create_or_find() -> str:
            try:
                return await create()
            except Exception:
                # Refused for its key, or for another reason that the first one did not meet.
                found = await find(owner, key)
                if found is None:
                    raise
                return found

        place = (kind, owner, key)
        task = self._creating.get(place)
        if task is None:
            task = self._creating[place] = asyncio.create_task(create_or_find())
            task.add_done_callback(lambda _: self._creating.pop(place))
        # A client that hangs up must not undo what another request for the same key waits for.
        return await asyncio.shield(task)


def _new_job_id() -> str:
    """Make an id of twenty characters, as IBM's are: 100 random bits."""
    return base64.b32hexencode(secrets.token_bytes(13)).decode().lower()[:20]


def _safely(step: Callable[[], object]) -> bool:
    """Take a step of the event loop's; what goes wrong with it must not stop the next ones."""
    try:
        step()
    except Exception:
        log.exception("a step of the runtime failed")
        return False
    return True
