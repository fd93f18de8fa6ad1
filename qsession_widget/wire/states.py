"""States of sessions and jobs as the REST API spells them."""

from __future__ import annotations

from enum import StrEnum


class SessionState(StrEnum):
    """`state` of a session (IBM Quantum session documentation; client source for `pending_*`)."""

    OPEN = "open"
    ACTIVE = "active"
    PENDING_INACTIVE = "pending_inactive"
    INACTIVE = "inactive"
    PENDING_CLOSED = "pending_closed"
    CLOSED = "closed"


class Mode(StrEnum):
    """`mode` of a session: with exclusive use of its backend, or only prioritised."""

    DEDICATED = "dedicated"
    BATCH = "batch"


class JobState(StrEnum):
    """`state.status` of a job."""

    QUEUED = "Queued"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def final(self) -> bool:
        """Whether the job will never change again."""
        return self in FINAL_JOB_STATES


class Stage(StrEnum):
    """Stage of a running job. IBM's API has no such field."""

    PREPARING = "preparing"
    ON_DEVICE = "on_device"
    POST_PROCESSING = "post_processing"


PANEL_STATES = (
    JobState.QUEUED,
    JobState.RUNNING,
    JobState.COMPLETED,
    JobState.FAILED,
    JobState.CANCELLED,
)
"""The panel's byte format: the code of a job's state in a byte is its place here.

Browsers read these bytes by `JOB_STATES` of `js/src/contract.ts`. Add new states at the end. When
the order changes, the sample in `js/tests/golden` fails the tests of both sides.
"""

PANEL_STAGES = (Stage.PREPARING, Stage.ON_DEVICE, Stage.POST_PROCESSING)
"""Likewise: the code of a stage is its place here, counted from 1; 0 is an unknown stage."""

FINAL_JOB_STATES = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})

JOB_FAILED = 1517
"""`state.reason_code` of a job that failed; `state.reason` says why."""

RAN_TOO_LONG = 1305
"""`state.reason_code` of a job that was stopped at its time limit; clients treat it as failed."""

JOB_STATUS = {
    JobState.QUEUED: "QUEUED",
    JobState.RUNNING: "RUNNING",
    JobState.COMPLETED: "DONE",
    JobState.FAILED: "ERROR",
    JobState.CANCELLED: "CANCELLED",
}
"""The values of `job.status()` for each state of the wire (as in qiskit-ibm-runtime)."""

FINAL_JOB_STATUS = frozenset(JOB_STATUS[state] for state in FINAL_JOB_STATES)


def session_status(state: str, *, accepting_jobs: bool) -> str:
    """Return the value of `Session.status()` for a session.

    Args:
        state: `state` of the session's JSON.
        accepting_jobs: `accepting_jobs` of the same.

    Returns:
        "Pending", "In progress, accepting new jobs", "In progress, not accepting new jobs",
        "Closed", or an unknown state, capitalized.
    """
    match state:
        case SessionState.OPEN | SessionState.INACTIVE:
            return "Pending"
        case SessionState.PENDING_INACTIVE:
            return "In progress, accepting new jobs"
        case SessionState.PENDING_CLOSED:
            return "In progress, not accepting new jobs"
        case SessionState.ACTIVE:
            return f"In progress, {'' if accepting_jobs else 'not '}accepting new jobs"
        case _:
            return state.capitalize()
