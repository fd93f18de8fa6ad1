"""Backends are listed, filtered and found by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import BackendNotFoundError, InvalidInputError, QiskitRuntimeService, Sampler
from qsession_widget.client.default_service import default_service
from qsession_widget.local import process
from tests.client.circuits import bell
from tests.conftest import eventually, running, use

if TYPE_CHECKING:
    from pathlib import Path


def names(backends: list[Any]) -> set[str]:
    return {backend.name for backend in backends}


def test_devices_are_filtered(service: QiskitRuntimeService) -> None:
    everything = service.backends()
    devices = {"fake_manila", "fake_torino"}
    simulators = {"aer_simulator", "ibmq_qasm_simulator"}
    assert devices | simulators <= names(everything)
    assert names(service.backends("fake_manila")) == {"fake_manila"}
    assert service.backends("fake_unknown") == []
    assert names(service.backends(simulator=True)) == simulators
    assert not simulators & names(service.backends(simulator=False))
    wide = service.backends(min_num_qubits=100, simulator=False)
    assert "fake_torino" in names(wide)
    assert all(backend.num_qubits >= 100 for backend in wide)
    assert service.backends(operational=False) == []
    assert len(service.backends(operational=True)) == len(everything)
    assert names(service.backends(filters=lambda backend: backend.name.endswith("manila"))) == {
        "fake_manila"
    }


def test_devices_are_filtered_as_with_the_official_client(service: QiskitRuntimeService) -> None:
    five = service.backends(n_qubits=5)
    assert "fake_manila" in names(five)
    assert {backend.num_qubits for backend in five} == {5}
    assert names(service.backends("fake_manila", 5, None, None, lambda _: True)) == {"fake_manila"}
    dynamic, static = (names(service.backends(dynamic_circuits=each)) for each in (True, False))
    assert "fake_boston" in dynamic
    assert "fake_manila" in static
    assert dynamic | static == names(service.backends())
    assert not dynamic & static
    found = service.least_busy(operational=True, simulator=False, min_num_qubits=127)
    assert found.num_qubits >= 127
    assert service.least_busy(5, None, lambda backend: backend.num_qubits == 7).num_qubits == 7
    with pytest.raises(BackendNotFoundError, match=r"fits simulator=False, n_qubits=4; there are"):
        service.least_busy(simulator=False, n_qubits=4)
    with pytest.raises(InvalidInputError, match=r"has n_qubit; there are .*n_qubits"):
        service.backends(n_qubit=5)
    with pytest.raises(InvalidInputError, match="operational=False"):
        service.least_busy(operational=False)


@pytest.mark.parametrize("name", ["fake_manilla", "Fake_Manila", "manila", "../jobs"])
def test_an_unknown_device(service: QiskitRuntimeService, name: str) -> None:
    with pytest.raises(BackendNotFoundError) as caught:
        service.backend(name)
    meant = " Did you mean 'fake_manila'?" if "manil" in name.lower() else ""
    start = f"no backend {name!r}.{meant} There are "
    assert str(caught.value).startswith(start)
    listed = str(caught.value).removeprefix(start).split(", ")
    assert listed == sorted(names(service.backends()))


def test_the_least_busy_device(slow_runtime: Path) -> None:
    assert slow_runtime
    service = default_service()
    first = service.least_busy()
    assert (first.num_qubits, first.simulator) == (156, False)
    assert process.official_service().least_busy().name == first.name
    job = Sampler(first).run(bell())
    eventually(lambda: service.backend(first.name).status().pending_jobs)
    # The next backend has the same size, so that circuits fit both.
    second = service.least_busy()
    assert second.name != first.name
    assert (second.num_qubits, second.simulator) == (156, False)
    assert process.official_service().least_busy().name == second.name
    assert service.least_busy(min_num_qubits=150).num_qubits >= 150
    assert service.least_busy(simulator=True).simulator
    named = service.least_busy(filters=lambda backend: backend.name == "fake_oslo")
    assert named.name == "fake_oslo"
    job.cancel()
    eventually(job.cancelled)
    with pytest.raises(BackendNotFoundError, match=r"min_num_qubits=5000.*fake_manila"):
        service.least_busy(min_num_qubits=5000)


def test_a_busy_device_goes_before_a_simulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(tmp_path, monkeypatch)
    arguments = ("--devices", "aer_simulator,fake_manila", "--min-job-seconds", "3600")
    with running(tmp_path, *arguments, "--workers", "1"):
        service = default_service()
        assert names(service.backends()) == {"aer_simulator", "fake_manila"}
        Sampler("fake_manila").run(bell())
        eventually(lambda: service.backend("fake_manila").status().pending_jobs)
        assert service.least_busy().name == "fake_manila"
