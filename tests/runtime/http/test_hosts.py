"""Hosts over HTTP where there are none; `tests/runtime/dask` has real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from qsession_widget.cli import status_view
from tests.runtime.http.test_users import add
from tests.runtime.server import problem

if TYPE_CHECKING:
    from tests.runtime.server import Server


def test_without_a_cluster_there_is_no_host(server: Server) -> None:
    assert server.json("/qsession/status")["hosts"] == []
    said = problem(server.ask("POST", "/qsession/hosts/drain", json={"host": "h" * 200}), 404)
    assert f"Host not found: {'h' * 80}" in said


@pytest.mark.parametrize("body", [{}, {"host": ""}, {"host": None}])
def test_a_host_has_to_be_named(server: Server, body: dict[str, Any]) -> None:
    assert "host" in problem(server.ask("POST", "/qsession/hosts/drain", json=body), 400)


def test_only_the_administrator_drains_hosts(server: Server) -> None:
    answer = add(server, "drainer").ask("POST", "/qsession/hosts/drain", json={"host": "h"})
    assert "administrator" in problem(answer, 403)


def test_hosts_are_drawn_with_why_they_are_refused() -> None:
    host = {"host": "node7", "address": "tcp://10.0.0.7:5", "slots": 4, "busy": 1, "reason": ""}
    refused = {**host, "host": "node8", "reason": "It has qiskit 1 instead of 2."}
    status = {
        "now": "2026-11-22T12:00:00Z",
        "rate": 60.0,
        "devices": [],
        "sessions": [],
        "session_count": 0,
        "store": {"bytes": 1},
        "hosts": [{**host, "state": "ready"}, {**refused, "state": "refused"}],
        "workers": [
            {"state": "busy", "job_id": "j", "device": "d", "pid": None, "host": "node7"},
            {"state": "idle", "job_id": None, "device": None, "pid": 12, "host": None},
        ],
    }
    console = Console(width=150, record=True, file=None, force_terminal=False)
    with console.capture() as drawn:
        console.print(status_view.render(status))
    lines = [" ".join(line.split()) for line in drawn.get().splitlines()]
    assert "Host State Slots Busy Address" in lines
    assert "node7 ready 4 1 tcp://10.0.0.7:5" in lines
    assert any(line.startswith("node8 refused") and "qiskit 1" in line for line in lines)
    assert "node7 busy j d" in lines
    assert "12 idle" in lines
    del status["hosts"]
    with console.capture() as drawn:
        console.print(status_view.render(status))
    assert "Host" not in drawn.get(), "an older runtime sends none"
