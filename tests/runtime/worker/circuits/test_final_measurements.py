"""Measurements come off a circuit only where the rest does not depend on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit.library import RYGate

from qsession_widget.runtime.worker.circuits.final_measurements import split

if TYPE_CHECKING:
    from collections.abc import Callable


def base() -> QuantumCircuit:
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "a"), ClassicalRegister(3))
    circuit.h(0)
    circuit.cx(0, 2)
    return circuit


def test_the_rest_stays_in_its_order() -> None:
    circuit = base()
    circuit.measure(2, 1)
    circuit.barrier()
    circuit.rx(0.3, 0)
    circuit.append(RYGate(0.2).control(1, ctrl_state=0), [1, 0])
    circuit.measure(1, 4)
    circuit.measure(0, 0)
    before = circuit.copy()
    found = split(circuit)
    assert found is not None
    assert found.qubits == {0: 0, 1: 2, 4: 1}
    assert list(found.qubits) == [0, 1, 4]
    assert [each.name for each in found.preparation.data] == ["h", "cx", "barrier", "rx", "cry_o0"]
    assert circuit == before, "it is shared"


@pytest.mark.parametrize(
    ("change", "unitary"),
    [
        (lambda circuit: circuit.sx(0), True),
        (lambda circuit: circuit.barrier(), True),
        (lambda circuit: circuit.reset(0), False),
        (lambda circuit: circuit.delay(10, 0, unit="ns"), False),
        (lambda circuit: circuit.initialize([0, 1], 0), False),
    ],
)
def test_what_may_be_random_is_seen(
    change: Callable[[QuantumCircuit], object], unitary: bool
) -> None:
    circuit = base()
    change(circuit)
    circuit.measure(0, 0)
    found = split(circuit)
    assert found is not None
    assert found.unitary == unitary


def asks(circuit: QuantumCircuit) -> None:
    with circuit.if_test((circuit.clbits[3], 1)):
        circuit.x(1)


@pytest.mark.parametrize(
    "change",
    [
        lambda circuit: circuit.x(2),
        lambda circuit: circuit.cz(0, 2),
        lambda circuit: circuit.reset(2),
        lambda circuit: circuit.delay(10, 2, unit="ns"),
        lambda circuit: circuit.measure(2, 3),
        lambda circuit: circuit.measure(0, 1),
        asks,
    ],
)
def test_what_is_used_again_stays(change: Callable[[QuantumCircuit], object]) -> None:
    circuit = base()
    circuit.measure(2, 1)
    change(circuit)
    circuit.measure(1, 4)
    assert split(circuit) is None


def test_a_circuit_without_measurements_has_none() -> None:
    assert split(base()) is None
    circuit = base()
    asks(circuit)
    assert split(circuit) is None
