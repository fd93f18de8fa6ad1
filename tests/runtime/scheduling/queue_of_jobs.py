"""A scheduler for tests, whose jobs have short names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from qsession_widget.runtime.model.lifecycle import Session
from qsession_widget.runtime.scheduling.scheduler import Scheduler
from qsession_widget.wire.states import Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Iterable

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = NOON.date()
BETWEEN = (SessionState.PENDING_INACTIVE, SessionState.PENDING_CLOSED)
BEFORE = (SessionState.OPEN, SessionState.INACTIVE)


def session(
    name: str,
    state: SessionState = SessionState.ACTIVE,
    mode: Mode = Mode.DEDICATED,
    *,
    device: str = "manila",
    owner: str = "o",
) -> Session:
    return Session(
        id=name,
        owner=owner,
        backend=device,
        mode=mode,
        max_seconds=28_800,
        interactive_seconds=60,
        active_seconds=28_800,
        first_job_seconds=1_800,
        created_at=NOON,
        state=state,
    )


class Queue:
    """A scheduler whose jobs have short names."""

    def __init__(self, *sessions: Session, lanes: int = 1, shared: bool = False) -> None:
        self.inside = Scheduler(lanes=lanes, shared=shared)
        self.now = NOON
        self.sessions: dict[str, Session] = {}
        for each in sessions:
            self.put(each)

    def put(self, each: Session) -> None:
        self.sessions[each.id] = each
        self.inside.update(each, self.now)

    def becomes(self, name: str, state: SessionState) -> None:
        closed_at = self.now if state is SessionState.CLOSED else None
        self.put(replace(self.sessions[name], state=state, closed_at=closed_at))

    def waits(
        self, *jobs: str, device: str = "manila", owner: str = "o", session: str | None = None
    ) -> None:
        for job in jobs:
            self.inside.wait(job, device=device, owner=owner, session_id=session)

    def starts(self, at_most: int = 9) -> list[str]:
        found: list[str] = []
        while len(found) < at_most and (job := self.inside.start_next(self.now)) is not None:
            found.append(job)
        return found

    def ends(self, *jobs: str, seconds: float = 0.0) -> None:
        self.now += timedelta(seconds=seconds)
        for job in jobs:
            self.inside.leave(job, self.now, used_seconds=seconds, completed=True)

    def one_after_the_other(self, seconds: float = 0.0) -> list[str]:
        """Run all jobs one after the other."""
        found: list[str] = []
        while started := self.starts(1):
            found += started
            self.ends(*started, seconds=seconds)
        return found

    def places(self, jobs: Iterable[str]) -> list[str]:
        return sorted(jobs, key=lambda job: self.inside.position(job) or 0)
