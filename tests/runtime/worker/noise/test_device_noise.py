"""Each qubit of each device has exactly the recorded readout errors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import DensityMatrix, Kraus, SuperOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import (
    PauliLindbladError,
    QuantumError,
    ReadoutError,
    amplitude_damping_error,
)
from qiskit_aer.noise.device.models import basic_device_readout_errors

from qsession_widget.runtime.device_catalog import Catalog
from qsession_widget.runtime.worker.aer import Executable, Run
from qsession_widget.runtime.worker.device import SimulatedDevice, caches
from qsession_widget.runtime.worker.noise import aer_form, device_noise
from qsession_widget.wire.target import build_target

CATALOG = Catalog()
DEVICES = [
    name
    for name in CATALOG.names()
    if (device := CATALOG.get(name)) is not None and not device.simulator
]


def record_of(name: str) -> list[dict[str, Any]]:
    """Return the recorded figures of each qubit, from the file itself."""
    device = CATALOG.get(name)
    assert device is not None
    assert device.folder is not None
    document = json.loads((device.folder / f"props_{device.folder.name}.json").read_text())
    return [{each["name"]: each["value"] for each in entries} for entries in document["qubits"]]


def misread(qubit: dict[str, Any]) -> ReadoutError:
    of_zero, of_one = qubit["prob_meas1_prep0"], qubit["prob_meas0_prep1"]
    return ReadoutError([[1 - of_zero, of_zero], [of_one, 1 - of_one]])


@pytest.mark.parametrize("name", DEVICES)
def test_every_qubit_is_read_as_recorded(name: str) -> None:
    record, target = record_of(name), caches.target(name)
    whole = device_noise._restricted(target, frozenset(range(target.num_qubits)))
    errors = {qubit: error for (qubit,), error in basic_device_readout_errors(target=whole)}
    assert set(errors) == {qubit for (qubit,) in target["measure"]}
    for qubit, error in errors.items():
        assert error == misread(record[qubit])
        # A target has one figure, which other tools read, and which is unchanged.
        assert target["measure"][(qubit,)].error == record[qubit]["readout_error"]
    # The simulator of a job has no other error on a measurement.
    qubit = max(errors, key=lambda each: abs(np.subtract(*np.diag(errors[each].probabilities))))
    model = SimulatedDevice(name, 1).simulator(observed=frozenset({qubit})).options.noise_model
    assert model._local_readout_errors[qubit,] == misread(record[qubit])
    assert not [each for each in model._local_quantum_errors if "measure" in each]


def test_a_record_with_one_readout_error_or_none() -> None:
    device = CATALOG.get("fake_manila")
    assert device is not None
    without = {"prob_meas1_prep0", "prob_meas0_prep1"}
    qubits = [
        [each for each in entries if index == 0 or each["name"] not in without]
        for index, entries in enumerate(device.properties["qubits"])
    ]
    qubits[2] = [each for each in qubits[2] if each["name"] != "readout_error"]
    target = build_target(device.configuration, {**device.properties, "qubits": qubits})
    record = record_of("fake_manila")
    model = device_noise.simulator(target, frozenset(range(4))).options.noise_model
    errors, even = model._local_readout_errors, record[1]["readout_error"]
    assert errors[(0,)] == misread(record[0])
    assert errors[(1,)] == ReadoutError([[1 - even, even], [even, 1 - even]])
    assert (2,) not in errors


@pytest.mark.parametrize("name", ["fake_manila", "fake_hanoi"])
def test_collapsed_noise_is_the_same_map(name: str) -> None:
    simulator = SimulatedDevice(name, 1).simulator(observed=frozenset(range(5)))
    kinds: set[str] = set()
    for places in simulator.options.noise_model._local_quantum_errors.values():
        for error in places.values():
            kinds.update(*(circuit.count_ops() for circuit in error.circuits))
            collapsed = aer_form.superoperator(error)
            assert np.allclose(collapsed, SuperOp(error).data, rtol=0, atol=1e-12)
    # Where T2 > T1, relaxation is a Kraus map.
    assert kinds >= {"pauli", "reset"} | ({"kraus"} if name == "fake_hanoi" else set())


def test_errors_of_any_instructions_collapse() -> None:
    flip = QuantumCircuit(2)
    flip.h(1)
    flip.cx(1, 0)
    flip.rz(0.3, 0)
    turn = QuantumCircuit(2)
    turn.append(UnitaryGate(np.diag([1, 1j])), [1])
    turn.append(Kraus(amplitude_damping_error(0.2)).to_instruction(), [0])
    custom = QuantumCircuit(2)
    custom.append(flip.to_gate(label="custom"), [1, 0])
    for error in (
        QuantumError([(custom, 0.4), (QuantumCircuit(2), 0.6)]),
        QuantumError([(flip, 0.2), (turn, 0.3), (QuantumCircuit(2), 0.5)]),
        PauliLindbladError(["XY", "IZ"], [0.1, 0.02]),
    ):
        expected = SuperOp(error).data
        assert np.allclose(aer_form.superoperator(error), expected, rtol=0, atol=1e-12)


def test_collapsed_noise_gives_the_exact_density_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = QuantumCircuit(3)
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.rz(0.3, 2)
    circuit.sx(2)
    model = SimulatedDevice("fake_manila", 1).simulator(circuit).options.noise_model
    exact = DensityMatrix.from_label("000")
    for instruction in circuit.data:
        where = tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits)
        exact = exact.evolve(instruction.operation, where)
        error = model._local_quantum_errors.get(instruction.name, {}).get(where)
        if error is not None:
            exact = exact.evolve(SuperOp(error), where)
    circuit.save_density_matrix()
    simulator = AerSimulator(method="density_matrix", noise_model=model)
    plain = np.asarray(simulator.run(circuit).result().data()["density_matrix"])
    seen = []
    real = aer_form.superoperator

    def counted(error: Any) -> Any:
        seen.append(error)
        return real(error)

    monkeypatch.setattr(aer_form, "superoperator", counted)
    ours = Executable([circuit], device_noise.DeviceSimulator(noise_model=model))
    (data,) = ours.execute([Run(0, ())], shots=100, seed=1, memory=False)
    collapsed = np.asarray(data["density_matrix"])
    # Of sx on two qubits, and of two cx.
    assert len(seen) == 4
    assert np.allclose(collapsed, exact.data, rtol=0, atol=1e-10)
    # Aer leaves out circuits of an error that are less likely than 1e-10.
    assert np.allclose(plain, exact.data, rtol=0, atol=1e-9)
