"""The routes of sessions, on a real server."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.runtime.server import COIN, Server, problem


@pytest.mark.parametrize("max_ttl", [0, -1, 28_801, 10**30, 1.5, "10m", True, None, [], {}])
def test_an_invalid_maximum_time_is_refused_with_the_limit(server: Server, max_ttl: Any) -> None:
    answer = server.ask("POST", "/sessions", json={"backend": "fake_manila", "max_ttl": max_ttl})
    said = problem(answer, 400)
    assert repr(max_ttl) in said
    assert "28800" in said


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"mode": "exclusive"}, "exclusive"),
        ({"mode": 5}, "5"),
        ({"backend": None}, "backend"),
        ({"backend": "aer_simulator"}, "simulator"),
    ],
)
def test_invalid_sessions_are_refused(server: Server, change: dict[str, Any], named: str) -> None:
    body = {"backend": "fake_manila", **change}
    assert named in problem(server.ask("POST", "/sessions", json=body), 400)


SESSION_FIELDS = {
    "id",
    "backend_name",
    "mode",
    "state",
    "state_reason",
    "accepting_jobs",
    "max_ttl",
    "active_ttl",
    "interactive_ttl",
    "elapsed_time",
    "user_id",
    "started_at",
    "activated_at",
    "closed_at",
    "last_job_started",
    "last_job_completed",
    "timestamps",
    "qsession",
}


INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_a_session_has_every_field_at_each_stage(server: Server) -> None:
    session_id = server.open(max_ttl=600, mode="batch")
    opened = server.json(f"/sessions/{session_id}")
    job_id = server.submit(session_id=session_id)
    server.ended(job_id)
    active = server.json(f"/sessions/{session_id}")
    server.ask("DELETE", f"/sessions/{session_id}/close")
    closed = server.json(f"/sessions/{session_id}")
    for session in (opened, active, closed):
        assert set(session) == SESSION_FIELDS
        assert (session["mode"], session["max_ttl"], session["backend_name"]) == (
            "batch",
            600,
            "fake_manila",
        )
    assert [session["state"] for session in (opened, active, closed)] == [
        "open",
        "active",
        "closed",
    ]
    assert [each["status"] for each in closed["timestamps"]] == ["open", "active", "closed"]
    times = [opened["qsession"]["created_at"], closed["started_at"], closed["closed_at"]]
    assert times == sorted(times)
    assert all(INSTANT.fullmatch(each) for each in times)
    assert opened["started_at"] is None
    assert (opened["elapsed_time"], closed["accepting_jobs"]) == (0, False)
    on_device = server.job(job_id)["usage"]["qpu_charge_time_seconds"]
    assert closed["elapsed_time"] == on_device > 0, "a batch costs what its jobs do"


def test_closing_and_cancelling_are_idempotent(server: Server) -> None:
    session_id = server.open()
    path = f"/sessions/{session_id}"
    said = problem(server.ask("PATCH", path, json={"accepting_jobs": True}), 400)
    assert "True" in said
    for _ in range(2):
        answer = server.ask("PATCH", path, json={"accepting_jobs": False})
        assert (answer.status_code, answer.content) == (204, b"")
    for _ in range(2):
        assert server.ask("DELETE", f"{path}/close").status_code == 204
    assert server.json(path)["state"] == "closed"
    assert len(server.json(path)["timestamps"]) == 2


def test_a_closed_session_takes_no_job(server: Server) -> None:
    session_id = server.open()
    server.ask("PATCH", f"/sessions/{session_id}", json={"accepting_jobs": False})
    assert session_id in problem(server.send(session_id=session_id), 409)


def test_cancelling_a_session_spares_the_running_job(slow: Server) -> None:
    session_id = slow.open()
    first, second = (slow.submit(session_id=session_id) for _ in range(2))
    slow.running(first)
    assert slow.job(second)["qsession"]["queue_position"] == 1
    assert slow.ask("DELETE", f"/sessions/{session_id}/close").status_code == 204
    assert (slow.status(first), slow.status(second)) == ("Running", "Cancelled")
    assert slow.json(f"/sessions/{session_id}")["state"] == "pending_closed"
    assert slow.ask("POST", f"/jobs/{first}/cancel").status_code == 204
    assert slow.json(f"/sessions/{session_id}")["state"] == "closed"


def test_cancelling_queued_jobs_leaves_the_session_open_over_http(slow: Server) -> None:
    session_id = slow.open()
    first, second = (slow.submit(session_id=session_id) for _ in range(2))
    slow.running(first)
    path = f"/qsession/sessions/{session_id}/cancel_queued"
    assert slow.ask("POST", path).json() == {"cancelled": [second]}
    session = slow.json(f"/sessions/{session_id}")
    assert (session["state"], session["accepting_jobs"]) == ("active", True)
    slow.ask("DELETE", f"/sessions/{session_id}/close")


def test_a_key_outlives_the_closing_of_its_session(server: Server) -> None:
    session_id = server.open()
    key = {"Idempotency-Key": "before the end"}
    body = json.dumps({**COIN, "session_id": session_id})
    first = server.ask("POST", "/jobs", data=body, headers=key).json()
    server.ask("DELETE", f"/sessions/{session_id}/close")
    assert server.ask("POST", "/jobs", data=body, headers=key).json() == first
