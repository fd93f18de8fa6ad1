"""Carries out the transitions of sessions and jobs: in memory, in the queues and in the store."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.cost import cost_of
from qsession_widget.runtime.model.errors import InvalidTransitionError
from qsession_widget.runtime.model.job import MAX_ATTEMPTS
from qsession_widget.runtime.pieces import LongText
from qsession_widget.runtime.store.writes import Update
from qsession_widget.wire.states import JOB_FAILED, RAN_TOO_LONG, JobState

if TYPE_CHECKING:
    from datetime import datetime

    from qsession_widget.runtime.control.device_arbiter import DeviceArbiter
    from qsession_widget.runtime.control.executor import Executor
    from qsession_widget.runtime.control.state import RuntimeState
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.scheduling.scheduler import Scheduler

log = logging.getLogger(__name__)

_AT_ONCE = 100
"""How many jobs are ended in one turn of the event loop; it takes a few milliseconds."""


class Transitions:
    """The transitions of sessions and jobs.

    Args:
        state: the unfinished sessions and jobs.
        scheduler: the queues.
        arbiter: grants the devices.
        executor: runs the jobs.
    """

    def __init__(
        self,
        state: RuntimeState,
        scheduler: Scheduler,
        arbiter: DeviceArbiter,
        executor: Executor,
    ) -> None:
        self._state = state
        self._scheduler = scheduler
        self._arbiter = arbiter
        self._executor = executor
        self._timing_out: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        """Whether jobs are being ended that are too many for one turn of the event loop."""
        return bool(self._timing_out)

    # -- sessions --------------------------------------------------------------------------

    def current(self, session_id: str) -> Session | None:
        """Return a session after all timers that have run out, None if it is closed.

        To be called before each change of a session: a late timer (the machine slept) still comes
        before the change.
        """
        session = self._state.session(session_id)
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
        return self._state.session(session_id)

    def _begin_to_time_out(self, session: Session) -> None:
        """End a session's many queued jobs in turns, as of the session's maximum time."""
        when = lifecycle.max_time_end(session)
        if when is None:
            raise InvalidTransitionError(f"no job of session {session.id} has started")
        # Other deadlines that are earlier come first.
        step = lifecycle.tick(session, when - timedelta.resolution)
        self.apply(step)
        session = self.put_session(lifecycle.begin_to_time_out(step.session))
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
            session = self._state.session(session_id)
            if session is not None:
                self.keep_session(session)
            self._state.wake_up.request()

    def apply(self, step: lifecycle.Step) -> asyncio.Future[None]:
        """Carry out a step of a session: end the queued jobs that it ends, and keep the session."""
        jobs: tuple[Job, ...] = ()
        if step.ended is not None:
            state, reason, when = step.ended
            jobs = tuple(
                self._end(job, state, when, reason=reason)
                # The last one first: the head of the queue then changes only once.
                for job in reversed(self._state.jobs_of(step.session.id, JobState.QUEUED))
            )
        session = self.put_session(step.session)
        self._state.wake_up.request()
        return self._state.write_end(Update(sessions=(session,), jobs=jobs))

    async def cancel_session(self, session_id: str) -> None:
        """Accept no more jobs and cancel the queued ones. Does nothing to a closed session."""
        session = self.current(session_id)
        if session is None:
            return
        session = self.put_session(lifecycle.begin_to_cancel(session))
        # If the runtime dies from here on, the next one completes the cancellation.
        stored = self._state.write(Update(sessions=(session,)))
        queued = self._state.jobs_of(session_id, JobState.QUEUED)
        await self.end_in_turns(queued, JobState.CANCELLED, lifecycle.CANCELLED_REASON)
        left = self._state.session(session_id)
        if left is not None:
            await self.apply(lifecycle.cancel(left, self._state.now))
        await asyncio.wait([stored])

    async def end_in_turns(
        self,
        jobs: list[Job],
        state: JobState,
        reason: str,
        *,
        running: bool = False,
        when: datetime | None = None,
    ) -> list[str]:
        """End many jobs, some in each turn of the event loop, which stays responsive.

        Args:
            jobs: the jobs.
            state: in which they end, without a result.
            reason: what their users read.
            running: whether to end jobs that run by then, too.
            when: at which time they end; None is the present.

        Returns:
            Ids of the jobs that had not ended before, once that is on disk.
        """
        found: list[str] = []
        stored: list[asyncio.Future[None]] = []
        for start in range(0, len(jobs), _AT_ONCE):
            if start:
                await asyncio.sleep(0)
            ended: list[Job] = []
            sessions: dict[str, int] = {}
            for known in jobs[start : start + _AT_ONCE]:
                job = self._state.job(known.id)
                if job is None or (job.state is JobState.RUNNING and not running):
                    continue
                found.append(job.id)
                if job.state is JobState.RUNNING:
                    stored.append(self.end(job, state, reason=reason))
                    continue
                at = when or self._state.now
                ended.append(self._end(job, state, at, reason=reason))
                if job.session_id is not None:
                    sessions[job.session_id] = sessions.get(job.session_id, 0) + 1
            changed = tuple(
                self.put_session(lifecycle.drop(session, when or self._state.now, count))
                for session_id, count in sessions.items()
                if (session := self._state.session(session_id)) is not None
            )
            if ended:
                stored.append(self._state.write_end(Update(sessions=changed, jobs=tuple(ended))))
        self._state.wake_up.request()
        if stored:
            await asyncio.wait(stored)
        return found

    def put_session(self, session: Session) -> Session:
        """Keep a session that has changed, with a new revision."""
        session = replace(session, revision=self._state.next_revision())
        self.keep_session(session)
        return session

    def keep_session(self, session: Session, *, counted: bool = False) -> None:
        """Keep a session, its timer and its place in the queues, unless it is closed.

        Args:
            session: the session.
            counted: its usage until it was last inactive has been charged already.
        """
        self._state.put_session(session)
        self._scheduler.update(session, self._state.now, counted=counted)

    def _stop_running(self, session_id: str) -> None:
        session = self._state.session(session_id)
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
        """Start a queued job; the future is done when that is on disk."""
        session = self._state.session_of(job)
        begun = None if session is None else lifecycle.start(session, self._state.now)
        started = self._state.start(job.id)
        session = None if begun is None else self.put_session(begun)
        # The start may share the commit of the job's end: if the runtime dies before, the next one
        # runs the job again. An inherited job may be what a runtime died of, so it has to count.
        can_wait = not self._state.is_inherited(job.id)
        change = Update(jobs=(started,), sessions=(session,) if session else (), can_wait=can_wait)
        return started, self._state.write(change)

    def requeue(self, job: Job, *, attempts: int, interruptions: int | None = None) -> None:
        """Put a running job back into its queue, since its worker or the runtime died."""
        session = self._state.session_of(job)
        queued = None if session is None else lifecycle.requeue(session, self._state.now)
        again = self._state.requeue(job.id, attempts=attempts, interruptions=interruptions)
        self._arbiter.grant(self._scheduler.requeue(job.id))
        session = None if queued is None else self.put_session(queued)
        self._state.write(Update(jobs=(again,), sessions=(session,) if session else ()))
        self._state.wake_up.request()

    def recover(self, job: Job) -> None:
        """Put a job that was running when the last runtime died back into its queue.

        It fails where that happened too often: it may be what those runtimes died of.
        """
        deaths = job.interruptions + 1
        if deaths < MAX_ATTEMPTS:
            log.info("job %s goes back to its queue: its runtime died", job.id)
            self.requeue(job, attempts=job.attempts - 1, interruptions=deaths)
            return
        reason = f"It was running {deaths} times when the runtime died, and is not tried again."
        log.warning("job %s fails: %s", job.id, reason)
        # What the runtime's death cut off costs nothing.
        self.end(
            job,
            JobState.FAILED,
            reason=reason,
            reason_code=JOB_FAILED,
            interruptions=deaths,
            crashed=True,
        )

    def end(
        self,
        job: Job,
        state: JobState,
        *,
        reason: str | None = None,
        reason_code: int | None = None,
        result: str | LongText | None = None,
        busy_seconds: float | None = None,
        interruptions: int | None = None,
        crashed: bool = False,
        result_summary: str | None = None,
    ) -> asyncio.Future[None]:
        """End a job in any phase, and store its result; the future is done when it is on disk.

        The worker of a job that is cancelled while it runs is free a little later.
        """
        now = self._state.now
        ended = self._end(
            job,
            state,
            now,
            reason=reason,
            reason_code=reason_code,
            busy_seconds=busy_seconds,
            interruptions=interruptions,
            crashed=crashed,
            result_summary=result_summary,
        )
        if job.state is JobState.RUNNING and state is JobState.CANCELLED:
            self._executor.cancel(job.id)
        session = self._state.session_of(job)
        if session is not None:
            session = self.put_session(
                lifecycle.end(
                    session, now, cost_of(ended, session.counted_until, self._state.clock.rate)
                )
                if job.state is JobState.RUNNING
                else lifecycle.drop(session, now)
            )
        self._state.wake_up.request()
        change = Update(
            jobs=(ended,),
            sessions=(session,) if session else (),
            result=None if result is None else (job.id, result),
        )
        future = self._state.write_end(change)
        if change.result is not None:
            future.add_done_callback(lambda done: self._check_stored(change, done))
        return future

    def withdraw(self, job: Job, before: Session | None) -> None:
        """Undo the admission of a job that could not be stored, in any phase.

        Its time on a device is not charged, and leaves its session as well.

        Args:
            job: the job.
            before: its session before the job came.
        """
        runs = job.state is JobState.RUNNING
        self._leave(self._state.withdraw(job.id))
        if runs:
            self._executor.cancel(job.id)
        self._state.wake_up.request()
        session = self._state.session_of(job)
        if session is not None and before is not None:
            started_at = job.started_at if runs else None
            undone = lifecycle.withdraw(session, self._state.now, before, started_at)
            self.apply(lifecycle.Step(undone))

    def _end(self, job: Job, state: JobState, when: datetime, **details: Any) -> Job:
        ended = self._state.end(job.id, state, when, **details)
        self._leave(ended)
        return ended

    def _leave(self, job: Job) -> None:
        """Take a job out of the queues, and grant its device to the next one."""
        following = self._scheduler.leave(
            job.id,
            self._state.now,
            used_seconds=job.running_seconds,
            completed=job.state is JobState.COMPLETED,
        )
        self._arbiter.grant(following)

    def _check_stored(self, change: Update, done: asyncio.Future[None]) -> None:
        """Keep a stored result at hand; end its job as Failed if the result can never be stored.

        The job must not look unfinished then.
        """
        if done.cancelled() or change.result is None:
            return
        error = done.exception()
        (job,) = change.jobs
        if error is None:
            _, result = change.result
            self._state.at_hand.keep_outcome(job, result)
            return
        if isinstance(change.result[1], LongText):
            self._state.store.drop(change.result[1])
        reason = f"Its result cannot be stored: {type(error).__name__}."
        failed = self._state.lose_result(job, reason)
        session = self._state.session_of(job)
        cost = cost_of(job, None, self._state.clock.rate)
        # A session that the job's end closed is only known from the change that was not written.
        known = [session] if session is not None else change.sessions
        sessions = tuple(
            self.put_session(lifecycle.refund(each, cost))
            for each in known
            if session is not None or each.closed_at is not None
        )
        self._state.write_end(Update(jobs=(failed,), sessions=sessions))
