"""A runtime for tests of its HTTP layer, with plain requests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import requests
from qiskit import QuantumCircuit

from qsession_widget.local import process
from qsession_widget.wire import codec
from qsession_widget.wire.fields import API_PREFIX
from tests.conftest import DEADLINE_SECONDS, eventually

if TYPE_CHECKING:
    from pathlib import Path

FINAL = {"Completed", "Failed", "Cancelled"}


@dataclass
class Server:
    """A runtime, used as its administrator unless a test says otherwise."""

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


def problem(answer: requests.Response, status: int) -> str:
    """Check the form of an error, and return its message and advice."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["trace"]
    (error,) = body["errors"]
    assert set(error) == {"code", "message", "solution", "more_info"}
    assert isinstance(error["code"], int)
    return f"{error['message']} {error['solution']}"


def worker_of(server: Server, job_id: str) -> int:
    """Return the process that runs a job."""
    (busy,) = (
        worker["pid"]
        for worker in server.json("/qsession/status")["workers"]
        if worker["job_id"] == job_id
    )
    return int(busy)


def workers(server: Server) -> set[int]:
    """Return the processes that run jobs: grandchildren of the server."""
    children = psutil.Process(server.pid).children()
    return {worker.pid for child in children for worker in child.children()}
