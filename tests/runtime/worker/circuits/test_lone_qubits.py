"""Qubits without others are sampled by arithmetic, with the probabilities that Aer computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit_aer import AerSimulator

from qsession_widget.runtime.worker.circuits.components import divided
from qsession_widget.runtime.worker.circuits.lone_qubits import LoneQubits, is_simple, uses
from qsession_widget.runtime.worker.device import SimulatedDevice

DEVICE = "fake_sherbrooke"
"""Some of its qubits have a T2 longer than their T1, whose errors are Kraus maps."""

QUBITS = 6


def chains(choose: np.random.Generator) -> QuantumCircuit:
    """Return a random chain of the device's gates on each qubit, with and without parameters."""
    circuit = QuantumCircuit(QUBITS, QUBITS)
    angles = ParameterVector("angle", 4 * QUBITS)
    for qubit in range(QUBITS):
        for number in range(choose.integers(9)):
            gate = choose.integers(5)
            if gate == 0:
                circuit.x(qubit)
            elif gate == 1:
                circuit.rz(choose.uniform(-7, 7), qubit)
            elif gate == 2:
                circuit.rz(angles[4 * qubit + number % 4], qubit)
            else:
                circuit.sx(qubit)
    circuit.measure(range(QUBITS), choose.permutation(QUBITS))
    return circuit


def by_arithmetic(circuit: QuantumCircuit, device: str) -> LoneQubits:
    division = divided(circuit)
    assert division is not None
    assert not division.parts
    errors = SimulatedDevice(device, 0).errors_alone(uses(division.lone))
    return LoneQubits(circuit, division.lone, errors)


def by_aer(circuit: QuantumCircuit, values: np.ndarray[Any, Any], device: str) -> Any:
    """Return the probability of each bit to be read as 1, from Aer's density matrix."""
    simulator = SimulatedDevice(device, 0).simulator(circuit)
    bound = circuit.assign_parameters(list(values))
    bare = bound.remove_final_measurements(inplace=False)
    bare.save_probabilities(list(range(QUBITS)))
    plain = AerSimulator(method="density_matrix", noise_model=simulator.options.noise_model)
    data = plain.run(bare).result().data()
    exact = np.asarray(data["probabilities"]).reshape([2] * QUBITS)
    readings = {
        tuple(each["gate_qubits"][0]): np.asarray(each["probabilities"])
        for each in (simulator.options.noise_model or plain.options.noise_model).to_dict()["errors"]
        if each["type"] == "roerror"
    }
    found = np.zeros(QUBITS)
    for instruction in circuit.data:
        if instruction.name == "measure":
            qubit = circuit.find_bit(instruction.qubits[0]).index
            bit = circuit.find_bit(instruction.clbits[0]).index
            # The first axis is the last qubit.
            others = tuple(axis for axis in range(QUBITS) if axis != QUBITS - 1 - qubit)
            found[bit] = exact.sum(axis=others) @ readings[qubit,][:, 1]
    return found


@pytest.mark.parametrize("seed", range(6))
def test_probabilities_are_those_of_aers_density_matrix(seed: int) -> None:
    choose = np.random.default_rng(seed)
    circuit = chains(choose)
    lone = by_arithmetic(circuit, DEVICE)
    values = choose.uniform(-4, 4, size=(3, circuit.num_parameters))
    found = lone.probabilities(values)
    for row, probabilities in zip(values, found, strict=True):
        exact = by_aer(circuit, row, DEVICE)
        assert np.allclose(probabilities, exact[lone.bits], atol=1e-12)
        assert (probabilities > 1e-4).all(), "readings are noisy"


def test_shots_have_their_probabilities_and_no_two_qubits_or_runs_share_any() -> None:
    circuit = QuantumCircuit(QUBITS, QUBITS)
    for qubit in range(QUBITS):
        circuit.sx(qubit)
    circuit.measure(range(QUBITS), range(QUBITS))
    shots = 20_000
    lone = by_arithmetic(circuit, DEVICE)
    bits = lone.sample(np.zeros((2, 0)), shots, np.random.default_rng(3))
    assert bits.shape == (2, shots, QUBITS)
    expected = lone.probabilities(np.zeros((2, 0)))
    spread = np.sqrt(expected * (1 - expected) / shots)
    assert (np.abs(bits.mean(axis=1) - expected) < 5 * spread).all()
    columns = np.concatenate([*bits], axis=1).T.astype(float)
    others = np.corrcoef(columns)[~np.eye(2 * QUBITS, dtype=bool)]
    assert np.abs(others).max() < 5 / np.sqrt(shots)


def test_an_ideal_device_has_no_noise() -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    lone = by_arithmetic(circuit, "aer_simulator")
    bits = lone.sample(np.zeros((1, 0)), 50, np.random.default_rng())
    assert (bits == [bit == 1 for bit in lone.bits]).all()


def measured_twice() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 2)
    circuit.measure(0, 0)
    circuit.measure(0, 1)
    return circuit


def unmeasured() -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.x(0)
    return circuit


def with_gate(gate: str, *values: Any) -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    getattr(circuit, gate)(*values, 0)
    circuit.measure(0, 0)
    return circuit


@pytest.mark.parametrize(
    "circuit",
    [
        pytest.param(measured_twice(), id="measured twice"),
        pytest.param(unmeasured(), id="not measured"),
        pytest.param(with_gate("rx", Parameter("a")), id="another gate with a parameter"),
        pytest.param(with_gate("rz", Parameter("a") + 1), id="an expression"),
        pytest.param(with_gate("delay", 100), id="a delay"),
        pytest.param(with_gate("reset"), id="a reset"),
    ],
)
def test_other_qubits_need_a_simulator(circuit: QuantumCircuit) -> None:
    assert not is_simple(circuit.data)
    assert divided(circuit) is None


def test_gates_whose_values_are_numbers_are_simple() -> None:
    assert is_simple(with_gate("rx", 0.3).data)
    assert is_simple(with_gate("p", Parameter("a")).data)
