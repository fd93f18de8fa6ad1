"""A backend: its configuration, properties and target."""

from __future__ import annotations

import pytest

from qsession_widget import QiskitRuntimeService, UnsupportedError
from tests.client.circuits import bell
from tests.client.spy import requests_seen


def test_a_device(service: QiskitRuntimeService) -> None:
    manila = service.backend("fake_manila")
    assert (manila.name, manila.num_qubits, manila.simulator) == ("fake_manila", 5, False)
    assert repr(manila) == "<Backend('fake_manila', 5 qubits)>"
    assert manila.service is service
    assert manila.max_circuits is None
    assert manila.configuration()["n_qubits"] == 5
    properties = manila.properties()
    assert properties is not None
    assert len(properties["qubits"]) == 5
    assert "cx" in manila.target.operation_names
    assert manila.target is manila.target
    assert manila.dt == pytest.approx(0.2222e-9, rel=1e-3)
    assert manila.dtm == pytest.approx(0.2222e-9, rel=1e-3)
    assert [0, 1, 2, 3, 4] in manila.meas_map
    status = manila.status()
    assert (status.backend_name, status.operational) == ("fake_manila", True)
    assert (status.pending_jobs, status.status_msg) == (0, "active")


def test_a_simulator(service: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = requests_seen(monkeypatch)
    simulator = service.backend("aer_simulator")
    assert simulator.simulator
    assert simulator.properties() is None
    assert simulator.target.num_qubits == simulator.num_qubits
    assert not [path for _, path, _ in seen if path.endswith("/properties")]


def test_a_backend_runs_nothing_by_itself(service: QiskitRuntimeService) -> None:
    with pytest.raises(UnsupportedError, match=r"Sampler\(mode=backend\)"):
        service.backend("fake_manila").run(bell())
