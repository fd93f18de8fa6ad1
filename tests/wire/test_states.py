from __future__ import annotations

from typing import Any

import pytest

from qsession_widget.wire.states import (
    FINAL_JOB_STATUS,
    PANEL_STAGES,
    PANEL_STATES,
    RAN_TOO_LONG,
    JobState,
    Stage,
    job_status,
    session_status,
)

ACCEPTING = "In progress, accepting new jobs"
NOT_ACCEPTING = "In progress, not accepting new jobs"


@pytest.mark.parametrize(
    ("state", "accepting", "said"),
    [
        ("open", True, "Pending"),
        ("open", False, "Pending"),
        ("inactive", True, "Pending"),
        ("inactive", False, "Pending"),
        ("active", True, ACCEPTING),
        ("active", False, NOT_ACCEPTING),
        ("pending_inactive", True, ACCEPTING),
        ("pending_inactive", False, ACCEPTING),
        ("pending_closed", True, NOT_ACCEPTING),
        ("pending_closed", False, NOT_ACCEPTING),
        ("closed", False, "Closed"),
        ("paused", True, "Paused"),
    ],
)
def test_descriptions_of_sessions(state: str, *, accepting: bool, said: str) -> None:
    assert session_status(state, accepting_jobs=accepting) == said


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"state": {"status": "Queued"}}, "QUEUED"),
        ({"state": {"status": "Running"}}, "RUNNING"),
        ({"state": {"status": "Completed"}}, "DONE"),
        ({"state": {"status": "COMPLETED"}}, "DONE"),
        ({"state": {"status": "Failed"}}, "ERROR"),
        ({"state": {"status": "Cancelled"}}, "CANCELLED"),
        ({"state": {"status": "Cancelled", "reason_code": RAN_TOO_LONG}}, "ERROR"),
        ({"state": {"status": "Cancelled", "reasonCode": RAN_TOO_LONG}}, "ERROR"),
        ({"state": {"status": "Cancelled", "reason_code": 1}}, "CANCELLED"),
        ({"state": {"status": "Cancelled"}, "status": "Cancelled - Ran too long"}, "ERROR"),
        ({"state": {"status": "Cancelled - Ran too long"}}, "ERROR"),
        ({"state": {"status": "Retiring"}, "status": "Failed"}, "ERROR"),
        ({"state": {"status": "Retiring"}, "status": "Canceled by user"}, "CANCELLED"),
        ({"state": {"status": "Retiring"}, "status": "Completed"}, "DONE"),
        ({"state": {"status": "Validating"}}, "VALIDATING"),
        ({"state": {"status": "Validating"}, "status": "Running"}, "VALIDATING"),
        ({"state": {"status": "Running"}, "status": "Completed"}, "RUNNING"),
    ],
)
def test_descriptions_of_jobs(job: dict[str, Any], said: str) -> None:
    assert job_status(job) == said


def test_final_states() -> None:
    assert {"DONE", "ERROR", "CANCELLED"} == FINAL_JOB_STATUS


def test_every_state_and_stage_has_a_place_in_the_panels_bytes() -> None:
    assert set(PANEL_STATES) == set(JobState)
    assert set(PANEL_STAGES) == set(Stage)
    assert len(PANEL_STATES) < 15, "15 is an unknown state"
    assert len(PANEL_STAGES) < 4, "a stage has two bits"
