"""Sessions, jobs and devices as the JSON of the REST API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from qsession_widget.wire.fields import EXTRA
from qsession_widget.wire.states import FINAL_JOB_STATES, JobState, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.control.coordinator import Coordinator
    from qsession_widget.runtime.device_catalog import Device
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.scheduling.estimates import StartEstimate
    from qsession_widget.runtime.settings import Policy


def instant(when: datetime | None) -> str | None:
    """Write a time as RFC 3339 in UTC, ending in Z."""
    if when is None:
        return None
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def etag(job: Job) -> str:
    """Return the `ETag` of a job's JSON."""
    return f'"{job.revision}"'


@dataclass(frozen=True)
class Serializer:
    """Builds the documents of sessions and jobs as they are at this moment."""

    clock: Clock
    coordinator: Coordinator

    def session(self, session: Session) -> dict[str, Any]:
        """Build the document of a session."""
        return session_document(
            session,
            now=self.clock.now(),
            rate=self.clock.rate,
            policy=self.coordinator.policy,
        )

    def jobs(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Build the documents of jobs, with their places in the queue."""
        positions = self.coordinator.queue_positions(jobs)
        return [
            job_document(
                job,
                queue_position=positions.get(job.id),
                estimate=self.coordinator.estimate(job.id) if job.id in positions else None,
            )
            for job in jobs
        ]


def session_document(
    session: Session, *, now: datetime, rate: float, policy: Policy
) -> dict[str, Any]:
    """Give the JSON of GET /sessions/{id}, with our own additions under one key."""
    return {
        "id": session.id,
        "backend_name": session.backend,
        "mode": session.mode.value,
        "state": session.state.value,
        "state_reason": session.state_reason,
        "accepting_jobs": session.accepting_jobs,
        "max_ttl": session.max_seconds,
        "active_ttl": session.active_seconds,
        "interactive_ttl": session.interactive_seconds,
        "elapsed_time": round(session.usage_seconds(now), 6),
        "user_id": session.owner,
        "started_at": instant(session.started_at),
        "activated_at": instant(session.activated_at),
        "closed_at": instant(session.closed_at),
        "last_job_started": instant(session.last_job_started),
        "last_job_completed": instant(session.last_job_completed),
        "timestamps": [
            {"status": state.value, "timestamp": instant(when)}
            for state, when in session.transitions
        ],
        EXTRA: {
            "now": instant(now),
            "rate": rate,
            "policy": policy,
            "created_at": instant(session.created_at),
            "first_job_ttl": session.first_job_seconds,
            "queued": session.queued,
            "running": session.running,
            "usage": {
                "on_device_seconds": round(session.on_device_seconds, 6),
                "preparing_seconds": round(session.preparing_seconds, 6),
                "idle_seconds": round(session.idle_seconds(now), 6),
            },
            "cache": {
                "hits": session.cache_hits,
                "misses": session.cache_misses,
                "seconds_saved": round(session.cache_seconds_saved, 6),
            },
        },
    }


def job_document(
    job: Job, *, queue_position: int | None, estimate: StartEstimate | None
) -> dict[str, Any]:
    """Give the JSON of GET /jobs/{id} without `params`."""
    state: dict[str, Any] = {"status": job.state.value}
    if job.reason is not None:
        state["reason"] = job.reason
    if job.reason_code is not None:
        state["reason_code"] = job.reason_code
    document: dict[str, Any] = {
        "id": job.id,
        "backend": job.backend,
        "program": {"id": job.program_id},
        "created": instant(job.created_at),
        "state": state,
        "status": job.state.value,
        "user_id": job.owner,
        "tags": list(job.tags),
        "usage": _usage(job),
        EXTRA: {
            "queue_position": queue_position,
            "estimate": None if estimate is None else estimate._asdict(),
            "sub_status": job.stage,
            "stages": {f"{stage}_at": instant(getattr(job, f"{stage}_at")) for stage in Stage},
            "running_at": instant(job.started_at),
            "finished_at": instant(job.ended_at),
            "attempts": job.attempts,
            **({} if job.pubs is None else {"pubs": job.pubs}),
            # Of jobs of the same time, it tells which came first.
            **({"number": job.number} if job.number else {}),
        },
    }
    optional = {
        "session_id": job.session_id,
        "cost": job.cost_seconds,
        "runtime": job.image,
        "private": job.private or None,
    }
    return document | {name: value for name, value in optional.items() if value is not None}


def metrics_document(job: Job, *, queue_position: int | None) -> dict[str, Any]:
    """Give the JSON of GET /jobs/{id}/metrics."""
    return {
        "timestamps": {
            "created": instant(job.created_at),
            "running": instant(job.started_at),
            "finished": instant(job.ended_at),
        },
        "usage": _usage(job),
        "qiskit_version": _qiskit_version(),
        "position_in_queue": queue_position,
    }


@cache
def _qiskit_version() -> str:
    """Say which Qiskit runs the jobs, without importing it."""
    return version("qiskit")


def _usage(job: Job) -> dict[str, Any]:
    """Say how long the job was on its device; pending until it has ended."""
    return usage_document(job.device_seconds, ended=job.state in FINAL_JOB_STATES)


def usage_document(seconds: float, *, ended: bool) -> dict[str, Any]:
    """Give what something has used, by the names that IBM's clients read.

    Before release 0.48 they read `quantum_seconds`, since then the other two.
    """
    used = round(seconds, 6)
    return {
        "qpu_charge_time_seconds": used,
        "quantum_seconds": used,
        "status": "complete" if ended else "pending",
    }


def device_document(device: Device, *, queue_length: int) -> dict[str, Any]:
    """Give an item of GET /backends."""
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
    """Give the JSON of GET /backends/{name}/status."""
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
    """Give the text of GET /jobs/{id}/logs: what the runtime knows of the job's course.

    A job's level of logging says how much: from ERROR on only its failure, with DEBUG also how it
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
    return f"{instant(job.ended_at)} {JobState(job.state).value.lower()}{reason}"
