"""Circuits have the same key if and only if they behave the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import AnnotatedOperation, Duration, InverseModifier, Parameter
from qiskit.circuit.classical import expr
from qiskit.circuit.library import XGate
from qiskit.quantum_info import random_clifford

from qsession_widget.runtime.worker.circuit_cache import CircuitCache, structural_key
from qsession_widget.wire.codec import encode_circuit
from tests.runtime.worker.jobs import rotated

if TYPE_CHECKING:
    import pytest


def delayed(length: float | Parameter, unit: str) -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.delay(length, 0, unit=unit)
    return circuit


def labelled(label: str) -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.append(XGate(label=label), [0])
    return circuit


def test_a_circuit_that_is_built_again_is_the_same_to_the_cache() -> None:
    assert structural_key(rotated()) == structural_key(rotated("phi"))
    assert structural_key(rotated(angle=0.5)) == structural_key(rotated(angle=0.5))


def test_circuits_that_differ_at_all_have_different_keys() -> None:
    renamed = QuantumCircuit(QuantumRegister(2), ClassicalRegister(2, "other"))
    renamed.compose(rotated(), clbits=[0, 1], inplace=True)
    turned = rotated()
    turned.global_phase = 0.1
    two = QuantumCircuit(2)
    two.rz(Parameter("a"), 0)
    two.rz(Parameter("b"), 1)
    swapped = QuantumCircuit(2)
    swapped.rz(Parameter("b"), 0)
    swapped.rz(Parameter("a"), 1)
    found = [
        rotated(),
        rotated(gate="rx"),
        rotated(angle=0.5),
        rotated(angle=np.nextafter(0.5, 1)),
        renamed,
        turned,
        two,
        swapped,
        *(delayed(132, unit) for unit in ("dt", "s", "ms", "us", "ns", "ps")),
        delayed(133, "us"),
        delayed(Parameter("t"), "us"),
        delayed(Parameter("t"), "ns"),
        labelled("one"),
        labelled("other"),
    ]
    keys = [structural_key(each) for each in found]
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_unknown_operations_have_no_structural_key() -> None:
    theta = Parameter("theta")
    expression = QuantumCircuit(1)
    expression.rz(theta / 3, 0)
    dynamic = QuantumCircuit(1, 1)
    with dynamic.if_test((dynamic.clbits[0], 1)):
        dynamic.x(0)
    own = QuantumCircuit(1)
    own.unitary(np.eye(2), 0)
    annotated = QuantumCircuit(1)
    annotated.append(AnnotatedOperation(XGate(), [InverseModifier()]), [0])
    clifford = QuantumCircuit(1)
    clifford.append(random_clifford(1, seed=1), [0])
    open_control = QuantumCircuit(2)
    open_control.cx(0, 1, ctrl_state=0)
    const = QuantumCircuit(1)
    const.delay(expr.lift(Duration.us(1)), 0)
    for circuit in (expression, dynamic, own, annotated, clifford, open_control, const):
        assert structural_key(circuit) is None


def test_a_circuit_whose_key_cannot_be_computed_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stumble(_circuit: QuantumCircuit) -> None:
        raise AttributeError("an instruction of a kind that is not known here")

    monkeypatch.setattr("qsession_widget.runtime.worker.circuit_cache.structural_key", stumble)
    known, text = CircuitCache(), encode_circuit(rotated())
    of_text = known.key(known.decode(text))
    assert of_text is not None
    known.release()
    # Its text identifies it; a circuit without a text equals no other.
    assert known.key(known.decode(text)) == of_text
    assert known.key(rotated()) is None
