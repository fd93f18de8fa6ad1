"""The service: its account, its features, and programs that it runs."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING

import pytest

from qsession_widget import (
    InvalidInputError,
    NotAuthorizedError,
    NotFoundError,
    QiskitRuntimeService,
    ServiceUnavailableError,
    Session,
)
from qsession_widget.local import process
from tests.client.circuits import bell
from tests.client.spy import requests_seen
from tests.client.throwaway import unused_address

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


def test_a_deleted_job_is_not_found(service: QiskitRuntimeService) -> None:
    inputs = {"pubs": [[bell(), [], 1]]}
    job_id = service.run("sampler", inputs, {"backend": "aer_simulator"}).job_id()
    service.delete_job(job_id)
    for what in (service.job, service.delete_job):
        with pytest.raises(NotFoundError, match=job_id):
            what(job_id)
