"""What a device accepts, and that a new calibration is used at once."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager

from qsession_widget.runtime import device_catalog
from qsession_widget.runtime.worker.device import SimulatedDevice, caches, in_instruction_set
from qsession_widget.runtime.worker.outcome import RejectedError
from tests.runtime.worker.jobs import LARGE, SMALL, bell, estimate, ghz, isa, rotated, run, sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_gates_inside_a_branch_must_be_the_devices_too() -> None:
    circuit = QuantumCircuit(2, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.h(1)
    target = caches.target(LARGE)
    assert not in_instruction_set(circuit, target)
    manager = generate_preset_pass_manager(1, target=target, seed_transpiler=5)
    assert in_instruction_set(manager.run(circuit), target)


def test_the_devices_own_circuits_are_unchanged() -> None:
    device = SimulatedDevice(LARGE, 1)
    circuit = isa(LARGE, ghz)
    assert device._adapted(circuit, None).circuit is circuit
    bare = ghz()
    transpiled = device._adapted(bare, None).circuit
    assert transpiled is not bare
    assert transpiled.num_qubits == 27
    assert set(transpiled.count_ops()) <= {*device._target.operation_names, "barrier"}


def test_a_circuit_that_is_too_wide_names_both_numbers() -> None:
    with pytest.raises(RejectedError, match=r"7 qubits; fake_manila has 5"):
        sample(SMALL, [QuantumCircuit(7, 1), [], 10])


def test_the_devices_largest_number_of_shots() -> None:
    most = caches.recording(SMALL).configuration["max_shots"]
    (result,) = estimate(SMALL, [bell(), {"ZZ": 1.0}], default_shots=most)
    assert result.metadata["shots"] == most
    with pytest.raises(RejectedError, match=f"{most + 1} shots asked for; .* takes {most}"):
        estimate(SMALL, [bell(), {"ZZ": 1.0}], default_shots=most + 1)


def test_too_many_shots_name_both_numbers() -> None:
    limit = caches.recording(SMALL).configuration["max_shots"]
    with pytest.raises(RejectedError, match=f"{limit + 1} shots asked for; .* takes {limit}"):
        sample(SMALL, [ghz(), [], limit + 1])
    assert sample(SMALL, [isa(SMALL, ghz), [], limit])[0].data.meas.num_shots == limit
    with pytest.raises(RejectedError, match=f"1e-05 asked for, .* 10000000000 shots; .* {limit}"):
        estimate(SMALL, [bell(), {"ZZ": 1.0}, [], 1e-5])


def test_a_new_calibration_is_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = rotated(angle=0.0)
    run("sampler", SMALL, [circuit, [], 10])
    recording = caches.recording(SMALL)
    before = caches.target(SMALL)
    run("sampler", SMALL, [circuit, [], 10])
    assert caches.target(SMALL) is before
    monkeypatch.setitem(caches._stamps, SMALL, (0, 0))
    run("sampler", SMALL, [circuit, [], 10])
    assert caches.target(SMALL) is not before
    assert caches.recording(SMALL) is not recording


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve only a copy of one device's recording, and return its folder."""
    folder = shutil.copytree(device_catalog._recorded_devices() / "manila", tmp_path / "manila")
    with monkeypatch.context() as patch:
        patch.setattr(device_catalog, "_recorded_devices", lambda: tmp_path)
        caches.forget_devices()
        yield folder
    caches.forget_devices()


def test_another_calibration_changes_results(recording: Path) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)

    def ones() -> int:
        return int(run("sampler", SMALL, [circuit, [], 1_000])[0].data.c.get_counts()["1"])

    assert ones() > 900
    file = recording / "props_manila.json"
    properties = json.loads(file.read_text())
    for qubit in properties["qubits"]:
        for each in qubit:
            if each["name"] in {"readout_error", "prob_meas0_prep1", "prob_meas1_prep0"}:
                each["value"] = 0.5
    file.write_text(json.dumps(properties))
    assert ones() < 600
