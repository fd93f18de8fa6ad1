"""A job as the runtime knows it, and how it changes: pure values, the time is handed in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from datetime import datetime

MAX_ATTEMPTS = 2
"""How often a job is started when its worker dies under it."""


@dataclass(frozen=True)
class Job:
    """One job, without its payload and result.

    Attributes:
        attempts: how often a worker had it; one that the runtime's own end took away from its
            worker does not count.
        busy_seconds: time that the simulation itself took.
        cost_seconds: `cost` of the request: its own limit of running time, or None.
        optimization_level: how a circuit that is not in the device's instruction set is
            transpiled (0 to 3).
    """

    id: str
    owner: str
    backend: str
    program_id: str
    created_at: datetime
    session_id: str | None = None
    state: JobState = JobState.QUEUED
    reason: str | None = None
    reason_code: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0
    busy_seconds: float | None = None
    cost_seconds: int | None = None
    optimization_level: int = 1
    private: bool = False
    image: str | None = None
    log_level: str | None = None
    tags: tuple[str, ...] = ()
    revision: int = 0

    def start(self, now: datetime) -> Job:
        """Give the job as it is once a worker has it."""
        return replace(self, state=JobState.RUNNING, started_at=now, attempts=self.attempts + 1)

    def requeue(self, *, attempts: int) -> Job:
        """Give the job as it is after its worker, or the whole runtime, died under it."""
        return replace(self, state=JobState.QUEUED, started_at=None, attempts=attempts)

    def end(
        self,
        state: JobState,
        now: datetime,
        *,
        reason: str | None = None,
        reason_code: int | None = None,
        busy_seconds: float | None = None,
    ) -> Job:
        """Give the job as it is for ever after."""
        if self.state.final:
            raise ValueError(f"job {self.id} is {self.state} and cannot become {state}")
        return replace(
            self,
            state=state,
            ended_at=now,
            reason=reason,
            reason_code=reason_code,
            busy_seconds=busy_seconds,
        )
