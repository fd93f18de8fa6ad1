"""Carries out each change of a session or a job: in memory, in the queues and in the store."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.job import MAX_ATTEMPTS
from qsession_widget.runtime.store.store import Write
from qsession_widget.wire.states import JOB_FAILED, RAN_TOO_LONG, JobState

if TYPE_CHECKING:
    from datetime import datetime

    from qsession_widget.runtime.control.device_arbiter import DeviceArbiter
    from qsession_widget.runtime.control.state import RuntimeState
    from qsession_widget.runtime.control.worker_pool import WorkerPool
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.scheduling.scheduler import Scheduler

log = logging.getLogger(__name__)

_AT_ONCE = 100
"""How many jobs are ended in one turn of the event loop: a few milliseconds."""


class Transitions:
    """What happens to sessions and jobs.

    Args:
        runtime_state: what has not ended.
        scheduler: the queues.
        turns: who goes on which device.
        executor: runs the jobs.
    """

    def __init__(
        self,
        runtime_state: RuntimeState,
        scheduler: Scheduler,
        arbiter: DeviceArbiter,
        pool: WorkerPool,
    ) -> None:
        self._state = runtime_state
        self._scheduler = scheduler
        self._arbiter = arbiter
        self._pool = pool
        self._timing_out: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        """Whether jobs are being ended that are too many for one turn of the event loop."""
        return bool(self._timing_out)

    # -- sessions --------------------------------------------------------------------------

    def current(self, session_id: str) -> Session | None:
        """Give a session after every timer that has run out, None if it is closed.

        Whoever changes a session asks here first: a timer that is late (the machine slept) still
        comes before what happens now.
        """
        session = self._state.sessions.get(session_id)
        if session is None:
            return None
        now = self._state.now
        deadline = lifecycle.next_deadline(session)
        if deadline is not None and deadline <= now and session_id not in self._timing_out:
            if session.queued > _AT_ONCE and lifecycle.is_past_max_time(session, now):
                self._begin_to_time_out(session)
            else:
                self.apply(lifecycle.tick(session, now))
            if self._state.settings.stop_at_max_time:
                self._stop_running(session_id)
        return self._state.sessions.get(session_id)

    def _begin_to_time_out(self, session: Session) -> None:
        """Have a session's many queued jobs end in turns, as of the session's maximum time."""
        when = lifecycle.max_time_end(session)
        if when is None:
            raise ValueError(f"no job of session {session.id} has started")
        # What was due before that happens before.
        self.apply(lifecycle.tick(session, when - timedelta.resolution))
        session = self.put_session(lifecycle.begin_to_time_out(self._state.sessions[session.id]))
        when = max(when, session.transitions[-1][1])
        task = asyncio.get_running_loop().create_task(self._time_out_in_turns(session.id, when))
        self._timing_out[session.id] = task

    async def _time_out_in_turns(self, session_id: str, when: datetime) -> None:
        jobs = self._state.jobs_of(session_id, JobState.QUEUED)
        try:
            await self.end_in_turns(jobs, JobState.FAILED, lifecycle.MAX_TIME_REASON, when=when)
        except Exception:
            # Its timer is still due: it is tried again.
            log.exception("session %s could not be ended at its maximum time", session_id)
        finally:
            del self._timing_out[session_id]
            # What came back into its queue meanwhile is due as well.
            session = self._state.sessions.get(session_id)
            if session is not None:
                self.keep_session(session)
            self._state.wake_up.request()

    def apply(self, step: lifecycle.Step) -> asyncio.Future[None]:
        """End the jobs that a session's change ends, and take its new state."""
        jobs: tuple[Job, ...] = ()
        if step.ended is not None:
            state, reason, when = step.ended
            jobs = tuple(
                self._put_ended(job.end(state, when, reason=reason))
                # The last one first: who is next in the queue then changes once.
                for job in reversed(self._state.jobs_of(step.session.id, JobState.QUEUED))
            )
        session = self.put_session(step.session)
        self._state.wake_up.request()
        return self._state.write_end(Write(sessions=(session,), jobs=jobs))

    async def end_in_turns(
        self,
        jobs: list[Job],
        state: JobState,
        reason: str,
        *,
        running: bool = False,
        when: datetime | None = None,
    ) -> list[str]:
        """End many jobs, some at a time, so that other requests do not wait for long.

        Args:
            jobs: to end.
            state: in which they end, without a result.
            reason: why.
            running: whether those too that run by then.
            when: they end; None is the present time.

        Returns:
            Ids of those that had not ended before, once that is on disk.
        """
        runtime_state, found = self._state, list[str]()
        stored: list[asyncio.Future[None]] = []
        for start in range(0, len(jobs), _AT_ONCE):
            if start:
                # Others' turn.
                await asyncio.sleep(0)
            ended: list[Job] = []
            sessions: dict[str, int] = {}
            for known in jobs[start : start + _AT_ONCE]:
                job = runtime_state.jobs.get(known.id)
                if job is None:
                    continue
                if job.state is JobState.RUNNING and not running:
                    continue
                found.append(job.id)
                if job.state is JobState.RUNNING:
                    stored.append(self.end(job, state, reason=reason))
                    continue
                at = when or runtime_state.now
                ended.append(self._put_ended(job.end(state, at, reason=reason)))
                if job.session_id is not None:
                    sessions[job.session_id] = sessions.get(job.session_id, 0) + 1
            changed = tuple(
                self.put_session(lifecycle.drop(session, when or runtime_state.now, count))
                for session_id, count in sessions.items()
                if (session := runtime_state.sessions.get(session_id)) is not None
            )
            if ended:
                stored.append(runtime_state.write_end(Write(sessions=changed, jobs=tuple(ended))))
        runtime_state.wake_up.request()
        if stored:
            await asyncio.wait(stored)
        return found

    def put_session(self, session: Session) -> Session:
        """Take note of a session that has changed."""
        session = replace(session, revision=self._state.next_revision())
        self.keep_session(session)
        return session

    def keep_session(self, session: Session, *, counted: bool = False) -> None:
        """Hold a session, its timer and its place in the queues, unless it is closed.

        Args:
            session: as it is now.
            counted: what it used until it was last inactive has been charged already.
        """
        runtime_state = self._state
        if session.closed_at is None:
            runtime_state.sessions[session.id] = session
        else:
            runtime_state.sessions.pop(session.id, None)
        runtime_state.timers.set(session.id, lifecycle.next_deadline(session))
        self._scheduler.update(session, runtime_state.now, counted=counted)

    def _stop_running(self, session_id: str) -> None:
        session = self._state.sessions.get(session_id)
        if session is not None and lifecycle.is_past_max_time(session, self._state.now):
            for job in self._state.jobs_of(session_id, JobState.RUNNING):
                self.end(
                    job,
                    JobState.CANCELLED,
                    reason=lifecycle.STOPPED_REASON,
                    reason_code=RAN_TOO_LONG,
                )

    # -- jobs ------------------------------------------------------------------------------

    def enqueue(self, job: Job) -> None:
        """Put a job into its queue."""
        self._scheduler.wait(job.id, device=job.backend, owner=job.owner, session_id=job.session_id)

    def start(self, job: Job) -> tuple[Job, asyncio.Future[None]]:
        """Start a job that was chosen; the future is done when that is on disk."""
        now = self._state.now
        session = self._state.session_of(job)
        if session is not None:
            session = self.put_session(lifecycle.start(session, now))
        started = self._state.change(job.start(now))
        # It may share the commit of the job's end: a runtime that dies before runs the job again.
        # Not if one has died before, perhaps of this very job.
        can_wait = job.id not in self._state.inherited
        change = Write(jobs=(started,), sessions=(session,) if session else (), can_wait=can_wait)
        return started, self._state.write(change)

    def requeue(self, job: Job, *, attempts: int, interruptions: int | None = None) -> None:
        """Put a job back into its queue, since whoever ran it died."""
        runtime_state = self._state
        again = runtime_state.change(job.requeue(attempts=attempts, interruptions=interruptions))
        self._arbiter.give(self._scheduler.requeue(job.id))
        session = runtime_state.session_of(job)
        if session is not None:
            session = self.put_session(lifecycle.requeue(session, runtime_state.now))
        runtime_state.interim.pop(job.id, None)
        runtime_state.finished.pop(job.id, None)
        runtime_state.write(Write(jobs=(again,), sessions=(session,) if session else ()))
        self._state.wake_up.request()

    def interrupted(self, job: Job) -> None:
        """Put a job back into its queue that was running when the last runtime died.

        It fails where that happened too often: it may be what those runtimes died of.
        """
        deaths = job.interruptions + 1
        if deaths < MAX_ATTEMPTS:
            log.info("job %s goes back to its queue: its runtime died", job.id)
            self.requeue(job, attempts=job.attempts - 1, interruptions=deaths)
            return
        reason = f"It was running {deaths} times when the runtime died, and is not tried again."
        log.warning("job %s fails: %s", job.id, reason)
        # What a runtime's death has cut off costs nothing.
        failed = replace(job.without_stages(), interruptions=deaths)
        self.end(failed, JobState.FAILED, reason=reason, reason_code=JOB_FAILED)

    def end(
        self,
        job: Job,
        state: JobState,
        *,
        reason: str | None = None,
        reason_code: int | None = None,
        result: str | None = None,
        busy_seconds: float | None = None,
    ) -> asyncio.Future[None]:
        """End a job, wherever it is, and store its result; the future is done when it is on disk.

        The worker of one that is cancelled while it runs is free a little later.
        """
        runtime_state = self._state
        now = runtime_state.now
        if job.state is JobState.RUNNING and state is JobState.CANCELLED:
            self._pool.cancel(job.id)
        ended = self._put_ended(
            job.end(state, now, reason=reason, reason_code=reason_code, busy_seconds=busy_seconds)
        )
        session = runtime_state.session_of(job)
        if session is not None:
            session = self.put_session(
                lifecycle.end(session, now, ended.device_seconds, ended.preparing_seconds)
                if job.state is JobState.RUNNING
                else lifecycle.drop(session, now)
            )
        self._state.wake_up.request()
        change = Write(
            jobs=(ended,),
            sessions=(session,) if session else (),
            result=None if result is None else (job.id, result),
        )
        future = runtime_state.write_end(change)
        if change.result is not None:
            future.add_done_callback(lambda done: self._check_stored(change, done))
        return future

    def withdraw(self, job: Job, before: Session | None) -> None:
        """Undo the taking of a job that could not be stored, wherever it is by now.

        No time on a device is charged for it, and none stays in its session.

        Args:
            job: as it is.
            before: its session, as that was before the job came.
        """
        runtime_state = self._state
        runs = job.state is JobState.RUNNING
        if runs:
            self._pool.cancel(job.id)
        self._forget(job)
        self._state.wake_up.request()
        session = runtime_state.session_of(job)
        if session is not None and before is not None:
            started_at = job.started_at if runs else None
            undone = lifecycle.withdraw(session, runtime_state.now, before, started_at)
            self.apply(lifecycle.Step(undone))

    def _put_ended(self, job: Job) -> Job:
        job = replace(job, revision=self._state.next_revision())
        self._forget(job)
        return job

    def _forget(self, job: Job) -> None:
        self._state.remove(job)
        following = self._scheduler.leave(
            job.id,
            self._state.now,
            used_seconds=job.running_seconds,
            completed=job.state is JobState.COMPLETED,
        )
        self._arbiter.give(following)

    def _check_stored(self, change: Write, done: asyncio.Future[None]) -> None:
        """Keep a stored result at hand; end its job as Failed where it can never be stored.

        Such a job must not look unfinished.
        """
        if done.cancelled() or change.result is None:
            return
        error = done.exception()
        (job,) = change.jobs
        if error is None:
            _, result = change.result
            self._state.keep_outcome(job, result)
            return
        failed = replace(
            job.without_stages(),
            state=JobState.FAILED,
            reason=f"Its result cannot be stored: {type(error).__name__}.",
            reason_code=JOB_FAILED,
            revision=self._state.next_revision(),
        )
        session = self._state.session_of(job)
        cost = job.device_seconds, job.preparing_seconds
        # Where the job's end closed its session, that is as it was to be written with it.
        known = [session] if session is not None else change.sessions
        sessions = tuple(
            self.put_session(lifecycle.refund(each, *cost))
            for each in known
            if session is not None or each.closed_at is not None
        )
        self._state.write_end(Write(jobs=(failed,), sessions=sessions))
