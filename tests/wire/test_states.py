from __future__ import annotations

import pytest

from qsession_widget.wire.states import (
    FINAL_JOB_STATUS,
    PANEL_STAGES,
    PANEL_STATES,
    JobState,
    Stage,
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


def test_final_states() -> None:
    assert {"DONE", "ERROR", "CANCELLED"} == FINAL_JOB_STATUS


def test_every_state_and_stage_has_a_place_in_the_panels_bytes() -> None:
    assert set(PANEL_STATES) == set(JobState)
    assert set(PANEL_STAGES) == set(Stage)
    assert len(PANEL_STATES) < 15, "15 is an unknown state"
    assert len(PANEL_STAGES) < 4, "a stage has two bits"
