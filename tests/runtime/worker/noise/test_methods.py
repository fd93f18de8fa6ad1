"""The method that takes the least time is chosen, by how much a circuit entangles."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from qsession_widget.runtime.worker.aer import Executable, Run
from qsession_widget.runtime.worker.device import SimulatedDevice, caches
from qsession_widget.runtime.worker.noise import methods
from qsession_widget.runtime.worker.noise.methods import Cost


def ghz(qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(qubits, qubits)
    circuit.h(0)
    for qubit in range(1, qubits):
        circuit.cx(qubit - 1, qubit)
    return circuit


def layers(qubits: int, number: int) -> QuantumCircuit:
    random = np.random.default_rng(1)
    circuit = QuantumCircuit(qubits, qubits)
    for layer in range(number):
        for qubit in range(qubits):
            circuit.u(*random.uniform(0, 6, 3), qubit)
        for qubit in range(layer % 2, qubits - 1, 2):
            circuit.cx(qubit, qubit + 1)
    return circuit


def test_the_largest_bond_is_that_of_the_state_before_it_is_measured() -> None:
    assert methods.largest_bond(QuantumCircuit(3)) == 1
    single = QuantumCircuit(30)
    single.h(range(30))
    assert methods.largest_bond(single) == 1
    circuit = ghz(30)
    circuit.measure(range(30), range(30))
    circuit.reset(3)
    assert methods.largest_bond(circuit) == 2
    for number, bond in ((2, 2), (4, 4), (6, 8)):
        found = methods.largest_bond(layers(12, number))
        assert 1 < found <= bond, number
    assert methods.largest_bond(layers(14, 14)) == methods.MOST_BOND
    # As Aer's state vector has it.
    state = layers(10, 5)
    state.save_statevector()
    vector = np.asarray(AerSimulator(method="statevector").run(state).result().get_statevector())
    ranks = [np.linalg.matrix_rank(vector.reshape(2**cut, -1), tol=1e-9) for cut in range(1, 10)]
    assert methods.largest_bond(layers(10, 5)) == max(ranks)


@pytest.mark.parametrize(
    ("cost", "shots", "bond", "expected"),
    [
        (Cost(5, 73, 43, one_state=True), 1024, 8, methods.DENSITY_MATRIX),
        (Cost(5, 73, 43, one_state=False), 1024, 4, methods.STATEVECTOR),
        # Few shots of many qubits are few state vectors; a density matrix is one large one.
        (Cost(10, 200, 120, one_state=True), 1024, 32, methods.DENSITY_MATRIX),
        (Cost(10, 200, 120, one_state=True), 20, 32, methods.STATEVECTOR),
        (Cost(20, 180, 93, one_state=True), 16, 2, methods.MPS),
        (Cost(20, 1500, 800, one_state=True), 16, 32, methods.STATEVECTOR),
        (Cost(24, 200, 100, one_state=False), 100, 4, methods.MPS),
        (Cost(60, 3000, 2000, one_state=True), 100, 32, methods.MPS),
    ],
)
def test_the_fastest_method(cost: Cost, shots: int, bond: int, expected: str) -> None:
    assert cost.method(shots, lambda: bond) == expected


def test_entanglement_is_looked_at_only_where_it_can_matter() -> None:
    def never() -> int:
        pytest.fail("not needed")

    assert Cost(5, 73, 43, one_state=True).method(1024, never) == methods.DENSITY_MATRIX
    assert Cost(5, 73, 43, one_state=False).method(1024, never) == methods.STATEVECTOR
    assert Cost(127, 1000, 700, one_state=True).method(1024, never) == methods.MPS


def test_a_noisy_ghz_state_of_twenty_qubits_is_a_matrix_product_state() -> None:
    device = SimulatedDevice("fake_sherbrooke", 1)
    circuit = ghz(20)
    circuit.measure(range(20), range(20))
    runnable = device.runnable(circuit)
    executable = device.executable(runnable)
    assert isinstance(executable, Executable)
    (data,) = executable.execute([Run(0, ())], shots=40, seed=None, memory=False)
    # Without noise all bits of a shot are equal; noise flips about one in fifty.
    ones = [int(text, 16).bit_count() for text in data["counts"]]
    assert sum(data["counts"].values()) == 40
    assert sum(min(count, 20 - count) for count in ones) < 20 * 40 / 4
    assert min(ones) < 10 < max(ones)
    ready = executable.ready([Run(0, ())], lambda _number, data: data)
    assert ready is not None
    (found,) = ready
    assert found.circuit.fastest(40).method == methods.MPS
    # With a seed the method is Aer's own choice.
    assert found.circuit.as_plain_aer(40).method == methods.AUTOMATIC
    caches.executables.clear()
