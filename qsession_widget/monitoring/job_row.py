"""One job of a session, as its monitor saw it: an immutable value that any view can draw."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING

from msgspec import UNSET

from qsession_widget.monitoring.redaction import without_secrets
from qsession_widget.wire.documents import (
    EstimateDocument,
    JobExtrasDocument,
    JobStateDocument,
    ProgramDocument,
    known,
)
from qsession_widget.wire.fields import program_word
from qsession_widget.wire.results.summary import Summary
from qsession_widget.wire.states import FINAL_JOB_STATES, PANEL_STAGES, JobState

if TYPE_CHECKING:
    from msgspec import UnsetType

    from qsession_widget.client.jobs.job_contents import Contents
    from qsession_widget.wire.documents import JobDocument, StagesDocument

SUB_STATUSES = tuple(stage.value for stage in PANEL_STAGES)
"""Stages of a running job, in order; only the local runtime reports them."""


@dataclass(frozen=True)
class Stages:
    """When each stage of a job began; None if it has not begun or is not known."""

    preparing_at: datetime | None = None
    on_device_at: datetime | None = None
    post_processing_at: datetime | None = None


@dataclass(frozen=True)
class Estimate:
    """When a queued job may start.

    Attributes:
        starts_at: on the service's clock.
        basis: on what the service bases the estimate, in its words.
    """

    starts_at: datetime
    basis: str


@dataclass(frozen=True)
class JobRow:
    """One job. Times are None if they are not known.

    Attributes:
        role: what the quantum program of an executor job stands for, such as "estimator"; None if
            that is not known.
        state: `state.status` of the job's JSON.
        reason: why it failed or was cancelled.
        pubs: how many it has, None if that is not known.
        sub_status: one of `SUB_STATUSES` while it runs, None if the service does not send it.
        stages: None if the service sends none.
        estimate: None unless it is queued and the service sends one.
        expected_until: when it ends, as the service expects of a job that runs for long.
        expected_by: what that is known by, in the service's words; empty if it does not say.
        summary: its result in few characters, if the service sends that, or if this process has
            fetched it.
        position: its place among all jobs that wait for the device, 1 for the next; None likewise.
    """

    id: str
    program_id: str
    state: str
    created_at: datetime | None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    tags: tuple[str, ...] = ()
    pubs: int | None = None
    sub_status: str | None = None
    stages: Stages | None = None
    estimate: Estimate | None = None
    expected_until: datetime | None = None
    expected_by: str = ""
    position: int | None = None
    summary: Summary | None = None
    role: str | None = None

    @classmethod
    def of(
        cls,
        document: JobDocument,
        now: datetime | None = None,
        contents: Contents | None = None,
    ) -> JobRow:
        """Build the row of a job.

        Args:
            document: the job as the service sent it. Only the local runtime sends `qsession`.
            now: the service's time when it sent this; without it there is no estimate.
            contents: what this process knows of its inputs.
        """
        extras = document.qsession or JobExtrasDocument()
        state = document.state or JobStateDocument()
        pubs, role = contents or (None, None)
        program = document.program or ProgramDocument()
        return cls(
            id=document.id,
            program_id=program.id or "",
            state=state.status or document.status or "",
            created_at=parse_time(document.created),
            started_at=parse_time(extras.running_at),
            ended_at=parse_time(extras.finished_at),
            reason=without_secrets(state.reason) if state.reason else None,
            tags=tuple(document.tags or ()),
            pubs=pubs if extras.pubs is UNSET else extras.pubs,
            sub_status=_sub_status(state, extras),
            stages=_stages(extras.stages),
            estimate=_estimate(state, extras, now),
            expected_until=_expected_until(state, extras, document),
            expected_by=without_secrets(known(extras.estimated_by) or ""),
            position=_position(state, extras),
            role=role if extras.role is UNSET else extras.role,
            summary=Summary.of(extras.result_summary),
        )

    @property
    def program(self) -> str:
        """The word for what it runs."""
        return program_word(self.program_id, self.role)

    @property
    def final(self) -> bool:
        """Whether the job will never change again."""
        return self.state in FINAL_JOB_STATES

    def duration_seconds(self, now: datetime) -> float | None:
        """Return how long it ran, or has been running at `now`; None if that is not known."""
        if self.started_at is None:
            return None
        if self.ended_at is None and self.final:
            return None
        return ((self.ended_at or now) - self.started_at).total_seconds()


def _sub_status(state: JobStateDocument, extras: JobExtrasDocument) -> str | None:
    found = extras.sub_status or None
    return found if state.status == JobState.RUNNING and found in SUB_STATUSES else None


def _stages(stages: StagesDocument | UnsetType) -> Stages | None:
    if stages is UNSET:
        return None
    found = Stages(*(parse_time(getattr(stages, f"{name}_at")) for name in SUB_STATUSES))
    return None if found == Stages() else found


def _estimate(
    state: JobStateDocument, extras: JobExtrasDocument, now: datetime | None
) -> Estimate | None:
    estimate = extras.estimate or EstimateDocument()
    seconds = seconds_of(estimate.start_seconds)
    if seconds is None or now is None or state.status != JobState.QUEUED:
        return None
    return Estimate(now + timedelta(seconds=seconds), without_secrets(estimate.basis or ""))


def _expected_until(
    state: JobStateDocument, extras: JobExtrasDocument, document: JobDocument
) -> datetime | None:
    started = parse_time(extras.running_at)
    seconds = seconds_of(document.estimated_running_time_seconds)
    if started is None or seconds is None or state.status != JobState.RUNNING:
        return None
    return started + timedelta(seconds=seconds)


def _position(state: JobStateDocument, extras: JobExtrasDocument) -> int | None:
    found = extras.queue_position or None
    return found if state.status == JobState.QUEUED else None


def parse_time(text: str | UnsetType | None) -> datetime | None:
    """Read a time of the wire; None for a missing one, and for text that is not a time."""
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def seconds_of(value: object) -> float | None:
    """Return a value if it is a valid duration, otherwise None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if isfinite(value) and value >= 0 else None
