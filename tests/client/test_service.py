"""The service: devices, accounts, lists of jobs."""

from __future__ import annotations

import copy
import inspect
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import JSONResponse

from qsession_widget import (
    Batch,
    InvalidInputError,
    NotAuthorizedError,
    NotFoundError,
    QiskitRuntimeService,
    ServiceUnavailableError,
    Session,
)
from qsession_widget.client import service as service_module
from qsession_widget.client.service import default_service
from qsession_widget.local import process
from tests.client.circuits import bell
from tests.client.spy import requests_seen
from tests.client.throwaway import Script, serving, unused_address

if TYPE_CHECKING:
    from pathlib import Path


# Construction


def test_without_an_account_it_is_the_local_runtime(runtime: Path) -> None:
    service = QiskitRuntimeService()
    found = process.endpoint(start=False, folder=runtime)
    assert service.active_account() == {
        "channel": "local",
        "url": found.url,
        "instance": None,
        "verify": True,
    }
    assert found.token not in repr(service) + str(service.active_account())


def test_a_runtime_of_another_user_is_joined(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = process.endpoint(folder=runtime)
    monkeypatch.setenv("QSESSION_HOME", str(tmp_path / "mine"))
    for url in (found.url, found.url + "/", found.url + "/api/v1"):
        service = QiskitRuntimeService("local", found.token, url)
        assert service.backend("fake_manila").num_qubits == 5
    assert not (tmp_path / "mine").exists(), "no runtime is started"


def test_a_wrong_token(runtime: Path) -> None:
    url = process.endpoint(folder=runtime).url
    service = QiskitRuntimeService("local", "wr0ng", url)
    with pytest.raises(NotAuthorizedError, match="401") as caught:
        service.backends()
    assert "wr0ng" not in str(caught.value)


def test_an_unreachable_server(runtime: Path) -> None:
    assert runtime
    url = unused_address()
    with pytest.raises(ServiceUnavailableError, match="refused") as caught:
        Session(QiskitRuntimeService("local", "t", url), "fake_manila")
    assert url in str(caught.value)


def test_a_closed_service(service: QiskitRuntimeService) -> None:
    assert not service.closed
    service.close()
    service.close()
    assert service.closed
    with pytest.raises(ServiceUnavailableError, match="was closed"):
        service.backends()


def test_the_default_service_is_one_for_all_threads(runtime: Path) -> None:
    assert runtime
    found: list[QiskitRuntimeService] = []
    threads = [threading.Thread(target=lambda: found.append(default_service())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    found[0].close()
    assert default_service() is not found[0], "a closed service is replaced"


def test_features_are_requested_once(
    service: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = requests_seen(monkeypatch)
    assert {"watch", "interim", "transpile"} <= service.features
    assert "watch" in service.features
    assert len(seen) == 1


def test_a_copy_is_the_same_connection(service: QiskitRuntimeService) -> None:
    backend = service.backend("fake_manila")
    assert copy.deepcopy({"a": backend})["a"] is backend
    assert copy.deepcopy(service) is service


# Devices


def test_lists_take_their_arguments_in_the_order_of_the_official_client() -> None:
    from qiskit_ibm_runtime import QiskitRuntimeService as Official  # noqa: PLC0415 - slow

    for method in ("jobs", "backends", "least_busy", "backend"):
        ours, theirs = (
            [
                name
                for name, each in inspect.signature(getattr(kind, method)).parameters.items()
                if each.kind is each.POSITIONAL_OR_KEYWORD
            ]
            for kind in (QiskitRuntimeService, Official)
        )
        assert ours == theirs[: len(ours)], method
        assert len(ours) > 2


# Jobs


def test_run_needs_a_backend_that_exists(service: QiskitRuntimeService) -> None:
    with pytest.raises(InvalidInputError, match="options name no backend"):
        service.run("sampler", {})
    with pytest.raises(NotFoundError, match="fake_unknown"):
        service.run("sampler", {}, {"backend": "fake_unknown"})
    with pytest.raises(NotFoundError, match=r"spectroscopy.*sampler, estimator"):
        service.run("spectroscopy", {}, {"backend": "fake_manila"})
    with pytest.raises(InvalidInputError, match="program_id=''"):
        service.run("", {}, {"backend": "fake_manila"})
    with pytest.raises(InvalidInputError, match="has no instances"):
        service.run("sampler", {}, {"backend": "fake_manila", "instance": "crn:other"})


def send(service: QiskitRuntimeService, tag: str, count: int) -> list[str]:
    options = {"backend": "aer_simulator", "job_tags": [tag]}
    inputs = {"pubs": [[bell(), [], 1]]}
    return [service.run("sampler", inputs, options).job_id() for _ in range(count)]


def test_jobs_are_listed_newest_first(service: QiskitRuntimeService) -> None:
    sent = send(service, "listed", 5)
    listed = [job.job_id() for job in service.jobs(job_tags=["listed"])]
    assert listed == sent[::-1]
    oldest_first = service.jobs(job_tags=["listed"], descending=False)
    assert [job.job_id() for job in oldest_first] == sent
    assert [job.job_id() for job in service.jobs(2, 1, job_tags=["listed"])] == sent[3:1:-1]
    assert service.jobs(job_tags=["listed"], skip=5) == []
    assert service.jobs(limit=0) == []
    assert service.jobs(job_tags=["listed", "more"]) == []
    assert service.jobs(job_tags=["listed"], backend_name="fake_torino") == []
    assert service.jobs(job_tags=["listed"], program_id="estimator") == []
    for job in oldest_first:
        job.wait_for_final_state()
    assert service.jobs(job_tags=["listed"], pending=True) == []
    assert len(service.jobs(job_tags=["listed"], pending=False)) == 5
    now = datetime.now(UTC)
    assert len(service.jobs(job_tags=["listed"], created_after=now - timedelta(hours=1))) == 5
    assert service.jobs(job_tags=["listed"], created_before=now - timedelta(hours=1)) == []


@pytest.mark.parametrize("arguments", [{"limit": -1}, {"skip": -1}, {"limit": 1.5}])
def test_invalid_limits_are_refused(
    service: QiskitRuntimeService, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError, match=f"{next(iter(arguments))}="):
        service.jobs(**arguments)


def test_pages_repeat_nothing_when_jobs_arrive_between_them(
    service: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "PAGE", 4)
    sent = send(service, "paged", 10)
    ask = service.api.jobs
    late: list[str] = []

    def asked(**query: Any) -> Any:
        page = ask(**query)
        if len(late) < 2:
            late.extend(send(service, "paged", 1))
        return page

    monkeypatch.setattr(service.api, "jobs", asked)
    listed = [job.job_id() for job in service.jobs(limit=None, job_tags=["paged"])]
    assert len(listed) == len(set(listed))
    assert set(sent) <= set(listed)


def test_pages_end_when_jobs_vanish_between_them(
    service: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "PAGE", 4)
    sent = send(service, "vanishing", 10)
    ask = service.api.jobs
    left = list(sent)

    def asked(**query: Any) -> Any:
        page = ask(**query)
        for _ in range(min(4, len(left))):
            service.delete_job(left.pop())
        return page

    monkeypatch.setattr(service.api, "jobs", asked)
    listed = [job.job_id() for job in service.jobs(limit=None, job_tags=["vanishing"])]
    assert listed[:4] == sent[:5:-1]
    assert len(listed) == len(set(listed))
    assert set(listed) <= set(sent)


def test_a_deleted_job_is_not_found(service: QiskitRuntimeService) -> None:
    (job_id,) = send(service, "deleted", 1)
    service.delete_job(job_id)
    for what in (service.job, service.delete_job):
        with pytest.raises(NotFoundError, match=job_id):
            what(job_id)


# Sessions


def test_sessions_are_listed(
    service: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "PAGE", 2)
    since = datetime.now(UTC)
    opened = [kind(service, "fake_manila") for kind in (Session, Batch, Session, Session, Batch)]
    opened[0].close()
    Session(service, "fake_torino").close()

    def ids(**wanted: Any) -> list[str]:
        found = service.sessions(**{"limit": None, "created_after": since, **wanted})
        return [each.id for each in found]

    newest_first = [str(session.session_id) for session in opened[::-1]]
    assert ids(backend_name="fake_manila") == newest_first
    assert ids(backend_name="fake_manila", limit=3) == newest_first[:3]
    assert ids(backend_name="fake_manila", pending=True) == newest_first[:-1]
    assert ids(backend_name="fake_manila", pending=False) == newest_first[-1:]
    assert ids(mode="batch") == [newest_first[0], newest_first[3]]
    assert ids(created_before=since) == ids(limit=0) == []
    newest = service.sessions(1, backend_name="fake_manila")[0]
    assert (newest.mode, newest.status, newest.accepting_jobs) == ("batch", "pending", True)
    assert newest.created_at is not None
    assert newest.created_at >= since - timedelta(seconds=1)
    assert (newest.ended_at, newest.usage_seconds) == (None, 0)
    assert Batch.from_id(newest.id, service).close() == "closed: all its jobs are over"
    assert service.sessions(1, backend_name="fake_manila")[0].ended_at is not None
    for session in opened:
        session.close()


@pytest.mark.parametrize("arguments", [{"limit": -1}, {"mode": "session"}])
def test_invalid_queries_for_sessions_are_refused(
    service: QiskitRuntimeService, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError, match=f"{next(iter(arguments))}="):
        service.sessions(**arguments)


def test_circular_pages_of_sessions_end() -> None:
    page = {"workloads": [{"id": "s", "mode": "session", "status": "pending"}], "next": "again"}
    with serving(Script(JSONResponse(page)).app) as root:
        (found,) = QiskitRuntimeService("local", "t", root).sessions(limit=None)
    unknown = (found.backend_name, found.accepting_jobs, found.usage_seconds, found.created_at)
    assert unknown == (None,) * 4
