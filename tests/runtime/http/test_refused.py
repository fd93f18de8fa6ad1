"""Refused requests change nothing: the store and the runtime's status stay the same."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget.wire.fields import IDEMPOTENCY_KEY
from tests.conftest import eventually, running
from tests.runtime.server import COIN, Server, reached

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = ("sessions", "jobs", "payloads", "results", "users")
MOST_OPEN = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = ("--workers", "2", "--max-open-sessions", str(MOST_OPEN))
    with running(tmp_path_factory.mktemp("refused"), *flags) as folder:
        yield reached(folder)


def read(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"select * from {table} order by 1").fetchall()  # noqa: S608 - ours


def state(server: Server) -> dict[str, Any]:
    """Return every row and the runtime's status, without what changes over time."""
    with closing(sqlite3.connect(server.folder / "runtime.db")) as other:
        rows = {table: read(other, table) for table in TABLES}
    said = server.json("/qsession/status")
    workers = [each["pid"] for each in said["workers"]]
    sessions = [(each["id"], each["state"]) for each in said["sessions"]]
    return {**rows, "workers": workers, "devices": said["devices"], "sessions": sessions}


@pytest.fixture(scope="module")
def known(server: Server) -> dict[str, str]:
    """Create an idle session, a closed one and a final job, and return their ids and keys."""
    headers = {IDEMPOTENCY_KEY: "the session's"}
    body = {"backend": "fake_manila", "max_ttl": 600}
    idle = server.ask("POST", "/sessions", json=body, headers=headers).json()["id"]
    headers = {IDEMPOTENCY_KEY: "the job's"}
    text = json.dumps({**COIN, "session_id": idle})
    job = server.ask("POST", "/jobs", data=text, headers=headers).json()["id"]
    server.ended(job)
    closed = server.open()
    server.ask("DELETE", f"/sessions/{closed}/close")
    server.ask("POST", "/qsession/users", json={"name": "ann"})
    eventually(
        lambda: all(each["pid"] for each in server.json("/qsession/status")["workers"]), "workers"
    )
    return {"idle": idle, "closed": closed, "job": job}


def refused(known: dict[str, str]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return requests that must be refused, for each endpoint that changes something."""
    idle, closed, job = known["idle"], known["closed"], known["job"]
    session = {"backend": "fake_manila"}
    again = {"headers": {IDEMPOTENCY_KEY: "the job's"}}
    of_session = {"headers": {IDEMPOTENCY_KEY: "the session's"}}

    def sent(**body: Any) -> dict[str, Any]:
        return {"data": json.dumps({**COIN, **body})}

    ttls = (0, -1, 61, 1.5, "9", True, None, 10**30)
    return [
        *(("POST", "/sessions", {"json": {**session, "interactive_ttl": ttl}}) for ttl in ttls),
        *(
            ("POST", "/sessions", {"json": {**session, "max_ttl": 60, "active_ttl": ttl}})
            for ttl in ttls
        ),
        *(
            ("PATCH", f"/sessions/{idle}", {"json": {"accepting_jobs": False, name: 60}})
            for name in ("interactive_ttl", "active_ttl", "max_ttl")
        ),
        ("POST", "/sessions", {"json": {**session, "mode": "other"}}),
        ("POST", "/sessions", {"json": {**session, "max_ttl": 601}, **of_session}),
        ("POST", "/sessions", {"json": {"backend": "nowhere"}}),
        ("POST", "/sessions", {"data": "{"}),
        ("PATCH", f"/sessions/{idle}", {"json": {"accepting_jobs": True}}),
        ("PATCH", f"/sessions/{idle}", {"json": {}}),
        ("PATCH", "/sessions/unknown", {"json": {"accepting_jobs": False}}),
        ("DELETE", "/sessions/unknown/close", {}),
        ("POST", "/qsession/sessions/unknown/cancel_queued", {}),
        ("POST", "/jobs", sent(session_id=closed)),
        ("POST", "/jobs", sent(session_id="unknown")),
        ("POST", "/jobs", sent(session_id=idle, backend="fake_torino")),
        ("POST", "/jobs", sent(program_id="other")),
        ("POST", "/jobs", sent(params=[])),
        ("POST", "/jobs", sent(cost=0)),
        ("POST", "/jobs", sent(tags=[1])),
        ("POST", "/jobs", {**sent(), **again}),
        ("POST", "/jobs", {**sent(session_id=idle, private=True), **again}),
        ("POST", "/jobs", {**sent(session_id=idle, qsession={"optimization_level": 3}), **again}),
        ("POST", f"/jobs/{job}/cancel", {}),
        ("POST", "/jobs/unknown/cancel", {}),
        ("DELETE", "/jobs/unknown", {}),
        ("PUT", f"/jobs/{job}/tags", {"json": {"tags": [1]}}),
        ("PUT", "/jobs/unknown/tags", {"json": {"tags": []}}),
        ("POST", "/qsession/users", {"json": {"name": "ann"}}),
        ("POST", "/qsession/users", {"json": {"name": "../x"}}),
        ("DELETE", "/qsession/users/unknown", {}),
        ("POST", "/qsession/clock", {"json": {"advance_seconds": 1}}),
    ]


def test_refused_requests_leave_everything_unchanged(server: Server, known: dict[str, str]) -> None:
    before = state(server)
    for method, path, options in refused(known):
        answer = server.ask(method, path, **options)
        what = f"{method} {path} {options}: {answer.text}"
        assert 400 <= answer.status_code < 500, what
        assert answer.json()["errors"][0]["message"], what
        assert state(server) == before, what


def test_repeated_requests_leave_everything_unchanged(
    server: Server, known: dict[str, str]
) -> None:
    before = state(server)
    headers = {IDEMPOTENCY_KEY: "the job's"}
    text = json.dumps({**COIN, "session_id": known["idle"]})
    for _ in range(3):
        answer = server.ask("POST", "/jobs", data=text, headers=headers)
        assert answer.json()["id"] == known["job"]
    headers = {IDEMPOTENCY_KEY: "the session's"}
    body = {"backend": "fake_manila", "max_ttl": 600}
    answer = server.ask("POST", "/sessions", json=body, headers=headers)
    assert answer.json()["id"] == known["idle"]
    assert state(server) == before


def test_no_more_sessions_open_than_the_operator_allows(
    server: Server, known: dict[str, str]
) -> None:
    assert known
    with ThreadPoolExecutor(12) as pool:
        answers = list(
            pool.map(
                lambda _: server.ask("POST", "/sessions", json={"backend": "fake_torino"}),
                range(12),
            )
        )
    opened = [answer.json()["id"] for answer in answers if answer.status_code == 200]
    # One is open already.
    assert len(opened) == MOST_OPEN - 1
    assert {answer.status_code for answer in answers} == {200, 400}
    for session_id in opened:
        server.ask("DELETE", f"/sessions/{session_id}/close")


def test_a_session_has_its_own_times(server: Server, known: dict[str, str]) -> None:
    assert known
    session_id = server.open(interactive_ttl=2, active_ttl=30, max_ttl=300, backend="fake_torino")
    session = server.json(f"/sessions/{session_id}")
    assert [session[name] for name in ("interactive_ttl", "active_ttl", "max_ttl")] == [2, 30, 300]
    server.ended(server.submit(session_id=session_id, backend="fake_torino"))
    eventually(
        lambda: server.json(f"/sessions/{session_id}")["state"] == "inactive", "its idle time's end"
    )
    server.ask("DELETE", f"/sessions/{session_id}/close")
