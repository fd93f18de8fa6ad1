"""The REST API of a real server, asked with plain requests."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
import requests
from qiskit import QuantumCircuit
from qiskit_ibm_runtime import RuntimeDecoder

from qsession_widget.local import process
from qsession_widget.runtime import bounds
from qsession_widget.wire import codec
from qsession_widget.wire.fields import API_PREFIX
from tests.conftest import DEADLINE_SECONDS, eventually, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY_LIMIT = 64 * 2**20
FINAL = {"Completed", "Failed", "Cancelled"}


@dataclass
class Server:
    """A runtime, asked as its owner unless a test says otherwise."""

    folder: Path
    url: str
    token: str
    pid: int

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return requests.request(
            method, self.url + path, headers=headers, timeout=DEADLINE_SECONDS, **options
        )

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.ask("GET", path, **options)

    def json(self, path: str, **query: Any) -> Any:
        answer = self.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def open(self, **body: Any) -> str:
        answer = self.ask("POST", "/sessions", json={"backend": "fake_manila", **body})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def send(self, **body: Any) -> requests.Response:
        return self.ask("POST", "/jobs", data=json.dumps({**COIN, **body}))

    def submit(self, **body: Any) -> str:
        answer = self.send(**body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> Any:
        return self.json(f"/jobs/{job_id}", exclude_params="true")

    def status(self, job_id: str) -> str:
        return str(self.job(job_id)["state"]["status"])

    def ended(self, job_id: str) -> Any:
        eventually(lambda: self.status(job_id) in FINAL, "the end of a job")
        return self.job(job_id)

    def running(self, job_id: str) -> None:
        eventually(lambda: self.status(job_id) == "Running", "a running job")


def coin(qubits: int = 1, shots: int = 10) -> dict[str, Any]:
    circuit = QuantumCircuit(qubits, name="coin")
    circuit.x(0)
    circuit.measure_all()
    return dict(json.loads(codec.dumps({"pubs": [[circuit, [], shots]]})))


COIN: dict[str, Any] = {"program_id": "sampler", "backend": "fake_manila", "params": coin()}


def reached(folder: Path) -> Server:
    found = process.endpoint(start=False, folder=folder)
    return Server(folder, found.url + API_PREFIX, found.token, found.pid)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("http"), "--workers", "2") as folder:
        yield reached(folder)


@pytest.fixture
def slow(slow_home: Path) -> Iterator[Server]:
    """A runtime whose jobs last an hour; what a test leaves in it is cancelled."""
    found = reached(slow_home)
    yield found
    for job in found.json("/jobs", pending="true", limit=200)["jobs"]:
        found.ask("POST", f"/jobs/{job['id']}/cancel")


def problem(answer: requests.Response, status: int) -> str:
    """Check the shape of an error, and give its message and what it advises."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["trace"]
    (error,) = body["errors"]
    assert set(error) == {"code", "message", "solution", "more_info"}
    assert isinstance(error["code"], int)
    return f"{error['message']} {error['solution']}"


# -- who asks ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic {token}"},
        {"Authorization": "{token}"},
        {"Authorization": "Bearer {token}x"},
        {"Authorization": "Bearer \xe4\xff"},
    ],
)
@pytest.mark.parametrize("path", ["/backends", "/jobs", "/qsession", "/nowhere"])
def test_without_the_right_token_nothing_is_told(
    server: Server, headers: dict[str, str], path: str
) -> None:
    given = {
        name: text.format(token=server.token).encode("latin-1") for name, text in headers.items()
    }
    answer = requests.get(server.url + path, headers=given, timeout=DEADLINE_SECONDS)
    assert "token" in problem(answer, 401)
    assert server.token not in answer.text


def test_the_token_is_in_no_log(server: Server) -> None:
    server.get("/nowhere")
    requests.get(server.url + "/jobs", headers={"Authorization": "Bearer no"}, timeout=9)
    log = (server.folder / "runtime.log").read_text()
    assert "serving at" in log
    assert server.token not in log


# -- requests that are wrong ---------------------------------------------------------------


def test_an_unknown_backend_is_named_with_those_that_exist(server: Server) -> None:
    for answer in (
        server.get("/backends/fake_nowhere/configuration"),
        server.get("/backends/fake_nowhere/properties"),
        server.get("/backends/fake_nowhere/status"),
        server.send(backend="fake_nowhere"),
        server.ask("POST", "/sessions", json={"backend": "fake_nowhere"}),
    ):
        said = problem(answer, 404)
        assert "fake_nowhere" in said
        assert "fake_manila" in said


def test_an_unknown_program_is_named_with_those_that_exist(server: Server) -> None:
    said = problem(server.send(program_id="dream"), 404)
    assert "dream" in said
    assert "sampler, estimator" in said


@pytest.mark.parametrize("max_ttl", [0, -1, 28_801, 10**30, 1.5, "10m", True, None, [], {}])
def test_a_maximum_time_that_cannot_be_is_refused_with_the_limit(
    server: Server, max_ttl: Any
) -> None:
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
def test_sessions_that_cannot_be(server: Server, change: dict[str, Any], named: str) -> None:
    body = {"backend": "fake_manila", **change}
    assert named in problem(server.ask("POST", "/sessions", json=body), 400)


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
        ({"qsession": 3}, "optimization_level"),
    ],
)
def test_jobs_that_cannot_be(server: Server, change: dict[str, Any], named: str) -> None:
    assert named in problem(server.send(**change), 400)


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
def test_a_log_has_as_much_as_was_asked_for(
    server: Server, level: str | None, said: list[str], silent: list[str]
) -> None:
    pubs = {"pubs": [["no circuit"]], "version": 2}
    job_id = server.send(params=pubs, log_level=level).json()["id"]
    server.ended(job_id)
    log = server.get(f"/jobs/{job_id}/logs").text
    assert [part for part in said if part not in log] == []
    assert [part for part in silent if part in log] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff\xfe\x00",
        b'{"a": NaN}',
        b'{"tags": ["\\ud800"]}',
        b'{"program_id": "\\uDfff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
    ids=repr,
)
@pytest.mark.parametrize("path", ["/jobs", "/sessions"])
def test_bodies_that_are_no_json_object(server: Server, body: bytes, path: str) -> None:
    too_large = path == "/sessions" and len(body) > bounds.SMALL_BODY_BYTES
    problem(server.ask("POST", path, data=body), 413 if too_large else 400)


@pytest.mark.parametrize("params", ['{"a": 1e999}', '{"a":' * 900 + "1" + "}" * 900])
def test_odd_params_are_taken_or_refused_but_never_a_fault(server: Server, params: str) -> None:
    text = '{"program_id": "sampler", "backend": "fake_manila", "params": ' + params + "}"
    answer = server.ask("POST", "/jobs", data=text)
    assert answer.status_code in {200, 400}, answer.text
    if answer.status_code == 200:
        job_id = answer.json()["id"]
        assert server.ended(job_id)["state"]["status"] == "Failed"
        assert server.get(f"/jobs/{job_id}").status_code == 200


def test_an_oversized_body_is_refused_with_the_limit(server: Server) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(BODY_LIMIT // 2**20 + 1):
            yield b" " * 2**20

    assert str(BODY_LIMIT) in problem(server.ask("POST", "/jobs", data=chunks()), 413)
    assert server.get("/qsession").status_code == 200


def test_what_does_not_exist_is_404_in_the_same_shape(server: Server) -> None:
    for method, path in (
        ("GET", "/jobs/nope"),
        ("DELETE", "/jobs/nope"),
        ("POST", "/jobs/nope/cancel"),
        ("GET", "/jobs/nope/results"),
        ("GET", "/jobs/nope/logs"),
        ("GET", "/jobs/nope/metrics"),
        ("GET", "/qsession/jobs/nope/interim"),
        ("GET", "/sessions/nope"),
        ("DELETE", "/sessions/nope/close"),
        ("POST", "/qsession/sessions/nope/cancel_queued"),
        ("GET", "/qsession/watch?session_id=nope"),
        ("GET", "/sessions/%00%ff%F0%9F%92%A9"),
        ("GET", "/nowhere"),
    ):
        problem(server.ask(method, path), 404)
    body = {"accepting_jobs": False}
    assert "nope" in problem(server.ask("PATCH", "/sessions/nope", json=body), 404)
    assert "nope" in problem(server.send(session_id="nope"), 404)
    problem(server.ask("PUT", "/backends"), 405)


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=x",
        "offset=-5",
        "created_after=yesterday",
        "created_before=2026-13-01",
        "offset=1e3",
    ],
)
def test_queries_that_cannot_be_read(server: Server, query: str) -> None:
    problem(server.get(f"/jobs?{query}"), 400)


@pytest.mark.parametrize(
    "query",
    [
        f"offset={10**30}",
        f"limit={10**30}",
        "limit=0",
        "created_after=0001-01-01T00:00:00%2B23:59",
        "created_before=9999-12-31T23:59:59-23:59",
        "tags=%ff&tags=%00",
    ],
)
def test_odd_queries_are_answered(server: Server, query: str) -> None:
    assert server.get(f"/jobs?{query}").status_code == 200


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sort=SIDEWAYS", "sort is 'SIDEWAYS'"),
        ("sort=", "sort is ''"),
        ("pending=perhaps", "pending is 'perhaps'"),
        ("include_mocks=2", "include_mocks is '2'"),
    ],
)
def test_queries_that_cannot_be_meant_are_refused(server: Server, query: str, said: str) -> None:
    answer = server.get(f"/jobs?{query}")
    assert answer.status_code == 400
    assert said in answer.json()["errors"][0]["message"]


def test_a_watch_from_the_far_future_waits_for_nothing(server: Server) -> None:
    path = f"/qsession/watch?session_id={server.open()}&since={10**30}"
    assert server.get(path).status_code == 304


def test_the_job_of_another_device_than_its_sessions(server: Server) -> None:
    said = problem(server.send(session_id=server.open(), backend="fake_torino"), 400)
    assert "fake_torino" in said
    assert "fake_manila" in said


# -- devices -------------------------------------------------------------------------------


def test_every_device_can_be_read(server: Server) -> None:
    devices = server.json("/backends")["devices"]
    assert {"fake_manila", "fake_torino", "ibmq_qasm_simulator", "aer_simulator"} <= {
        device["name"] for device in devices
    }
    assert len(devices) > 50
    for device in devices:
        name = device["name"]
        configuration = server.json(f"/backends/{name}/configuration")
        assert (configuration["backend_name"], configuration["n_qubits"]) == (
            name,
            device["qubits"],
        )
        assert configuration["simulator"] is device["is_simulator"]
        properties = server.json(f"/backends/{name}/properties")
        assert properties.get("backend_name") == (None if device["is_simulator"] else name)
        assert server.json(f"/backends/{name}/status")["state"] is True


# -- sessions ------------------------------------------------------------------------------


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


def test_every_field_of_a_session_is_there_at_each_stage(server: Server) -> None:
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


def test_closing_and_cancelling_are_the_same_once_and_twice(server: Server) -> None:
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


def test_cancelling_what_is_queued_leaves_the_session_open(slow: Server) -> None:
    session_id = slow.open()
    first, second = (slow.submit(session_id=session_id) for _ in range(2))
    slow.running(first)
    path = f"/qsession/sessions/{session_id}/cancel_queued"
    assert slow.ask("POST", path).json() == {"cancelled": [second]}
    session = slow.json(f"/sessions/{session_id}")
    assert (session["state"], session["accepting_jobs"]) == ("active", True)
    slow.ask("DELETE", f"/sessions/{session_id}/close")


# -- jobs ----------------------------------------------------------------------------------


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
def test_what_the_worker_finds_out_fails_the_job_by_name(
    server: Server, params: dict[str, Any], named: str
) -> None:
    job_id = server.submit(params=params)
    state = server.ended(job_id)["state"]
    assert (state["status"], state["reason_code"]) == ("Failed", 1517)
    assert re.search(named, state["reason"])
    assert server.get(f"/jobs/{job_id}/results").text == state["reason"]
    assert server.ended(server.submit())["status"] == "Completed", "the next job is unharmed"


def test_a_job_whose_worker_is_killed_is_run_again(slow: Server) -> None:
    # What the first pub gives tells that a worker has come so far.
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


def worker_of(server: Server, job_id: str) -> int:
    """Give the process that runs a job."""
    (busy,) = (
        worker["pid"]
        for worker in server.json("/qsession/status")["workers"]
        if worker["job_id"] == job_id
    )
    return int(busy)


def workers(server: Server) -> set[int]:
    """Give the processes that run jobs: children of a child of the server."""
    children = psutil.Process(server.pid).children()
    return {worker.pid for child in children for worker in child.children()}


# -- lists ---------------------------------------------------------------------------------


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
    assert (past["jobs"], past["count"]) == ([], 5), "or the official client never stops"
    assert server.json("/jobs", limit=10_000)["limit"] == 200


# -- idempotency ---------------------------------------------------------------------------


def test_a_key_gives_the_first_answer_again(server: Server) -> None:
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


def test_a_key_outlives_the_closing_of_its_session(server: Server) -> None:
    session_id = server.open()
    key = {"Idempotency-Key": "before the end"}
    body = json.dumps({**COIN, "session_id": session_id})
    first = server.ask("POST", "/jobs", data=body, headers=key).json()
    server.ask("DELETE", f"/sessions/{session_id}/close")
    assert server.ask("POST", "/jobs", data=body, headers=key).json() == first


# -- waiting -------------------------------------------------------------------------------


def test_a_tag_of_what_is_known_gives_304_and_a_held_request_the_change(slow: Server) -> None:
    job_id = slow.submit()
    slow.running(job_id)
    path = f"/jobs/{job_id}"
    etag = slow.get(path).headers["ETag"]
    known = {"If-None-Match": etag}
    answer = slow.get(path, headers=known)
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    assert "Preference-Applied" not in answer.headers
    answer = slow.get(path, headers={**known, "Prefer": "wait=0.05"})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (304, "wait")
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(slow.get, path, headers={**known, "Prefer": "wait=30"})
        slow.ask("POST", f"{path}/cancel")
        answer = held.result(DEADLINE_SECONDS)
    assert answer.status_code == 200
    assert answer.json()["state"]["status"] == "Cancelled"
    assert answer.headers["ETag"] != etag


def test_deleting_a_job_ends_the_request_that_waits_for_it(server: Server) -> None:
    job_id = server.submit()
    server.ended(job_id)
    path = f"/jobs/{job_id}"
    headers = {"If-None-Match": server.get(path).headers["ETag"], "Prefer": "wait=30"}
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(server.get, path, headers=headers)
        server.ask("DELETE", path)
        problem(held.result(DEADLINE_SECONDS), 404)


def test_a_watch_misses_no_change_in_a_burst(server: Server) -> None:
    """Replaying what a watch told gives exactly the final listing."""
    session_id = server.open()
    count = 200
    known: dict[str, Any] = {}
    seen: dict[str, list[str]] = {}
    submitted: list[str] = []
    errors: list[str] = []

    def watch() -> None:
        since = 0
        while len([each for each in known.values() if each["status"] in FINAL]) < count:
            answer = server.get(
                "/qsession/watch",
                params={"session_id": session_id, "since": since},
                headers={"Prefer": "wait=20"},
            )
            if answer.status_code != 200:
                errors.append(f"{answer.status_code}: {answer.text}")
                return
            body = answer.json()
            if body["revision"] <= since:
                errors.append("a revision that is not newer")
                return
            since = body["revision"]
            for job in body["jobs"]:
                known[job["id"]] = job
                seen.setdefault(job["id"], []).append(job["status"])
            final = sum(each["status"] in FINAL for each in known.values())
            live = body["session"]["qsession"]["queued"] + body["session"]["qsession"]["running"]
            if final + live != len(known):
                errors.append("session and jobs are from different moments")

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        bodies = [{"session_id": session_id, "params": {"n": n}} for n in range(count)]
        submitted = list(pool.map(lambda body: server.submit(**body), bodies))
    watcher.join(DEADLINE_SECONDS * 2)
    assert not watcher.is_alive(), f"{len(known)} jobs seen"
    assert errors == []
    listed = server.json("/jobs", session_id=session_id, limit=200)["jobs"]
    assert sorted(submitted) == sorted(job["id"] for job in listed)
    assert {job["id"]: job["state"] for job in listed} == {
        job_id: job["state"] for job_id, job in known.items()
    }
    server.ask("DELETE", f"/sessions/{session_id}/close")
    order = ["Queued", "Running", "Failed"]
    for states in seen.values():
        assert states == sorted(states, key=order.index), "no state comes again"


def test_interim_results_come_one_by_one_and_are_held(slow: Server) -> None:
    pub = COIN["params"]["pubs"][0]
    job_id = slow.submit(params={"pubs": [pub, pub, pub]})
    path = f"/qsession/jobs/{job_id}/interim"
    found: list[str] = []

    def both() -> bool:
        body = slow.get(path, params={"after": len(found)}, headers={"Prefer": "wait=5"}).json()
        found.extend(body["interim"])
        assert body["next"] == len(found)
        assert body["final"] is False
        return len(found) == 2

    eventually(both, "two interim results")
    assert [codec.loads(text).data.meas.num_shots for text in found] == [10, 10]
    slow.ask("POST", f"/jobs/{job_id}/cancel")
    assert slow.json(path) == {"interim": [], "next": 0, "final": True}


def test_there_was_no_fault_in_all_this(server: Server) -> None:
    """Kept last: nothing above may have been answered with a fault of the server."""
    log = (server.folder / "runtime.log").read_text()
    assert "failed\nTraceback" not in log
    assert "Exception in ASGI" not in log
    assert "never retrieved" not in log
    assert "a step of the runtime failed" not in log
