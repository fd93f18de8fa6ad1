"""A job as the runtime knows it, and how it changes: pure values, the time is handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from qsession_widget.wire.states import JobState, Stage

if TYPE_CHECKING:
    from datetime import datetime

MAX_ATTEMPTS = 2
"""How often a job is started when its worker dies under it, or the whole runtime does."""


class Job(msgspec.Struct, frozen=True, gc=False):
    """One job, without its payload and result.

    Attributes:
        preparing_at: when a worker had it, in its last attempt; with the next two, when each stage
            began. On the device it is from its first simulation to the end of its last one.
        attempts: how often a worker had it; one that the runtime's own end took away from its
            worker does not count.
        prepared_at: when it was prepared, and asked for the device; it had to wait from then until
            `on_device_at` where another job was on it.
        interruptions: how often the runtime itself died while a worker had it.
        busy_seconds: time that the simulation itself took.
        cost_seconds: `cost` of the request: its own limit of running time, or None.
        optimization_level: how a circuit that is not in the device's instruction set is
            transpiled (0 to 3).
        pubs: how many pubs it has; None where that is not known, as of a job of an older release.
        number: its place among all jobs of the store as they came; 0 where that was not asked for.
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
    preparing_at: datetime | None = None
    on_device_at: datetime | None = None
    post_processing_at: datetime | None = None
    ended_at: datetime | None = None
    prepared_at: datetime | None = None
    attempts: int = 0
    interruptions: int = 0
    busy_seconds: float | None = None
    cost_seconds: int | None = None
    optimization_level: int = 1
    private: bool = False
    image: str | None = None
    log_level: str | None = None
    tags: tuple[str, ...] = ()
    pubs: int | None = None
    revision: int = 0
    number: int = 0

    def start(self, now: datetime) -> Job:
        """Give the job as it is once a worker has it."""
        return replace(
            self,
            state=JobState.RUNNING,
            started_at=now,
            preparing_at=now,
            attempts=self.attempts + 1,
        )

    def reach(self, stage: Stage, now: datetime) -> Job:
        """Give the job as it is from a further stage on."""
        if stage is Stage.ON_DEVICE:
            return replace(self, on_device_at=now)
        return replace(self, post_processing_at=now)

    def without_stages(self) -> Job:
        """Give the job as if it had never come to anything, as when a worker dies under it."""
        return replace(self, prepared_at=None, on_device_at=None, post_processing_at=None)

    @property
    def stage(self) -> Stage | None:
        """How far it is while it runs."""
        if self.state is not JobState.RUNNING:
            return None
        if self.post_processing_at is not None:
            return Stage.POST_PROCESSING
        return Stage.PREPARING if self.on_device_at is None else Stage.ON_DEVICE

    @property
    def device_seconds(self) -> float:
        """How long it was on the device; 0 until it has ended.

        Where no stage was told (a program that tells none, or a job of an older release) it is the
        whole running time.
        """
        since, until = self.on_device_at, self.post_processing_at or self.ended_at
        if since is None and (self.preparing_at is None or self.state is JobState.COMPLETED):
            since = self.started_at
        return _seconds(since, until) if self.ended_at is not None else 0.0

    @property
    def running_seconds(self) -> float:
        """For how long it had a worker, in its last attempt; 0 until it has ended."""
        return _seconds(self.started_at, self.ended_at)

    @property
    def preparing_seconds(self) -> float:
        """How long it was prepared before it came on the device; 0 until it has ended.

        For how long it then waited for the device, because another job was on it, does not count.
        """
        if self.ended_at is None or (self.on_device_at is None and self.device_seconds):
            return 0.0
        return _seconds(self.preparing_at, self.prepared_at or self.on_device_at or self.ended_at)

    def requeue(self, *, attempts: int, interruptions: int | None = None) -> Job:
        """Give the job as it is after its worker, or the whole runtime, died under it."""
        return replace(
            self.without_stages(),
            state=JobState.QUEUED,
            started_at=None,
            preparing_at=None,
            attempts=attempts,
            interruptions=self.interruptions if interruptions is None else interruptions,
        )

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


def _seconds(since: datetime | None, until: datetime | None) -> float:
    return 0.0 if since is None or until is None else max(0.0, (until - since).total_seconds())
