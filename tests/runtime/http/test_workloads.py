"""Workloads, tags, usage, mock devices, calibrations and private results, as clients see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from qiskit import QuantumCircuit

from qsession_widget.local import process
from qsession_widget.wire import codec
from tests.conftest import eventually, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Client:
    """A plain client of the REST API."""

    def __init__(self, home: Path) -> None:
        found = process.endpoint(start=False, folder=home)
        self._root = f"{found.url}/api/v1"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {found.token}"

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        return self._session.request(method, self._root + path, timeout=30, **more)

    def json(self, path: str, **query: Any) -> Any:
        answer = self.ask("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @staticmethod
    def submission(**more: Any) -> str:
        circuit = QuantumCircuit(1, 1)
        circuit.measure(0, 0)
        params = codec.dumps({"pubs": [[circuit, [], 10]], "version": 2})
        body = {"program_id": "sampler", "backend": "fake_manila", **more}
        return codec.dumps(body)[:-1] + f',"params":{params}}}'

    def submit(self, **more: Any) -> str:
        answer = self.ask("POST", "/jobs", data=self.submission(**more))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def run(self, **more: Any) -> str:
        job_id = self.submit(**more)
        eventually(lambda: self.json(f"/jobs/{job_id}")["status"] == "Completed", "the result")
        return job_id


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    options = ("--copies", "fake_manila=3", "--alias", "test_eagle=fake_manila")
    with running(tmp_path_factory.mktemp("listing"), *options) as folder:
        yield folder


@pytest.fixture(scope="module")
def client(home: Path) -> Client:
    return Client(home)


def test_older_revisions_of_the_api_list_names(client: Client) -> None:
    older = client.ask("GET", "/backends", headers={"IBM-API-Version": "2024-01-01"}).json()
    newer = client.ask("GET", "/backends", headers={"IBM-API-Version": "2025-05-01"}).json()
    assert older["devices"] == [each["name"] for each in newer["devices"]]
    assert client.json("/backends") == newer
    assert client.json("/backends/fake_manila/defaults") == {}
    assert client.ask("GET", "/backends/unknown/defaults").status_code == 404


def test_tags_and_versions_are_listed(client: Client) -> None:
    client.submit(tags=["zebra-1", "zebra 2"])
    client.submit(tags=["zebra 2", "horse", "100%zebra"])
    assert client.json("/tags", type="job", search="zebra") == {
        "tags": ["100%zebra", "zebra 2", "zebra-1"]
    }
    assert client.json("/tags", search="0%z") == {"tags": ["100%zebra"]}
    assert client.ask("GET", "/tags?type=session").status_code == 400
    versions = [each["version"] for each in client.json("/versions")["versions"]]
    assert versions == sorted(versions) == ["2024-01-01", "2026-04-15"]


def test_a_private_job_is_called_private_at_once(client: Client) -> None:
    answer = client.ask("POST", "/jobs", data=client.submission(private=True)).json()
    assert answer["private"] is True


def ids(answer: dict[str, Any]) -> list[str]:
    return [workload["id"] for workload in answer["workloads"]]


def test_workloads_are_sessions_batches_and_jobs_outside_of_them(client: Client) -> None:
    body = {"mode": "batch", "backend": "fake_manila_2", "max_ttl": 600}
    batch = client.ask("POST", "/sessions", json=body).json()["id"]
    session = client.ask("POST", "/sessions", json={**body, "mode": "dedicated"}).json()["id"]
    inside = client.run(backend="fake_manila_2", session_id=batch)
    alone = client.run(backend="fake_manila_2", tags=["red", "round"])
    client.ask("DELETE", f"/sessions/{session}/close")

    def found(**query: Any) -> list[str]:
        return ids(client.json("/workloads", backend="fake_manila_2", **query))

    assert found() == [alone, session, batch]
    assert inside not in found(limit=200)
    assert found(sort="ASC") == [batch, session, alone]
    assert found(mode="job") == [alone]
    assert found(mode=["session", "batch"]) == [session, batch]
    assert found(status="canceled") == [session]
    assert found(status=["in_progress"]) == [batch]
    assert found(tags=["red", "round"]) == [alone]
    assert found(tags=["red", "square"]) == []
    assert found(search=batch[:13]) == [batch]
    assert found(search="roun") == [alone]
    assert found(search="%") == []
    (listed,) = client.json("/workloads", search=session)["workloads"]
    assert (listed["mode"], listed["accepting_jobs"]) == ("session", False)
    assert listed["created"] < listed["ended"]
    assert listed["usage"] == {
        "qpu_charge_time_seconds": 0.0,
        "quantum_seconds": 0.0,
        "status": "complete",
    }
    created = {each["id"]: each["created"] for each in client.json("/workloads")["workloads"]}
    assert found(created_after=created[session]) == [alone, session]
    assert found(created_before=created[session]) == [session, batch]


def test_workloads_come_in_pages(client: Client) -> None:
    made = [client.run(backend="fake_manila_3") for _ in range(5)]
    query = {"backend": "fake_manila_3", "limit": 2, "sort": "ASC"}
    pages: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.json("/workloads", **query, **cursor)
        assert page["total_count"] == 5
        pages.append(ids(page))
        if "next" not in page:
            break
        cursor = {"next": page["next"]}
    assert pages == [made[:2], made[2:4], made[4:]]
    assert ids(client.json("/workloads", **query, previous=page["previous"])) == made[2:4]


@pytest.mark.parametrize(
    "query",
    [
        {"mode": "dance"},
        {"status": "ok"},
        {"next": "!"},
        {"previous": "-1"},
        {"next": "1", "previous": "x"},
        {"sort": "up"},
        {"limit": "x"},
    ],
)
def test_workloads_refuse_unknown_parameters(client: Client, query: dict[str, str]) -> None:
    answer = client.ask("GET", "/workloads", params=query)
    assert answer.status_code == 400
    name = list(query)[-1]
    assert f"{name} is" in answer.json()["errors"][0]["message"]


def test_tags_are_replaced_and_found(client: Client) -> None:
    job_id = client.run(tags=["old"])
    answer = client.ask("PUT", f"/jobs/{job_id}/tags", json={"tags": ["new", "bright"]})
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.json(f"/jobs/{job_id}")["tags"] == ["new", "bright"]
    assert [job["id"] for job in client.json("/jobs", tags="bright")["jobs"]] == [job_id]
    assert client.ask("PUT", f"/jobs/{job_id}/tags", json={"tags": "new"}).status_code == 400
    assert client.ask("PUT", "/jobs/unknown/tags", json={"tags": []}).status_code == 404


def test_a_waiting_job_keeps_the_tags_it_is_given(slow_home: Path) -> None:
    client = Client(slow_home)
    first, second = (client.submit(backend="fake_lima") for _ in range(2))
    assert client.ask("PUT", f"/jobs/{second}/tags", json={"tags": ["late"]}).status_code == 204
    client.ask("POST", f"/jobs/{first}/cancel")
    eventually(lambda: client.json(f"/jobs/{second}")["status"] == "Running", "the second job")
    assert client.json(f"/jobs/{second}")["tags"] == ["late"]
    client.ask("POST", f"/jobs/{second}/cancel")


def test_usage_is_whole_seconds_that_jobs_held_devices(client: Client) -> None:
    usage = client.json("/instances/usage")
    assert isinstance(usage["usage_consumed_seconds"], int)
    assert usage["usage_limit_seconds"] > usage["usage_consumed_seconds"]
    assert usage["usage_limit_reached"] is False


def test_copies_aliases_and_mocks_are_devices_of_their_own(client: Client) -> None:
    listed = {device["name"]: device for device in client.json("/backends")["devices"]}
    assert {"fake_manila", "fake_manila_2", "fake_manila_3", "test_eagle"} <= set(listed)
    assert not any(name.startswith("mock_") for name in listed)
    everything = client.json("/backends", include_mocks="True")["devices"]
    mocks = {device["name"]: device for device in everything if device.get("class") == "mock"}
    assert {"mock_manila", "mock_manila_2", "mock_eagle"} <= set(mocks)
    assert len(mocks) == len(listed) - 2  # the simulators have none
    for name in ("test_eagle", "mock_manila_2"):
        assert client.json(f"/backends/{name}/configuration")["backend_name"] == name
        assert client.json(f"/backends/{name}/properties")["backend_name"] == name
    dry = client.run(backend="mock_eagle")
    assert client.json(f"/jobs/{dry}")["backend"] == "mock_eagle"
    assert dry not in [job["id"] for job in client.json("/jobs")["jobs"]]
    for query in ({"include_mocks": "True"}, {"backend": "mock_eagle"}):
        assert dry in [job["id"] for job in client.json("/jobs", **query)["jobs"]]


def test_an_unknown_calibration_is_refused(client: Client) -> None:
    for what in ("configuration", "properties"):
        answer = client.ask("GET", f"/backends/fake_manila/{what}", params={"calibration_id": "x"})
        assert answer.status_code == 404
    body = {"program_id": "sampler", "backend": "fake_manila", "calibration_id": "x", "params": {}}
    assert client.ask("POST", "/jobs", json=body).status_code == 400


def test_a_private_jobs_result_is_returned_once(client: Client) -> None:
    job_id = client.run(private=True)
    first, second = (client.ask("GET", f"/jobs/{job_id}/results") for _ in range(2))
    assert codec.loads(first.text)[0].data.c.num_shots == 10
    assert (second.status_code, second.content) == (204, b"")
    assert "params" not in client.json(f"/jobs/{job_id}")


def test_metrics_name_the_qiskit_that_ran_the_job(client: Client) -> None:
    metrics = client.json(f"/jobs/{client.run()}/metrics")
    assert metrics["qiskit_version"].count(".") == 2
    assert metrics["usage"]["status"] == "complete"


def test_the_usage_of_a_job_is_what_each_release_of_ibms_client_reads(client: Client) -> None:
    job_id = client.run()
    for document in (client.json(f"/jobs/{job_id}/metrics"), client.json(f"/jobs/{job_id}")):
        usage = document["usage"]
        # RuntimeJobV2.usage(): releases 0.30 to 0.47, and those since.
        assert usage["quantum_seconds"] == usage["qpu_charge_time_seconds"] > 0
