"""Parts that share no gate are simulated separately, and give shots of the whole circuit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit_ibm_runtime.decoders.executor.decoder import ExecutorResultDecoder
from qiskit_ibm_runtime.quantum_program import QuantumProgram

from qsession_widget.runtime.worker import executor_program
from qsession_widget.runtime.worker.circuits.components import MOST_TOGETHER, divided
from tests.runtime.worker.test_executor_program import params

WIDTH = 12


def turned(pairs: list[tuple[int, int]]) -> QuantumCircuit:
    """Return a circuit that turns each qubit by an angle of its own, and then connects pairs."""
    circuit = QuantumCircuit(WIDTH, WIDTH)
    angles = ParameterVector("angle", WIDTH)
    for qubit in reversed(range(WIDTH)):
        circuit.sx(qubit)
        circuit.rz(angles[qubit], qubit)
        circuit.sx(qubit)
    circuit.barrier()
    for pair in pairs:
        circuit.cx(*pair)
    circuit.measure(range(WIDTH), range(WIDTH))
    return circuit


def bits(circuit: QuantumCircuit, angles: Any, shots: int, device: str, **options: Any) -> Any:
    """Return each shot's bits of a program of one item."""
    program = QuantumProgram(shots)
    program.append_circuit_item(circuit, circuit_arguments=np.asarray(angles, dtype=float))
    text = executor_program.run(params(program, **options), device).result
    return ExecutorResultDecoder.decode(text)[0]["c"]


def places(circuit: QuantumCircuit, instructions: Any) -> set[int]:
    return {circuit.find_bit(qubit).index for each in instructions for qubit in each.qubits}


def test_each_qubit_is_in_one_part_with_those_that_gates_connect() -> None:
    circuit = turned([(0, 7), (7, 3), (4, 5), (8, 9), (1, 2)])
    for qubit in (6, 10):
        # These need a simulator as well.
        circuit.reset(qubit)
        circuit.measure(qubit, qubit)
    division = divided(circuit)
    assert division is not None
    used = [places(part.circuit, part.circuit.data) for part in division.parts]
    assert sorted(qubit for some in used for qubit in some) == [*range(11)]
    assert all(len(some) <= MOST_TOGETHER for some in used)
    for group in ({0, 3, 7}, {4, 5}, {8, 9}, {1, 2}):
        assert sum(group <= some for some in used) == 1
    assert [*division.lone] == [11]
    assert [each.name for each in division.lone[11]] == ["sx", "rz", "sx", "measure"]
    counts = [len(part.circuit.data) for part in division.parts]
    assert sum(counts) + 4 == len(circuit.data) - 1, "all but the barrier"
    for part, some in zip(division.parts, used, strict=True):
        # A vector's parameters are in the order of their numbers, which are the qubits'.
        assert part.columns == sorted(some)


def test_few_qubits_that_need_a_simulator_stay_together() -> None:
    division = divided(turned([(0, 7), (4, 5), (8, 9)]))
    assert division is not None
    (part,) = division.parts
    assert places(part.circuit, part.circuit.data) == {0, 7, 4, 5, 8, 9}
    assert sorted(division.lone) == [1, 2, 3, 6, 10, 11]


def test_values_and_bits_keep_their_places() -> None:
    pairs = [(0, 7), (7, 3), (4, 5)]
    choose = np.random.default_rng(5)
    ones = choose.integers(2, size=(3, WIDTH))
    found = bits(turned(pairs), (1 - ones) * np.pi, 20, "aer_simulator")
    for source, target in pairs:
        ones[:, target] ^= ones[:, source]
    assert found.shape == (3, 20, WIDTH)
    assert np.array_equal(found, np.broadcast_to(ones[:, None, :], found.shape))


def test_parts_are_independent_and_connected_qubits_are_not() -> None:
    shots = 4_000
    found = bits(
        turned([(0, 7)]),
        [np.pi / 2, *[np.pi / 2] * 6, np.pi, *[np.pi / 2] * 4],
        shots,
        "aer_simulator",
    )
    seen = np.corrcoef(found.T.astype(float))
    assert seen[0, 7] == pytest.approx(1)
    others = seen[~np.eye(WIDTH, dtype=bool)]
    others = others[np.abs(others) < 0.99]
    assert len(others) == WIDTH * (WIDTH - 1) - 2
    # Once in ten million by chance, for all of them together.
    assert np.abs(others).max() < 6.1 / np.sqrt(shots)


def test_noise_is_that_of_the_whole_circuit() -> None:
    shots = 4_000
    circuit = QuantumCircuit(16, 8)
    chain = [0, 1, 4, 7, 10, 12, 13, 14]
    for qubit in chain:
        circuit.x(qubit)
    circuit.cx(0, 1)
    circuit.cx(12, 13)
    circuit.measure(chain, range(8))
    assert divided(circuit) is not None
    apart = bits(circuit, [], shots, "fake_guadalupe").mean(axis=0)
    whole = bits(circuit, [], shots, "fake_guadalupe", seed_simulator=1).mean(axis=0)
    errors = np.sqrt((apart * (1 - apart) + whole * (1 - whole)) / shots)
    assert (np.abs(apart - whole) < 5.5 * errors).all()
    assert ((apart > 0.003) & (apart < 0.997)).all(), "there is noise"


def crossed() -> QuantumCircuit:
    circuit = turned([])
    circuit.measure(0, 11)
    return circuit


def branching() -> QuantumCircuit:
    circuit = turned([])
    with circuit.if_test((0, True)):
        circuit.x(3)
    return circuit


@pytest.mark.parametrize(
    "circuit",
    [
        pytest.param(turned([(each, each + 1) for each in range(WIDTH - 1)]), id="one piece"),
        pytest.param(crossed(), id="a bit of two parts"),
        pytest.param(branching(), id="control flow"),
    ],
)
def test_other_circuits_stay_whole(circuit: QuantumCircuit) -> None:
    assert divided(circuit) is None


def test_small_circuits_stay_whole() -> None:
    circuit = QuantumCircuit(4, 4)
    circuit.cx([0, 2], [1, 3])
    circuit.measure(range(4), range(4))
    assert divided(circuit) is None
