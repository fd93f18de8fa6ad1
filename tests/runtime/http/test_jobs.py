"""The routes of jobs, on a real server."""

from __future__ import annotations

import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit_ibm_runtime import RuntimeDecoder

from qsession_widget.wire import codec
from tests.conftest import eventually
from tests.runtime.server import COIN, Server, coin, problem, worker_of, workers


def test_an_unknown_program_is_named_with_those_that_exist(server: Server) -> None:
    said = problem(server.send(program_id="dream"), 404)
    assert "dream" in said
    assert "sampler, estimator" in said


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"params": None}, "params"),
        ({"params": [1]}, "params"),
        ({"program_id": 3}, "program_id"),
        ({"backend": ["fake_manila"]}, "backend"),
        ({"tags": "x"}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"cost": 0}, "cost"),
        ({"cost": 10**40}, "cost"),
        ({"cost": "1h"}, "cost"),
        ({"runtime": {"a": 1}}, "runtime"),
        ({"log_level": ["x"]}, "log_level"),
        ({"log_level": "LOUD"}, "Allowed are DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ({"log_level": "10"}, "log_level"),
        ({"session_time": 60}, "session_time is 60, and no job starts a session"),
        ({"start_session": True}, "start_session"),
        ({"private": "yes"}, "private is 'yes'"),
        ({"private": 1}, "private"),
        ({"qsession": {"optimization_level": 9}}, "optimization_level"),
        ({"qsession": {"process": "7"}}, "process is '7'. It has to name a machine"),
        ({"qsession": 3}, "qsession is 3. It has to be an object"),
    ],
)
def test_invalid_jobs_are_refused(server: Server, change: dict[str, Any], named: str) -> None:
    assert named in problem(server.send(**change), 400)


def test_a_job_for_another_backend_than_its_sessions(server: Server) -> None:
    said = problem(server.send(session_id=server.open(), backend="fake_torino"), 400)
    assert "fake_torino" in said
    assert "fake_manila" in said


@pytest.mark.parametrize(
    ("level", "said", "silent"),
    [
        (None, ["created", "failed: "], ["program sampler"]),
        ("WARNING", ["created", "failed: "], ["program sampler"]),
        ("debug", ["created", "failed: ", "program sampler, 1 pubs"], []),
        ("ERROR", ["failed: "], ["created", "started"]),
        ("Critical", ["failed: "], ["created", "started"]),
    ],
)
def test_a_jobs_log_follows_its_log_level(
    server: Server, level: str | None, said: list[str], silent: list[str]
) -> None:
    pubs = {"pubs": [["no circuit"]], "version": 2}
    job_id = server.send(params=pubs, log_level=level).json()["id"]
    server.ended(job_id)
    log = server.get(f"/jobs/{job_id}/logs").text
    assert [part for part in said if part not in log] == []
    assert [part for part in silent if part in log] == []


def test_a_job_from_end_to_end_as_the_official_client_reads_it(server: Server) -> None:
    circuit = QuantumCircuit(2)
    circuit.x(0)
    params = json.loads(codec.dumps({"pubs": [[circuit, [[{"IZ": 1.0}], [{"ZI": 1.0}]], []]]}))
    estimate = server.submit(program_id="estimator", backend="aer_simulator", params=params)
    job_id = server.submit(tags=["x"], runtime="a:b", log_level="WARNING", cost=60)
    job = server.ended(job_id)
    assert (job["state"], job["status"]) == ({"status": "Completed"}, "Completed")
    assert (job["program"], job["tags"], job["cost"]) == ({"id": "sampler"}, ["x"], 60)
    assert job["usage"]["status"] == "complete"
    assert job["usage"]["qpu_charge_time_seconds"] > 0
    result = json.loads(server.get(f"/jobs/{job_id}/results").text, cls=RuntimeDecoder)
    counts = result[0].data.meas.get_counts()
    assert sum(counts.values()) == 10
    assert counts["1"] > 5
    server.ended(estimate)
    result = json.loads(server.get(f"/jobs/{estimate}/results").text, cls=RuntimeDecoder)
    assert np.array_equal(result[0].data.evs, [[-1.0], [1.0]])
    whole = server.json(f"/jobs/{job_id}")
    assert whole["params"] == COIN["params"], "exactly as sent"
    assert json.loads(json.dumps(whole), cls=RuntimeDecoder)["params"]["pubs"][0][0].name == "coin"
    timestamps = server.json(f"/jobs/{job_id}/metrics")["timestamps"]
    assert timestamps["created"] <= timestamps["running"] <= timestamps["finished"]
    assert "completed" in server.get(f"/jobs/{job_id}/logs").text


def test_private_jobs_show_no_params(server: Server) -> None:
    job_id = server.submit(private=True)
    job = server.json(f"/jobs/{job_id}")
    assert job["private"] is True
    assert "params" not in job


def test_a_final_job_cannot_be_cancelled(server: Server) -> None:
    job_id = server.submit()
    server.ended(job_id)
    said = problem(server.ask("POST", f"/jobs/{job_id}/cancel"), 409)
    assert job_id in said
    assert "Completed" in said


def test_a_running_job_can_be_cancelled_and_its_device_goes_on(slow: Server) -> None:
    first, second = slow.submit(), slow.submit()
    slow.running(first)
    assert slow.get(f"/jobs/{first}/results").status_code == 204
    assert slow.ask("POST", f"/jobs/{first}/cancel").status_code == 204
    assert slow.job(first)["state"] == {
        "status": "Cancelled",
        "reason": "Cancelled by its user.",
    }
    slow.running(second)


def test_a_running_job_can_be_deleted(slow: Server) -> None:
    job_id = slow.submit()
    slow.running(job_id)
    assert slow.ask("DELETE", f"/jobs/{job_id}").status_code == 204
    problem(slow.get(f"/jobs/{job_id}"), 404)
    problem(slow.ask("DELETE", f"/jobs/{job_id}"), 404)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        (coin(qubits=7), r"7 qubits; fake_manila has 5"),
        (coin(shots=0), r"0 shots asked for|shots must be positive"),
        ({}, "pubs"),
        ({"pubs": [[{"__type__": "QuantumCircuit", "__value__": "AAAA"}]]}, "QuantumCircuit"),
        ({"pubs": [[{"__type__": "ndarray", "__value__": "no base64"}]]}, "ndarray"),
        ({"pubs": [[{"__type__": "Bomb", "__value__": 1}]]}, "Bomb"),
        ({"pubs": [7]}, "7"),
    ],
)
def test_an_error_in_the_worker_fails_the_job_with_a_reason(
    server: Server, params: dict[str, Any], named: str
) -> None:
    job_id = server.submit(params=params)
    state = server.ended(job_id)["state"]
    assert (state["status"], state["reason_code"]) == ("Failed", 1517)
    assert re.search(named, state["reason"])
    assert server.get(f"/jobs/{job_id}/results").text == state["reason"]
    assert server.ended(server.submit())["status"] == "Completed", "the next job is unaffected"


def test_a_job_whose_worker_is_killed_is_run_again(slow: Server) -> None:
    # The first interim result shows how far the worker is.
    pub = COIN["params"]["pubs"][0]
    job_id = slow.submit(params={"pubs": [pub, pub]})
    path = f"/qsession/jobs/{job_id}/interim"
    eventually(lambda: slow.json(path)["interim"], "a busy worker")
    busy = worker_of(slow, job_id)
    os.kill(busy, signal.SIGKILL)
    eventually(lambda: slow.job(job_id)["qsession"]["attempts"] == 2, "a second attempt")
    eventually(lambda: slow.json(path)["interim"], "its work done again")
    assert busy not in workers(slow)
    os.kill(worker_of(slow, job_id), signal.SIGKILL)
    state = slow.ended(job_id)["state"]
    assert state["status"] == "Failed"
    assert re.search(r"died 2 times, last with status -9; .* \d+ bytes", state["reason"])


def test_lists_filter_page_and_count(server: Server) -> None:
    session_id = server.open(mode="batch")
    before = datetime.now(UTC)
    first = server.submit(session_id=session_id, tags=["list", "one"])
    second = server.submit(tags=["list"], backend="aer_simulator")
    third = server.submit(tags=["list", "one", "x"])
    for job_id in (first, second, third):
        server.ended(job_id)

    def ids(**query: Any) -> list[str]:
        return [job["id"] for job in server.json("/jobs", **query)["jobs"]]

    assert ids(tags="list") == [third, second, first], "newest first"
    assert ids(tags="list", sort="ASC") == [first, second, third]
    assert ids(tags=["list", "one"]) == [third, first], "all tags"
    assert ids(session_id=session_id) == [first]
    assert ids(tags="list", backend="aer_simulator") == [second]
    assert ids(tags="list", pending="true") == []
    assert ids(tags="list", pending="false") == [third, second, first]
    assert ids(tags="list", program="estimator") == []
    created = server.job(second)["created"]
    assert ids(tags="list", created_after=created) == [third, second], "inclusive"
    assert ids(tags="list", created_before=created) == [second, first]
    later = (before - timedelta(hours=1)).isoformat()
    assert ids(tags="list", created_before=later) == []
    page = server.json("/jobs", tags="list", limit=2, offset=1)
    assert [job["id"] for job in page["jobs"]] == [second, first]
    assert (page["count"], page["limit"], page["offset"]) == (3, 2, 1)
    assert all("params" not in job for job in page["jobs"])
    past = server.json("/jobs", tags="list", limit=20, offset=5)
    assert (past["jobs"], past["count"]) == ([], 5), "or the official client would never stop"
    assert server.json("/jobs", limit=10_000)["limit"] == 200


def test_a_key_returns_the_first_response_again(server: Server) -> None:
    key = {"Idempotency-Key": "once"}
    body = json.dumps({**COIN, "tags": ["once"]})

    def post(_: int) -> str:
        return str(server.ask("POST", "/jobs", data=body, headers=key).json()["id"])

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(post, range(16)))
    assert len(ids) == 1
    assert server.json("/jobs", tags="once")["count"] == 1
    sessions = {
        server.ask("POST", "/sessions", json={"backend": "fake_manila"}, headers=key).json()["id"]
        for _ in range(3)
    }
    assert len(sessions) == 1
    assert server.ask("POST", "/jobs", data=body).json()["id"] not in ids, "no key, no replay"
