"""The life of a session: pure functions of (session, event, now).

No function sleeps, reads a clock or does I/O. The rules are those of IBM's documents on execution
modes and maximum execution time; where these disagree, a parameter decides. Times are in UTC.
A change that is impossible in the session's state raises `InvalidTransitionError`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from qsession_widget.runtime.model.cost import NOTHING, Cost
from qsession_widget.runtime.model.errors import InvalidTransitionError
from qsession_widget.wire.states import JobState, Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

MAX_TIME_REASON = "The session reached its maximum time while this job was queued."
STOPPED_REASON = "The session reached its maximum time while this job was running."
CANCELLED_BY_USER = "cancelled by its user"
ABANDONED_REASON = "the program that used it had ended, and another job waited for its backend"
CANCELLED_REASON = "The session was cancelled before this job started."
QUEUE_CANCELLED_REASON = "The session's queued jobs were cancelled."


MOST_PROCESSES = 64
"""How many of the processes that use a session are remembered."""

TOO_MANY_PROCESSES = "more"
"""Stands among them for living ones that are not remembered; it never ends."""


class Session(msgspec.Struct, frozen=True, gc=False):
    """One session. It counts its unfinished jobs, but does not know which they are.

    Attributes:
        max_seconds: limit of time from the start of the first job; it never pauses.
        interactive_seconds: how long it may idle before it becomes inactive.
        active_seconds: longest stretch of activity, from `activated_at`.
        first_job_seconds: how long it stays open before its first job.
        used_seconds: usage until it was last active; for a batch, the time of its jobs on the
            device. While it is active it may be below 0, by what it is not charged for.
        on_device_seconds: time on the device of its jobs that have ended.
        preparing_seconds: time for which those were prepared before that, while none of them was on
            the device.
        counted_until: until when the stages of those jobs are counted. Not stored: after a restart
            no job is in a stage.
        busy_seconds: time during which at least one of its jobs ran, without the present stretch.
        busy_since: start of the present stretch in which at least one of its jobs runs.
        idle_since: since when it is open or active with nothing queued or running.
        cancelled: whether the user cancelled it.
        timed_out: whether its queued jobs are ending at its maximum time. Not stored: after a
            restart its deadline is due again.
        transitions: each state that it entered, and the time.
        queued: how many of its jobs are queued.
        running: how many of its jobs are running.
        cache_hits: how often its jobs found something in their worker's caches.
        cache_misses: how often they did not.
        cache_seconds_saved: time that it had taken to make what was found.
        name: by which its owner recognises it; empty if it has none.
        place: the notebook or the script that opened it; empty if not known.
        processes: those known to use it (`wire/processes`).
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
    cancelled: bool = False
    timed_out: bool = False
    started_at: datetime | None = None
    activated_at: datetime | None = None
    closed_at: datetime | None = None
    last_job_started: datetime | None = None
    last_job_completed: datetime | None = None
    idle_since: datetime | None = None
    used_seconds: float = 0.0
    on_device_seconds: float = 0.0
    preparing_seconds: float = 0.0
    counted_until: datetime | None = None
    busy_seconds: float = 0.0
    busy_since: datetime | None = None
    transitions: tuple[tuple[SessionState, datetime], ...] = ()
    queued: int = 0
    running: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    cache_seconds_saved: float = 0.0
    name: str = ""
    place: str = ""
    processes: tuple[str, ...] = ()
    revision: int = 0

    @property
    def holds_device(self) -> bool:
        """Whether only its own jobs may start on its backend (IBM: dedicated mode)."""
        return self.mode is Mode.DEDICATED and self.state in _ACTIVE

    @property
    def idles(self) -> bool:
        """Whether it is active, with nothing queued or running."""
        return self.state is SessionState.ACTIVE and self.idle_since is not None

    @property
    def prioritised(self) -> bool:
        """Whether its jobs go ahead of the normal queue."""
        return self.state is SessionState.ACTIVE

    def usage_seconds(self, now: datetime) -> float:
        """Return the usage so far: a session's active time, a batch's time on the device."""
        if self.mode is Mode.BATCH or self.activated_at is None or self.state not in _ACTIVE:
            return self.used_seconds
        # The machine's clock may have been set back since.
        return self.used_seconds + max(0.0, (now - self.activated_at).total_seconds())

    def idle_seconds(self, now: datetime) -> float:
        """Return how much of its usage passed while none of its jobs ran."""
        if self.mode is Mode.BATCH:
            return 0.0
        running = 0.0 if self.busy_since is None else (now - self.busy_since).total_seconds()
        return max(0.0, self.usage_seconds(now) - self.busy_seconds - max(0.0, running))


_STARTING = frozenset({SessionState.OPEN, SessionState.INACTIVE, SessionState.ACTIVE})
_ACTIVE = frozenset(
    {SessionState.ACTIVE, SessionState.PENDING_INACTIVE, SessionState.PENDING_CLOSED}
)


class Ended(NamedTuple):
    """How and when a change of a session ends all of its queued jobs."""

    state: JobState
    reason: str
    when: datetime


class Step(NamedTuple):
    """A session after a change, and how its queued jobs end, if they do."""

    session: Session
    ended: Ended | None = None


class NotAcceptingJobsError(ValueError):
    """The session accepts no more jobs."""


def create(session: Session) -> Session:
    """Return a new session with its first transition, and its first timer running."""
    first = (session.state, session.created_at)
    return replace(session, transitions=(first,), idle_since=session.created_at)


def submit(
    session: Session, process: str = "", has_ended: Callable[[str], bool] = lambda _name: False
) -> Session:
    """Return the session with one more queued job.

    Args:
        session: the session.
        process: the process that sent the job; empty if it is not known.
        has_ended: whether a process is known to have ended. Asked only where there are too many to
            remember.

    Raises:
        NotAcceptingJobsError: the session accepts no more jobs.
    """
    if not session.accepting_jobs:
        raise NotAcceptingJobsError(session.id)
    session = replace(session, queued=session.queued + 1, idle_since=None)
    if not process or process in session.processes:
        return session
    return replace(session, processes=_remembered(session.processes, process, has_ended))


def _remembered(
    known: tuple[str, ...], process: str, has_ended: Callable[[str], bool]
) -> tuple[str, ...]:
    """Return the processes of a session with one more.

    A pool of workers that come and go must not crowd out one that lives: the session would look
    abandoned. So those that have ended are forgotten first. If too many live, it can never look so.
    """
    if len(known) >= MOST_PROCESSES:
        known = tuple(each for each in known if not has_ended(each))
    if len(known) >= MOST_PROCESSES:
        first = tuple(each for each in known if each != TOO_MANY_PROCESSES)
        known = (TOO_MANY_PROCESSES, *first[: MOST_PROCESSES - 2])
    return (*known, process)


def give_up_device(session: Session, now: datetime) -> Session:
    """Make an idle session inactive before its time, since no program uses it now.

    Raises:
        InvalidTransitionError: it is not idle.
    """
    if not session.idles:
        raise InvalidTransitionError(f"session {session.id} is not idle ({session.state})")
    return _enter(session, SessionState.INACTIVE, now, ABANDONED_REASON)


def start(session: Session, now: datetime) -> Session:
    """Start one of its queued jobs; this activates an open or inactive session."""
    if not session.queued or not may_start(session):
        raise InvalidTransitionError(f"no job can start in session {session.id} ({session.state})")
    session = replace(
        session,
        queued=session.queued - 1,
        running=session.running + 1,
        started_at=session.started_at or now,
        last_job_started=now,
        busy_since=session.busy_since or now,
        idle_since=None,
    )
    if session.state is not SessionState.ACTIVE:
        reason = "" if session.accepting_jobs else session.state_reason
        session = _enter(replace(session, activated_at=now), SessionState.ACTIVE, now, reason)
    # Of a closed session this may be the last one.
    return _settle(session, now)


def may_start(session: Session) -> bool:
    """Whether one of its queued jobs may start now: not while a transition is pending."""
    return session.state in _STARTING and not session.cancelled and not session.timed_out


def is_cancelled(session: Session) -> bool:
    """Whether its user has cancelled it, even if not all of its queued jobs have ended yet."""
    return session.cancelled


def requeue(session: Session, now: datetime) -> Session:
    """Put a running job back into the queue, since its worker or the runtime died."""
    session = _one_runs_no_more(session, now)
    session = replace(session, queued=session.queued + 1)
    if session.state is SessionState.PENDING_CLOSED:
        # It only waited for running jobs; this one has to run again before the session can close.
        session = _enter(session, SessionState.ACTIVE, now, session.state_reason)
    return _settle(session, now)


def drop(session: Session, now: datetime, count: int = 1) -> Session:
    """Remove some of its queued jobs, which ended without having run."""
    if session.queued < count:
        raise InvalidTransitionError(f"no job of session {session.id} is queued")
    return _settle(replace(session, queued=session.queued - count), now)


def end(session: Session, now: datetime, cost: Cost = NOTHING) -> Session:
    """Remove one of its running jobs, which ended.

    Args:
        session: the job's session.
        now: when it ended.
        cost: what the job cost.
    """
    session = _one_runs_no_more(session, now)
    of_session = 0.0 if session.mode is Mode.BATCH else cost.free_seconds
    session = replace(
        session,
        busy_seconds=session.busy_seconds - of_session,
        on_device_seconds=session.on_device_seconds + cost.device_seconds,
        preparing_seconds=session.preparing_seconds + cost.preparing_seconds,
        counted_until=max(
            (each for each in (session.counted_until, cost.counted_until) if each is not None),
            default=None,
        ),
        last_job_completed=now,
        used_seconds=session.used_seconds
        + (cost.device_seconds if session.mode is Mode.BATCH else -of_session),
    )
    return _settle(session, now)


def withdraw(
    session: Session, now: datetime, before: Session, started_at: datetime | None = None
) -> Session:
    """Remove one of its jobs as if it had never come, since it could not be stored.

    The session is idle since the same time as before the job, and the job counts neither as its
    last job nor as busy time.

    Args:
        session: the job's session.
        now: the time.
        before: the session before the job came.
        started_at: when the job started; None if it is queued.
    """
    completed = session.last_job_completed
    undisturbed = completed == before.last_job_completed
    if started_at is None:
        if not session.queued:
            raise InvalidTransitionError(f"no job of session {session.id} is queued")
        session = replace(session, queued=session.queued - 1)
    elif session.running > 1:
        session = replace(session, running=session.running - 1)
    else:
        # Other jobs may have run in the same stretch, which lasts until the last of them ended.
        since = session.busy_since
        until = since if undisturbed or completed is None else completed
        session = _one_runs_no_more(session, now if until is None else until)
    if started_at is not None and session.last_job_started == started_at:
        session = replace(session, last_job_started=before.last_job_started)
    undisturbed = undisturbed and session.activated_at == before.activated_at
    if undisturbed and not session.queued and not session.running:
        session = replace(session, idle_since=before.idle_since)
    return _settle(session, now)


def refund(session: Session, cost: Cost) -> Session:
    """Take back what an ended job cost, since its result was lost."""
    of_batch = cost.device_seconds if session.mode is Mode.BATCH else 0.0
    return replace(
        session,
        on_device_seconds=max(0.0, session.on_device_seconds - cost.device_seconds),
        preparing_seconds=max(0.0, session.preparing_seconds - cost.preparing_seconds),
        used_seconds=max(0.0, session.used_seconds - of_batch),
    )


def close(session: Session, now: datetime) -> Session:
    """Accept no more jobs; present ones go on (PATCH accepting_jobs=false). Idempotent."""
    if not session.accepting_jobs:
        return session
    return _settle(replace(session, accepting_jobs=False, state_reason="closed by its user"), now)


def begin_to_cancel(session: Session) -> Session:
    """Accept no more jobs and start none; the queued ones are cancelled next."""
    return replace(session, accepting_jobs=False, cancelled=True, state_reason=CANCELLED_BY_USER)


def begin_to_time_out(session: Session) -> Session:
    """Accept no more jobs and start none; `tick` ends the rest of the queue, in its own time."""
    return replace(
        session, accepting_jobs=False, timed_out=True, state_reason=_max_time_reason(session)
    )


def cancel(session: Session, now: datetime) -> Step:
    """Accept no more jobs, cancel queued ones, let running ones finish (DELETE .../close)."""
    if session.state is SessionState.CLOSED:
        return Step(session)
    session = begin_to_cancel(session)
    return _drop_queued(session, JobState.CANCELLED, CANCELLED_REASON, now)


def next_deadline(session: Session) -> datetime | None:
    """Return when `tick` is due next if nothing else happens; None if no timer is running."""
    return min((when for when, _ in _deadlines(session)), default=None)


def gives_way_at(session: Session) -> datetime | None:
    """Return when a session that has its backend to itself gives way, if no more jobs come.

    A session with jobs goes on after they end, so it only has a latest time.
    """
    return next_deadline(session) if session.idles else max_time_end(session)


def is_past_max_time(session: Session, now: datetime) -> bool:
    """Whether the time since the start of its first job is over."""
    end = max_time_end(session)
    return end is not None and now >= end


def max_time_end(session: Session) -> datetime | None:
    """Return when its maximum time is over; None before its first job has started."""
    if session.started_at is None:
        return None
    return session.started_at + timedelta(seconds=session.max_seconds)


def tick(session: Session, now: datetime) -> Step:
    """Apply all timers that have run out by `now`, in order, each at its own time."""
    ended: Ended | None = None
    while due := sorted(
        (deadline for deadline in _deadlines(session) if deadline[0] <= now),
        key=lambda deadline: deadline[0],
    ):
        when, what = due[0]
        # A timer may be set again for a time in the past: a job that ran past the maximum time
        # has to run again. It then runs out after the last transition.
        session, dropped = what(session, max(when, session.transitions[-1][1]))
        # Happens once at most: no job is queued meanwhile.
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
    """Update the state after a change of the number of jobs."""
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
    """Count one running job less; the last one ends a busy stretch."""
    if not session.running:
        raise InvalidTransitionError(f"no job of session {session.id} is running")
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
    """Return all running timers, each with what happens when it runs out."""
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
