"""The service that is used where none is named, and errors that name its account."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeQuitoV2

from qsession_widget import (
    Batch,
    Estimator,
    Executor,
    QiskitRuntimeService,
    QSessionError,
    Sampler,
    Session,
)
from qsession_widget.client.default_service import default_service
from tests.client.circuits import bell
from tests.client.throwaway import unused_address

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/1:2::"
NAME = "ibm_torino"

WAYS: dict[str, Callable[[], object]] = {
    "Session(name)": lambda: Session(backend=NAME),
    "Session()": Session,
    "Batch(name)": lambda: Batch(backend=NAME),
    "Sampler(name)": lambda: Sampler(NAME),
    "Sampler(backend=name)": lambda: Sampler(backend=NAME),
    "Sampler().run": lambda: Sampler().run([bell()]),
    "Sampler().backend": lambda: Sampler().backend(),
    "Estimator(name)": lambda: Estimator(NAME),
    "Executor(name)": lambda: Executor(NAME),
}


@pytest.fixture
def elsewhere(runtime: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an account with unreachable servers the default."""
    assert runtime
    for name, value in (
        ("TOKEN", "secret"),
        ("URL", "https://cloud.ibm.invalid"),
        ("INSTANCE", CRN),
    ):
        monkeypatch.setenv(f"QISKIT_IBM_{name}", value)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("way", WAYS)
def test_the_account_that_was_asked_is_named(way: str) -> None:
    with pytest.raises(QSessionError) as raised:
        WAYS[way]()
    said = "".join(getattr(raised.value, "__notes__", []))
    assert "the variable QISKIT_IBM_TOKEN" in said
    assert "QiskitRuntimeService('local')" in said
    assert "secret" not in said + str(raised.value)


@pytest.mark.usefixtures("elsewhere")
def test_an_account_that_was_not_asked_is_not_mentioned() -> None:
    with pytest.raises(QSessionError) as raised:
        Sampler(QiskitRuntimeService("local").backend("fake_manila")).run([])
    assert not getattr(raised.value, "__notes__", [])
    with pytest.raises(QSessionError) as raised:
        QiskitRuntimeService("local").backend(NAME)
    assert not getattr(raised.value, "__notes__", [])


HERE: dict[str, Callable[[], Session | Sampler | Estimator | Executor]] = {
    "Session(object)": lambda: Session(backend=FakeManilaV2()),
    "Session(name)": lambda: Session(backend="fake_manila"),
    "Batch(object)": lambda: Batch(backend=FakeQuitoV2()),
    "Sampler(object)": lambda: Sampler(FakeManilaV2()),
    "Sampler(name)": lambda: Sampler("aer_simulator"),
    "Estimator(object)": lambda: Estimator(mode=FakeManilaV2()),
    "Estimator(backend=name)": lambda: Estimator(backend="fake_quito"),
    "Executor(object)": lambda: Executor(FakeManilaV2()),
}


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("way", HERE)
def test_a_recorded_device_asks_no_account_at_ibm(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QISKIT_IBM_URL", "https://cloud.ibm.com")
    # Every request to IBM fails.
    monkeypatch.setenv("HTTPS_PROXY", unused_address())
    made = HERE[way]()
    service = made.service if isinstance(made, Session) else made.backend().service
    assert service.channel == "local"
    if isinstance(made, Session):
        made.close()


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
