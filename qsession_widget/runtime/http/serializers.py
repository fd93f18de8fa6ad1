"""Builds the JSON documents of sessions, jobs and backends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET, UnsetType, json

from qsession_widget.wire.documents import (
    CacheDocument,
    EstimateDocument,
    HolderDocument,
    JobDocument,
    JobExtrasDocument,
    JobMetricsDocument,
    JobStateDocument,
    JobTimesDocument,
    ProgramDocument,
    ResultSummaryDocument,
    SessionDocument,
    SessionExtrasDocument,
    SessionUsageDocument,
    StagesDocument,
    TransitionDocument,
    UsageDocument,
)
from qsession_widget.wire.states import FINAL_JOB_STATES, JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.control.coordinator import Coordinator, Holder
    from qsession_widget.runtime.device_catalog import Device
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.scheduling.estimates import StartEstimate
    from qsession_widget.runtime.settings import Policy

T = TypeVar("T")

_read_summary = json.Decoder(ResultSummaryDocument).decode


def instant(when: datetime) -> str:
    """Format a time as RFC 3339 in UTC, ending in Z."""
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def instant_or_none(when: datetime | None) -> str | None:
    """Format a time that may not have come yet."""
    return None if when is None else instant(when)


def etag(job: Job) -> str:
    """Return the `ETag` of a job's JSON."""
    return f'"{job.revision}"'


@dataclass(frozen=True)
class Serializer:
    """Builds the documents of sessions and jobs as they are at this moment."""

    clock: Clock
    coordinator: Coordinator

    def session(self, session: Session) -> SessionDocument:
        """Build the document of a session."""
        waits = bool(session.queued) and not session.running
        holder = self.coordinator.holder(session.backend, session.id) if waits else None
        return session_document(
            session,
            now=self.clock.now(),
            rate=self.clock.rate,
            policy=self.coordinator.policy,
            abandoned=self.coordinator.is_abandoned(session),
            gives_way=self.coordinator.gives_way(session),
            holder=holder,
            workers=self.coordinator.slots,
            waits_for_worker=waits and holder is None and not self.coordinator.free,
        )

    def jobs(self, jobs: Sequence[Job]) -> list[JobDocument]:
        """Build the documents of jobs, with their places in the queue."""
        positions = self.coordinator.queue_positions(jobs)
        waiting = {(job.backend, job.session_id) for job in jobs if job.id in positions}
        holders = {place: self.coordinator.holder(*place) for place in waiting}
        return [
            job_document(
                job,
                queue_position=positions.get(job.id),
                estimate=self.coordinator.estimate(job.id) if job.id in positions else None,
                holder=holders[job.backend, job.session_id] if job.id in positions else None,
            )
            for job in jobs
        ]


def session_document(
    session: Session,
    *,
    now: datetime,
    rate: float,
    policy: Policy,
    abandoned: bool = False,
    gives_way: bool = False,
    holder: Holder | None = None,
    workers: int | None = None,
    waits_for_worker: bool = False,
) -> SessionDocument:
    """Build the document of a session, with our own additions under one key."""
    return SessionDocument(
        id=session.id,
        backend_name=session.backend,
        mode=session.mode,
        state=session.state,
        state_reason=session.state_reason,
        accepting_jobs=session.accepting_jobs,
        max_ttl=session.max_seconds,
        active_ttl=session.active_seconds,
        interactive_ttl=session.interactive_seconds,
        elapsed_time=round(session.usage_seconds(now), 6),
        user_id=session.owner,
        started_at=instant_or_none(session.started_at),
        activated_at=instant_or_none(session.activated_at),
        closed_at=instant_or_none(session.closed_at),
        last_job_started=instant_or_none(session.last_job_started),
        last_job_completed=instant_or_none(session.last_job_completed),
        timestamps=[
            TransitionDocument(status=state, timestamp=instant(when))
            for state, when in session.transitions
        ],
        qsession=SessionExtrasDocument(
            now=instant(now),
            rate=rate,
            policy=policy,
            created_at=instant(session.created_at),
            first_job_ttl=session.first_job_seconds,
            queued=session.queued,
            running=session.running,
            usage=SessionUsageDocument(
                on_device_seconds=round(session.on_device_seconds, 6),
                preparing_seconds=round(session.preparing_seconds, 6),
                idle_seconds=round(session.idle_seconds(now), 6),
            ),
            cache=CacheDocument(
                hits=session.cache_hits,
                misses=session.cache_misses,
                seconds_saved=round(session.cache_seconds_saved, 6),
            ),
            name=session.name or None,
            place=session.place or None,
            kernel=("gone" if abandoned else "alive") if session.processes else "unknown",
            gives_way=gives_way,
            held_by=holder_document(holder, session.owner),
            workers=sent(workers),
            waits_for_worker=waits_for_worker,
        ),
    )


def holder_document(holder: Holder | None, owner: str) -> HolderDocument | None:
    """Build the document of a session for which a user's jobs wait."""
    if holder is None:
        return None
    session = holder.session
    mine = session.owner == owner
    return HolderDocument(
        mine=mine,
        session_id=session.id if mine else None,
        name=(session.name or None) if mine else None,
        place=(session.place or None) if mine else None,
        state="idle" if session.idles else "running",
        until=instant_or_none(holder.until),
        kernel_gone=holder.abandoned,
    )


def job_document(
    job: Job,
    *,
    queue_position: int | None,
    estimate: StartEstimate | None,
    holder: Holder | None = None,
) -> JobDocument:
    """Build the document of a job without `params`."""
    return JobDocument(
        id=job.id,
        backend=job.backend,
        program=ProgramDocument(id=job.program_id),
        created=instant(job.created_at),
        state=JobStateDocument(
            status=job.state, reason=sent(job.reason), reason_code=sent(job.reason_code)
        ),
        status=job.state,
        user_id=job.owner,
        tags=list(job.tags),
        usage=_usage(job),
        qsession=JobExtrasDocument(
            queue_position=queue_position,
            estimate=None if estimate is None else EstimateDocument(**estimate._asdict()),
            sub_status=job.stage,
            stages=StagesDocument(
                preparing_at=instant_or_none(job.preparing_at),
                on_device_at=instant_or_none(job.on_device_at),
                post_processing_at=instant_or_none(job.post_processing_at),
            ),
            running_at=instant_or_none(job.started_at),
            finished_at=instant_or_none(job.ended_at),
            attempts=job.attempts,
            pubs=sent(job.pubs),
            role=sent(job.role),
            estimated_by=sent(job.expected_by),
            number=job.number or UNSET,
            held_by=holder_document(holder, job.owner),
            result_summary=_summary(job),
        ),
        session_id=sent(job.session_id),
        cost=sent(job.cost_seconds),
        runtime=sent(job.image),
        private=job.private or UNSET,
        estimated_running_time_seconds=sent(job.expected_seconds),
    )


def _summary(job: Job) -> ResultSummaryDocument | UnsetType:
    if job.result_summary is None:
        return UNSET
    return _read_summary(job.result_summary)


def metrics_document(job: Job, *, queue_position: int | None) -> JobMetricsDocument:
    """Build the document of a job's metrics."""
    return JobMetricsDocument(
        timestamps=JobTimesDocument(
            created=instant(job.created_at),
            running=instant_or_none(job.started_at),
            finished=instant_or_none(job.ended_at),
        ),
        usage=_usage(job),
        qiskit_version=_qiskit_version(),
        position_in_queue=queue_position,
    )


def sent(value: T | None) -> T | UnsetType:
    """Leave out a field that has no value."""
    return UNSET if value is None else value


@cache
def _qiskit_version() -> str:
    """Return the version of Qiskit that runs the jobs, without importing it."""
    return version("qiskit")


def _usage(job: Job) -> UsageDocument:
    """Build the usage of a job: its time on the device, pending until it has ended."""
    return usage_document(job.device_seconds, ended=job.state in FINAL_JOB_STATES)


def usage_document(seconds: float, *, ended: bool) -> UsageDocument:
    """Build the usage of a session or job under the names that IBM's clients read."""
    used = round(seconds, 6)
    return UsageDocument(
        qpu_charge_time_seconds=used,
        quantum_seconds=used,
        status="complete" if ended else "pending",
    )


def device_document(device: Device, *, queue_length: int) -> dict[str, Any]:
    """Build an item of GET /backends."""
    document = {
        "name": device.name,
        "status": {"name": "online"},
        "queue_length": queue_length,
        "qubits": device.qubits,
        "physical_qubits": device.qubits,
        "is_simulator": device.simulator,
    }
    return document | ({"class": "mock"} if device.mock else {})


def device_status_document(device: Device, *, queue_length: int) -> dict[str, Any]:
    """Build the JSON of GET /backends/{name}/status."""
    return {
        "state": True,
        "status": "active",
        "message": "",
        "length_queue": queue_length,
        "backend_version": device.configuration["backend_version"],
    }


_QUIET = frozenset({"ERROR", "CRITICAL"})
_VERBOSE = "DEBUG"


def log_text(job: Job) -> str:
    """Return the text of GET /jobs/{id}/logs: the events of a job.

    The job's log level decides how much: at ERROR and above only its failure, at DEBUG also how it
    was run.
    """
    level = (job.log_level or "").upper()
    if level in _QUIET:
        failed = job.reason and job.ended_at is not None
        return f"{_end_line(job)}\n" if failed else ""
    lines = [f"{instant(job.created_at)} created for {job.backend}"]
    if job.started_at is not None:
        lines.append(f"{instant(job.started_at)} started (attempt {job.attempts})")
    if job.on_device_at is not None:
        lines.append(f"{instant(job.on_device_at)} on the device")
    if job.post_processing_at is not None:
        lines.append(f"{instant(job.post_processing_at)} off the device, post-processing")
    if job.ended_at is not None:
        lines.append(_end_line(job))
    if level == _VERBOSE:
        pubs = "" if job.pubs is None else f", {job.pubs} pubs"
        busy = "" if job.busy_seconds is None else f", simulated for {job.busy_seconds:.6f} s"
        lines.append(
            f"program {job.program_id}{pubs}, circuits that need it transpiled at level "
            f"{job.optimization_level}{busy}"
        )
    return "\n".join(lines) + "\n"


def _end_line(job: Job) -> str:
    reason = f": {job.reason}" if job.reason else ""
    return f"{instant_or_none(job.ended_at)} {JobState(job.state).value.lower()}{reason}"
