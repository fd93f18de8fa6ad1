"""A job and its transitions: pure values; the time is an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from qsession_widget.runtime.model.errors import InvalidTransitionError
from qsession_widget.wire.states import JOB_FAILED, JobState, Stage

if TYPE_CHECKING:
    from datetime import datetime

MAX_ATTEMPTS = 2
"""How often a job is started: once more after its worker, or the whole runtime, has died."""


MAX_HOST_LOSSES = 5
"""How often a job may lose the machine that it runs on, for which it is hardly to blame."""


class Job(msgspec.Struct, frozen=True, gc=False):
    """One job, without its payload and result.

    Attributes:
        preparing_at: when a worker got it, in its last attempt. This and the next two are when
            each stage began; it is on the device from its first simulation to the end of its last.
        attempts: how often a worker got it. An attempt that the runtime's own shutdown cut off
            does not count.
        prepared_at: when it was prepared and asked for the device; until `on_device_at` it waited
            for a job that was on the device.
        interruptions: how often the runtime itself died while a worker had the job.
        busy_seconds: time that the simulation itself took.
        cost_seconds: `cost` of the request: its own limit of running time, or None.
        optimization_level: how a circuit that is not in the device's instruction set is
            transpiled (0 to 3).
        pubs: how many pubs it has; None where that is unknown, as for jobs of an older release.
        role: what its quantum program stands for, such as "estimator"; None if it does not say.
        expected_seconds: how long it runs in all, as its worker estimates for a long one.
        expected_by: what that is known by.
        result_summary: JSON of its result in few characters; None for private jobs, and where there
            is none.
        number: its place among all jobs of the store, in order of arrival; 0 where the query did
            not ask for it.
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
    expected_seconds: float | None = None
    expected_by: str | None = None
    role: str | None = None
    result_summary: str | None = None
    number: int = 0

    def start(self, now: datetime) -> Job:
        """Return the job as a worker gets it.

        Raises:
            InvalidTransitionError: the job is not queued.
        """
        self._check(JobState.QUEUED, "start")
        return replace(
            self,
            state=JobState.RUNNING,
            started_at=now,
            preparing_at=now,
            attempts=self.attempts + 1,
        )

    def prepare(self, now: datetime) -> Job:
        """Return the job as it waits for the device, prepared.

        Raises:
            InvalidTransitionError: the job is not running.
        """
        self._check(JobState.RUNNING, "be prepared")
        return replace(self, prepared_at=now)

    def reach(self, stage: Stage, now: datetime) -> Job:
        """Return the job at a further stage.

        Raises:
            InvalidTransitionError: the job is not running.
        """
        self._check(JobState.RUNNING, f"reach the stage {stage}")
        if stage is Stage.ON_DEVICE:
            return replace(self, on_device_at=now)
        return replace(self, post_processing_at=now)

    def expect_end(self, until: datetime, by: str) -> Job:
        """Return the job with an estimate of its end.

        Raises:
            InvalidTransitionError: the job is not running.
        """
        self._check(JobState.RUNNING, "have its end estimated")
        return replace(self, expected_seconds=_seconds(self.started_at, until), expected_by=by)

    def without_stages(self) -> Job:
        """Return the job as if it had reached no stage, as when its worker dies."""
        return replace(
            self,
            prepared_at=None,
            on_device_at=None,
            post_processing_at=None,
            expected_seconds=None,
            expected_by=None,
        )

    @property
    def stage(self) -> Stage | None:
        """The stage of a running job, None for any other."""
        if self.state is not JobState.RUNNING:
            return None
        if self.post_processing_at is not None:
            return Stage.POST_PROCESSING
        return Stage.PREPARING if self.on_device_at is None else Stage.ON_DEVICE

    @property
    def device_seconds(self) -> float:
        """How long it was on the device; 0 until it has ended.

        Where no stage was reported (by a program that reports none, or for jobs of an older
        release), it is the whole running time.
        """
        since, until = self.on_device_at, self.post_processing_at or self.ended_at
        if since is None and (self.preparing_at is None or self.state is JobState.COMPLETED):
            since = self.started_at
        return _seconds(since, until) if self.ended_at is not None else 0.0

    @property
    def running_seconds(self) -> float:
        """How long it had a worker, in its last attempt; 0 until it has ended."""
        return _seconds(self.started_at, self.ended_at)

    @property
    def preparing_seconds(self) -> float:
        """How long it was prepared before it went on the device; 0 until it has ended.

        The time that it then waited for the device does not count.
        """
        if self.ended_at is None or (self.on_device_at is None and self.device_seconds):
            return 0.0
        return _seconds(self.preparing_at, self.prepared_at or self.on_device_at or self.ended_at)

    def requeue(self, *, attempts: int, interruptions: int | None = None) -> Job:
        """Return the job as it goes back to its queue: its worker, or the runtime, died.

        Raises:
            InvalidTransitionError: the job is not running.
        """
        self._check(JobState.RUNNING, "go back to its queue")
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
        interruptions: int | None = None,
        crashed: bool = False,
        result_summary: str | None = None,
    ) -> Job:
        """Return the job in a final state.

        Args:
            state: the final state.
            now: the time.
            reason: what the user reads of a job that failed or was cancelled.
            reason_code: the code that goes with it.
            busy_seconds: time that the simulation itself took.
            interruptions: how often the runtime has died during the job, where that has changed.
            crashed: its worker or the runtime died, so that its stages cost nothing.
            result_summary: of its result; nothing is kept of a private job's.

        Raises:
            InvalidTransitionError: the job is final already, or the state is not.
        """
        if self.state.final or not state.final:
            raise InvalidTransitionError(f"job {self.id} is {self.state} and cannot end as {state}")
        return replace(
            self.without_stages() if crashed else self,
            state=state,
            ended_at=now,
            reason=reason,
            reason_code=reason_code,
            busy_seconds=busy_seconds,
            interruptions=self.interruptions if interruptions is None else interruptions,
            result_summary=None if self.private else result_summary,
        )

    def lose_result(self, reason: str) -> Job:
        """Return an ended job as Failed: its result can never be stored. It costs nothing.

        Raises:
            InvalidTransitionError: the job has not ended.
        """
        if not self.state.final:
            raise InvalidTransitionError(f"job {self.id} is {self.state} and has no result to lose")
        return replace(
            self.without_stages(),
            state=JobState.FAILED,
            reason=reason,
            reason_code=JOB_FAILED,
            result_summary=None,
        )

    def _check(self, state: JobState, what: str) -> None:
        if self.state is not state:
            raise InvalidTransitionError(f"job {self.id} is {self.state} and cannot {what}")


def _seconds(since: datetime | None, until: datetime | None) -> float:
    return 0.0 if since is None or until is None else max(0.0, (until - since).total_seconds())
