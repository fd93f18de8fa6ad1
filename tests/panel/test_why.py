from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from qsession_widget.client.session_info import _DETAILS
from qsession_widget.monitoring.snapshot import Snapshot
from qsession_widget.panel.explanation import RULES, Why, why
from tests.panel.test_renderings import NOON, job, snapshot

DETAILS = {
    "state": "active",
    "accepting_jobs": True,
    "mode": "dedicated",
    "started_at": "2026-11-22T12:00:00Z",
    "last_job_completed": "2026-11-22T12:00:30Z",
    "max_ttl": 28_800,
    "active_ttl": 28_800,
    "interactive_ttl": 60,
}


def explained(*jobs: Any, **changes: Any) -> str:
    fields = {name: changes.pop(name) for name in list(changes) if name in Snapshot.__annotations__}
    found = why(snapshot(*jobs, session={**DETAILS, **changes}, **fields))
    assert isinstance(found, Why)
    return str(found)


def queued(name: str) -> Any:
    return job(name, "Queued", started_at=None, ended_at=None)


def running(name: str) -> Any:
    return job(name, "Running", ended_at=None)


def test_active() -> None:
    assert explained(running("a")) == ("A job runs since 12:00:01 UTC; usage goes on.")
    assert explained(running("a"), queued("b"), queued("c"), mode="batch") == (
        "A job runs since 12:00:01 UTC; 2 jobs follow ahead of the normal queue; "
        "usage is the time of jobs on the device."
    )
    assert explained(queued("b")) == ("1 job waits for the device, ahead of the normal queue.")


def test_a_job_that_will_take_long_says_until_when() -> None:
    long = job(
        "a",
        "Running",
        ended_at=None,
        expected_until=NOON + timedelta(hours=3),
        expected_by="the first 20 of 4,096 shots",
    )
    assert explained(long) == (
        "A job runs since 12:00:01 UTC, expected until 15:00:00 UTC, by the first 20 "
        "of 4,096 shots; usage goes on."
    )
    assert "expected" not in explained(long, running("b"))


def test_idle() -> None:
    assert explained(job("a", ended_at=NOON + timedelta(seconds=30))) == (
        "The last job ended at 12:00:30 UTC; without another one the session becomes "
        "inactive at 12:01:30 UTC, and usage goes on until then."
    )
    assert "No job is queued or runs" in explained(interactive_ttl=None)


def test_inactive() -> None:
    stamps = [
        {"status": "inactive", "timestamp": "2026-11-22T11:00:00Z"},
        {"status": "active", "timestamp": "2026-11-22T12:00:00Z"},
        {"status": "inactive", "timestamp": "2026-11-22T12:01:30Z"},
    ]
    rest = {"state": "inactive", "timestamps": stamps}
    assert explained(job("a"), **rest) == (
        "It had no job for 60 s at 12:01:30 UTC; the next job waits in the normal queue; usage "
        "stands still."
    )
    reason = "no job for 60 s (interactive timeout)"
    assert f"N{reason[1:]} at 12:01:30 UTC" in explained(**rest, state_reason=reason)
    assert "1 job waits in the normal queue, and the session is" in explained(queued("b"), **rest)


def test_open() -> None:
    opened = {"state": "open", "started_at": None}
    assert explained(**opened) == "No job has been submitted yet; usage has not begun."
    known = {"created_at": NOON, "first_job_seconds": 1800}
    assert "the session closes at 12:30:00 UTC" in explained(**opened, **known)
    assert explained(queued("a"), **opened) == (
        "1 job waits in the normal queue; when the first starts, the maximum time of 8 h "
        "and usage begin."
    )


def test_closed() -> None:
    closed = {"state": "closed", "accepting_jobs": False, "closed_at": "2026-11-22T13:00:00Z"}
    assert explained(**closed) == "Closed at 13:00:00 UTC, and takes no jobs."
    assert explained(**closed, state_reason="no job was submitted for 30 min") == (
        "Closed at 13:00:00 UTC: no job was submitted for 30 min."
    )
    assert explained(**closed, max_ttl=3600) == (
        "Closed at 13:00:00 UTC: its maximum time of 1 h was over."
    )


def test_ending() -> None:
    assert explained(running("a"), queued("b"), accepting_jobs=False) == (
        "Takes no new jobs: it was closed; 2 jobs finish, then the session is over."
    )
    assert "The active time of 8 h ran out" in explained(running("a"), state="pending_inactive")


def test_waiting_for_a_worker() -> None:
    waits = {"waits_for_worker": True, "workers": 4}
    assert explained(queued("a"), **waits) == "1 job waits for a worker: all 4 are busy."
    assert explained(queued("a"), queued("b"), **{**waits, "workers": 1}) == (
        "2 jobs wait for a worker: the only one is busy."
    )
    assert explained(queued("a"), state="open", **{**waits, "workers": 0}) == (
        "1 job waits for a worker: no host has joined the runtime, or the last one has left."
    )
    assert explained(queued("a"), **{**waits, "workers": None}).endswith("all are busy.")
    assert "worker" not in explained(**waits), "no job waits any more"
    assert "the session is over" in explained(queued("a"), accepting_jobs=False, **waits)


def test_without_a_session() -> None:
    assert "simulator" in explained(simulator=True)
    assert why(snapshot(session={})) == (
        ("Not known yet: the service has not answered.",),
        (),
        RULES[1].document,
    )
    assert why(snapshot(session={"state": "thinking", "accepting_jobs": True})) is None


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_names_its_source(rule: Any) -> None:
    assert rule.document.startswith("https://quantum.cloud.ibm.com/docs/")
    wire = {*_DETAILS.values(), "timestamps", "state_reason", "simulator"}
    assert all(name in wire or name.startswith("qsession.") for name in rule.fields)
