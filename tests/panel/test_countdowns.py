from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget.panel.countdowns import countdowns
from qsession_widget.panel.text import as_text
from tests.panel.test_renderings import NOON, job, snapshot

if TYPE_CHECKING:
    from qsession_widget.monitoring.job_row import JobRow

ACTIVE = {
    "state": "active",
    "accepting_jobs": True,
    "started_at": "2026-11-22T12:00:00Z",
    "last_job_completed": "2026-11-22T12:00:30Z",
    "max_ttl": 600,
    "interactive_ttl": 60,
}


def kinds(*jobs: JobRow, **changes: Any) -> list[str]:
    return [each.kind for each in countdowns(snapshot(*jobs, **changes))]


def test_an_idle_session_runs_towards_two_ends() -> None:
    idle, most = countdowns(snapshot(job("j"), session=ACTIVE))
    assert (idle.kind, idle.ends_at) == ("interactive", NOON + timedelta(seconds=90))
    assert (most.kind, most.ends_at) == ("max", NOON + timedelta(seconds=600))
    assert idle.left_seconds(NOON + timedelta(seconds=60)) == 30
    assert idle.left_seconds(NOON) == 60
    assert idle.left_seconds(NOON + timedelta(hours=1)) == 0


def test_a_job_cancelled_in_the_queue_kept_it_busy() -> None:
    cancelled = job("q", "Cancelled", started_at=None, ended_at=NOON + timedelta(seconds=45))
    idle, _ = countdowns(snapshot(job("j"), cancelled, session=ACTIVE))
    assert idle.ends_at == NOON + timedelta(seconds=105)


@pytest.mark.parametrize("state", ["Queued", "Running"])
def test_a_busy_session_is_not_idle(state: str) -> None:
    assert kinds(job("j", state), session=ACTIVE) == ["max"]


def test_a_session_without_jobs_waits_for_the_first() -> None:
    opened = {"state": "open", "accepting_jobs": True, "max_ttl": 600, "started_at": None}
    known: dict[str, Any] = {"session": opened, "created_at": NOON, "first_job_seconds": 1800}
    (first,) = countdowns(snapshot(**known))
    assert (first.kind, first.ends_at) == ("first_job", NOON + timedelta(seconds=1800))
    assert kinds(job("j", "Queued"), **known) == []


def test_there_is_no_countdown_without_its_figures() -> None:
    opened = {"state": "open", "accepting_jobs": True}
    assert kinds(session=opened, created_at=NOON) == []
    assert kinds(session={**ACTIVE, "interactive_ttl": None, "max_ttl": None}) == []
    assert kinds(session={**ACTIVE, "state": "inactive"}) == ["max"]
    assert kinds(session={**ACTIVE, "state": "closed"}) == []
    assert kinds(session={}, simulator=True) == []


def test_text_lists_all_countdowns() -> None:
    text = as_text(snapshot(job("j"), session=ACTIVE, now=NOON + timedelta(seconds=60)))
    assert "idle time left: 30.0 s of 1 min 00 s" in text
    assert "time left: 9 min 00 s of 10 min 00 s" in text
