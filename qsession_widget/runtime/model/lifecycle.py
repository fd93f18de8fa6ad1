"""The life of a session: pure functions of (session, what happened, now).

No function sleeps, reads a clock or does I/O. Rules: IBM's documents on execution modes and
maximum execution time; where they disagree, a parameter decides. Times are UTC datetimes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from qsession_widget.wire.states import JobState, Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

MAX_TIME_REASON = "The session reached its maximum time while this job was queued."
STOPPED_REASON = "The session reached its maximum time while this job was running."
CANCELLED_BY_USER = "cancelled by its user"
CANCELLED_REASON = "The session was cancelled before this job started."
QUEUE_CANCELLED_REASON = "The session's queued jobs were cancelled."


class Session(msgspec.Struct, frozen=True, gc=False):
    """One session. It counts its jobs that have not ended; who they are is not its affair.

    Attributes:
        max_seconds: limit that counts from the start of the first job and never pauses.
        interactive_seconds: how long it may idle before it becomes inactive.
        active_seconds: longest stretch of activity, from `activated_at`.
        first_job_seconds: how long it stays open without any job.
        used_seconds: usage up to the last time that it stopped being active; a batch's is the
            time of its jobs on the device.
        on_device_seconds: time of its jobs that ended on the device.
        preparing_seconds: time for which those were prepared before.
        busy_seconds: for how long at least one of its jobs ran, up to the last time that none did.
        busy_since: since when at least one of its jobs has been running.
        idle_since: since when it has been open or active with nothing queued or running.
        transitions: each state that it entered, and when.
        queued: how many of its jobs wait.
        running: how many of its jobs run.
        cache_hits: how often its jobs found something that the worker had kept.
        cache_misses: how often it had to be made.
        cache_seconds_saved: time that the making had taken of what was found.
    """

    id: str
    owner: str
    backend: str
    mode: Mode
    max_seconds: int
    interactive_seconds: int
    active_seconds: int
    first_job_seconds: int
    created_at: datetime
    state: SessionState = SessionState.OPEN
    state_reason: str = ""
    accepting_jobs: bool = True
    started_at: datetime | None = None
    activated_at: datetime | None = None
    closed_at: datetime | None = None
    last_job_started: datetime | None = None
    last_job_completed: datetime | None = None
    idle_since: datetime | None = None
    used_seconds: float = 0.0
    on_device_seconds: float = 0.0
    preparing_seconds: float = 0.0
    busy_seconds: float = 0.0
    busy_since: datetime | None = None
    transitions: tuple[tuple[SessionState, datetime], ...] = ()
    queued: int = 0
    running: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    cache_seconds_saved: float = 0.0
    revision: int = 0

    @property
    def holds_device(self) -> bool:
        """Whether nobody else's job may start on its device (IBM: dedicated mode)."""
        return self.mode is Mode.DEDICATED and self.state in _ACTIVE

    @property
    def prioritised(self) -> bool:
        """Whether its jobs go ahead of the normal queue."""
        return self.state is SessionState.ACTIVE

    def usage_seconds(self, now: datetime) -> float:
        """Usage so far: a session's active time, a batch's time of jobs on the device."""
        if self.mode is Mode.BATCH or self.activated_at is None or self.state not in _ACTIVE:
            return self.used_seconds
        # The machine's clock may have been set back since.
        return self.used_seconds + max(0.0, (now - self.activated_at).total_seconds())

    def idle_seconds(self, now: datetime) -> float:
        """How much of its usage went by while none of its jobs ran."""
        if self.mode is Mode.BATCH:
            return 0.0
        running = 0.0 if self.busy_since is None else (now - self.busy_since).total_seconds()
        return max(0.0, self.usage_seconds(now) - self.busy_seconds - max(0.0, running))


_STARTING = frozenset({SessionState.OPEN, SessionState.INACTIVE, SessionState.ACTIVE})
_ACTIVE = frozenset(
    {SessionState.ACTIVE, SessionState.PENDING_INACTIVE, SessionState.PENDING_CLOSED}
)


class Ended(NamedTuple):
    """How and when a change of their session ends all its jobs that were queued until then."""

    state: JobState
    reason: str
    when: datetime


class Step(NamedTuple):
    """A session after a change, and the end of its queued jobs where the change ends them."""

    session: Session
    ended: Ended | None = None


class NotAcceptingJobsError(ValueError):
    """The session takes no more jobs."""


def create(session: Session) -> Session:
    """Give a session its first entry in the list of transitions, and start its first timer."""
    first = (session.state, session.created_at)
    return replace(session, transitions=(first,), idle_since=session.created_at)


def submit(session: Session) -> Session:
    """Take a job into the session's queue."""
    if not session.accepting_jobs:
        raise NotAcceptingJobsError(session.id)
    return replace(session, queued=session.queued + 1, idle_since=None)


def start(session: Session, now: datetime) -> Session:
    """Start one of its queued jobs; from open and inactive this activates the session."""
    if not session.queued or not may_start(session):
        raise ValueError(f"no job can start in session {session.id} ({session.state})")
    session = replace(
        session,
        queued=session.queued - 1,
        running=session.running + 1,
        started_at=session.started_at or now,
        last_job_started=now,
        busy_since=session.busy_since or now,
        idle_since=None,
    )
    if session.state is SessionState.ACTIVE:
        return session
    return _enter(replace(session, activated_at=now), SessionState.ACTIVE, now, "")


def may_start(session: Session) -> bool:
    """Whether one of its queued jobs may start now; a pending transition must come first."""
    timed_out = not session.accepting_jobs and session.state_reason == _max_time_reason(session)
    return session.state in _STARTING and not is_cancelled(session) and not timed_out


def is_cancelled(session: Session) -> bool:
    """Whether its user has cancelled it; its queued jobs may be many, and still be on their way."""
    return not session.accepting_jobs and session.state_reason == CANCELLED_BY_USER


def requeue(session: Session, now: datetime) -> Session:
    """Put a running job back into the queue, since whoever ran it died."""
    session = _one_runs_no_more(session, now)
    session = replace(session, queued=session.queued + 1)
    if session.state is SessionState.PENDING_CLOSED:
        # It was only waiting for running jobs; this one has to run again before it can close.
        session = _enter(session, SessionState.ACTIVE, now, session.state_reason)
    return _settle(session, now)


def drop(session: Session, now: datetime, count: int = 1) -> Session:
    """Take out some of its queued jobs, which ended without having run."""
    if session.queued < count:
        raise ValueError(f"no job of session {session.id} is queued")
    return _settle(replace(session, queued=session.queued - count), now)


def end(
    session: Session, now: datetime, device_seconds: float = 0.0, preparing_seconds: float = 0.0
) -> Session:
    """Take out one of its running jobs, which ended.

    Args:
        session: the job's session.
        now: when it ended.
        device_seconds: how long it was on the device; 0 for one that never was.
        preparing_seconds: how long it was prepared before.
    """
    session = replace(
        _one_runs_no_more(session, now),
        on_device_seconds=session.on_device_seconds + device_seconds,
        preparing_seconds=session.preparing_seconds + preparing_seconds,
        last_job_completed=now,
        used_seconds=session.used_seconds + (device_seconds if session.mode is Mode.BATCH else 0.0),
    )
    return _settle(session, now)


def withdraw(
    session: Session, now: datetime, before: Session, started_at: datetime | None = None
) -> Session:
    """Take out one of its jobs, which was never the session's after all.

    What it left in the session goes with it: the session idles since when it did before, and the
    job was none that started or kept it busy.

    Args:
        session: the job's session.
        now: the time.
        before: the session as it was before the job came.
        started_at: when the job started; None for one that is queued.
    """
    completed = session.last_job_completed
    undisturbed = completed == before.last_job_completed
    if started_at is None:
        if not session.queued:
            raise ValueError(f"no job of session {session.id} is queued")
        session = replace(session, queued=session.queued - 1)
    elif session.running > 1:
        session = replace(session, running=session.running - 1)
    else:
        # Others may have been busy in the same stretch, the last of them until it ended.
        since = session.busy_since
        until = since if undisturbed or completed is None else completed
        session = _one_runs_no_more(session, now if until is None else until)
    if started_at is not None and session.last_job_started == started_at:
        session = replace(session, last_job_started=before.last_job_started)
    undisturbed = undisturbed and session.activated_at == before.activated_at
    if undisturbed and not session.queued and not session.running:
        session = replace(session, idle_since=before.idle_since)
    return _settle(session, now)


def refund(session: Session, device_seconds: float, preparing_seconds: float) -> Session:
    """Take back what one of its jobs cost that has ended: what it gave was lost."""
    of_batch = device_seconds if session.mode is Mode.BATCH else 0.0
    return replace(
        session,
        on_device_seconds=max(0.0, session.on_device_seconds - device_seconds),
        preparing_seconds=max(0.0, session.preparing_seconds - preparing_seconds),
        used_seconds=max(0.0, session.used_seconds - of_batch),
    )


def close(session: Session, now: datetime) -> Session:
    """Take no more jobs; those that it has go on (PATCH accepting_jobs=false). Idempotent."""
    if not session.accepting_jobs:
        return session
    return _settle(replace(session, accepting_jobs=False, state_reason="closed by its user"), now)


def begin_to_cancel(session: Session) -> Session:
    """Take no more jobs and start none; the queued ones are to be cancelled next."""
    return replace(session, accepting_jobs=False, state_reason=CANCELLED_BY_USER)


def begin_to_time_out(session: Session) -> Session:
    """Take no more jobs and start none; `tick` ends what is queued still, at its own time."""
    return replace(session, accepting_jobs=False, state_reason=_max_time_reason(session))


def cancel(session: Session, now: datetime) -> Step:
    """Take no more jobs, cancel the queued ones, let running ones finish (DELETE .../close)."""
    if session.state is SessionState.CLOSED:
        return Step(session)
    session = begin_to_cancel(session)
    return _drop_queued(session, JobState.CANCELLED, CANCELLED_REASON, now)


def next_deadline(session: Session) -> datetime | None:
    """Say when `tick` has something to do if nothing else happens before."""
    return min((when for when, _ in _deadlines(session)), default=None)


def is_past_max_time(session: Session, now: datetime) -> bool:
    """Whether the time that counts from the start of its first job is over."""
    end = max_time_end(session)
    return end is not None and now >= end


def max_time_end(session: Session) -> datetime | None:
    """Say when that time is over; None before its first job has started."""
    if session.started_at is None:
        return None
    return session.started_at + timedelta(seconds=session.max_seconds)


def tick(session: Session, now: datetime) -> Step:
    """Apply every timer that has run out by `now`, in their order, each at its own time."""
    ended: Ended | None = None
    while due := sorted(
        (deadline for deadline in _deadlines(session) if deadline[0] <= now),
        key=lambda deadline: deadline[0],
    ):
        when, what = due[0]
        # A timer that came back to life (a job that ran on past the maximum time has to run
        # again) is later than what happened since.
        session, dropped = what(session, max(when, session.transitions[-1][1]))
        # Once at most: nothing comes into the queue meanwhile.
        ended = dropped or ended
    return Step(session, ended)


def _enter(session: Session, state: SessionState, now: datetime, reason: str) -> Session:
    if session.state is state:
        return session
    if session.state in _ACTIVE and state not in _ACTIVE:
        session = replace(session, used_seconds=session.usage_seconds(now))
    return replace(
        session,
        state=state,
        state_reason=reason,
        closed_at=now if state is SessionState.CLOSED else session.closed_at,
        idle_since=session.idle_since if state in _ACTIVE else None,
        transitions=(*session.transitions, (state, now)),
    )


def _settle(session: Session, now: datetime) -> Session:
    """Draw the consequences of having, or no longer having, jobs."""
    if session.state is SessionState.CLOSED:
        return session
    if not session.accepting_jobs and not session.queued:
        state = SessionState.PENDING_CLOSED if session.running else SessionState.CLOSED
        return _enter(session, state, now, session.state_reason)
    if session.state is SessionState.PENDING_INACTIVE and not session.running:
        return _enter(session, SessionState.INACTIVE, now, session.state_reason)
    waiting = session.state in {SessionState.OPEN, SessionState.ACTIVE}
    idle = waiting and not session.queued and not session.running
    return replace(session, idle_since=(session.idle_since or now) if idle else None)


def _one_runs_no_more(session: Session, now: datetime) -> Session:
    """Take a job out of those that run; the last one ends a stretch of work."""
    if not session.running:
        raise ValueError(f"no job of session {session.id} is running")
    running = session.running - 1
    if running or session.busy_since is None:
        return replace(session, running=running)
    busy_seconds = max(0.0, (now - session.busy_since).total_seconds())
    return replace(
        session,
        running=running,
        busy_seconds=session.busy_seconds + busy_seconds,
        busy_since=None,
    )


def _drop_queued(session: Session, state: JobState, reason: str, now: datetime) -> Step:
    ended = Ended(state, reason, now) if session.queued else None
    return Step(_settle(replace(session, queued=0), now), ended)


def _time_out_unused(session: Session, now: datetime) -> Step:
    minutes = session.first_job_seconds / 60
    reason = f"no job was submitted for {minutes:g} min"
    session = replace(session, accepting_jobs=False)
    return Step(_enter(session, SessionState.CLOSED, now, reason))


def _time_out_idle(session: Session, now: datetime) -> Step:
    reason = f"no job for {session.interactive_seconds} s (interactive timeout)"
    return Step(_enter(session, SessionState.INACTIVE, now, reason))


def _time_out_active(session: Session, now: datetime) -> Step:
    reason = f"active for {session.active_seconds} s (active timeout)"
    state = SessionState.PENDING_INACTIVE if session.running else SessionState.INACTIVE
    return Step(_enter(session, state, now, reason))


def _time_out(session: Session, now: datetime) -> Step:
    return _drop_queued(begin_to_time_out(session), JobState.FAILED, MAX_TIME_REASON, now)


def _max_time_reason(session: Session) -> str:
    return f"open for {session.max_seconds} s (maximum time)"


def _deadlines(session: Session) -> list[tuple[datetime, Callable[[Session, datetime], Step]]]:
    """Give every timer that is running, with what happens when it runs out."""
    found: list[tuple[datetime, Callable[[Session, datetime], Step]]] = []
    if session.state is SessionState.CLOSED:
        return found
    if session.started_at is None:
        if session.idle_since is not None:
            limit = timedelta(seconds=session.first_job_seconds)
            found.append((session.idle_since + limit, _time_out_unused))
        return found
    if session.accepting_jobs or session.queued:
        found.append((session.started_at + timedelta(seconds=session.max_seconds), _time_out))
    if session.state is SessionState.ACTIVE:
        if session.idle_since is not None:
            limit = timedelta(seconds=session.interactive_seconds)
            found.append((session.idle_since + limit, _time_out_idle))
        if session.activated_at is not None:
            limit = timedelta(seconds=session.active_seconds)
            found.append((session.activated_at + limit, _time_out_active))
    return found
