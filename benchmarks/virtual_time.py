"""A runtime without processes: scheduler and lifecycle on a clock that jumps to the next event."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from qsession_widget.runtime.control.timers import Timers
from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.cost import Cost
from qsession_widget.runtime.model.lifecycle import Session
from qsession_widget.runtime.scheduling.scheduler import Scheduler
from qsession_widget.wire.states import Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass(eq=False)
class Job:
    """A job: how long each of its stages takes, in seconds, and what follows from its end."""

    kind: str
    device: str
    owner: str
    seconds: float
    session_id: str | None = None
    preparing_seconds: float = 0.0
    post_processing_seconds: float = 0.0
    then: Callable[[], None] | None = None
    submitted: float = 0.0
    on_device: float = 0.0


class World:
    """Owners, sessions and jobs. Times are seconds since the beginning.

    Args:
        shared: the policy: whether sessions only go first instead of having devices to themselves.
        lanes: how many jobs of a device may be in work at once.
        interactive_seconds: how long a session may idle.
    """

    def __init__(self, *, shared: bool, lanes: int = 1, interactive_seconds: int = 60) -> None:
        self.now = 0.0
        self.waits: defaultdict[str, list[float]] = defaultdict(list)
        self.device_seconds: defaultdict[str, float] = defaultdict(float)
        self.ended = self.started = self.events = 0
        self._scheduler = Scheduler(shared=shared, lanes=lanes)
        self._interactive_seconds = interactive_seconds
        self._timers = Timers()
        self._sessions: dict[str, Session] = {}
        self._jobs: dict[str, Job] = {}
        self._queued: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._names = itertools.count()
        self._ticker: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, when: float, do: Callable[[], None]) -> None:
        """Plan something."""
        heapq.heappush(self._ticker, (when, next(self._names), do))

    def open(self, device: str, owner: str, mode: Mode) -> str:
        """Open a session, and return its id."""
        session = Session(
            id=f"s{next(self._names)}",
            owner=owner,
            backend=device,
            mode=mode,
            max_seconds=28_800,
            interactive_seconds=self._interactive_seconds,
            active_seconds=28_800,
            first_job_seconds=1_800,
            created_at=self._instant,
        )
        self._put(lifecycle.create(session))
        return session.id

    def close(self, session_id: str) -> None:
        """Close a session, if it has not closed by itself."""
        session = self._sessions.get(session_id)
        if session is not None:
            self._put(lifecycle.close(session, self._instant))

    def submit(self, job: Job) -> None:
        """Take a job; one of a session that is over is dropped."""
        name = f"j{next(self._names)}"
        if job.session_id is not None:
            session = self._sessions.get(job.session_id)
            if session is None or not session.accepting_jobs:
                return
            self._put(lifecycle.submit(session))
            self._queued[session.id][name] = None
        job.submitted = self.now
        self._jobs[name] = job
        self._scheduler.wait(name, device=job.device, owner=job.owner, session_id=job.session_id)

    def run(self, until: float = float("inf")) -> None:
        """Let time pass until no event is planned."""
        self._dispatch()
        while True:
            timer = self._timers.next()
            due = float("inf") if timer is None else (timer - START).total_seconds()
            following = min(due, self._ticker[0][0] if self._ticker else float("inf"))
            if following >= until or following == float("inf"):
                return
            self.now = max(self.now, following)
            self.events += 1
            if due <= following:
                name = self._timers.take_due(self._instant)
                if name is not None:
                    self._tick(name)
            else:
                heapq.heappop(self._ticker)[2]()
            self._dispatch()

    @property
    def _instant(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def _put(self, session: Session) -> None:
        if session.state is SessionState.CLOSED:
            self._sessions.pop(session.id, None)
        else:
            self._sessions[session.id] = session
        self._timers.set(session.id, lifecycle.next_deadline(session))
        self._scheduler.update(session, self._instant)

    def _tick(self, session_id: str) -> None:
        session, ended = lifecycle.tick(self._sessions[session_id], self._instant)
        if ended is not None:
            for name in self._queued.pop(session_id):
                self._scheduler.leave(name, self._instant)
                del self._jobs[name]
        self._put(session)

    def _dispatch(self) -> None:
        while (name := self._scheduler.start_next(self._instant)) is not None:
            job = self._jobs[name]
            self.started += 1
            if job.session_id is not None:
                session = self._sessions[job.session_id]
                del self._queued[session.id][name]
                self._put(lifecycle.start(session, self._instant))
            self.at(self.now + job.preparing_seconds, partial(self._prepared, name))

    def _prepared(self, name: str) -> None:
        if self._scheduler.ask_device(name):
            self._on_device(name)

    def _on_device(self, name: str) -> None:
        job = self._jobs[name]
        job.on_device = self.now
        self.waits[job.kind].append(self.now - job.submitted - job.preparing_seconds)
        self.at(self.now + job.seconds, partial(self._off_device, name))

    def _off_device(self, name: str) -> None:
        following = self._scheduler.release(name)
        if following is not None:
            self._on_device(following)
        job = self._jobs[name]
        if job.post_processing_seconds:
            self.at(self.now + job.post_processing_seconds, partial(self._end, name))
        else:
            self._end(name)

    def _end(self, name: str) -> None:
        job = self._jobs.pop(name)
        self.ended += 1
        self.device_seconds[job.owner] += job.seconds
        self._scheduler.leave(name, self._instant, used_seconds=job.seconds, completed=True)
        if job.session_id is not None:
            session = self._sessions[job.session_id]
            self._put(lifecycle.end(session, self._instant, Cost(job.seconds)))
        if job.then is not None:
            job.then()
