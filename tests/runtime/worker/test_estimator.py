"""Estimates are right within their error bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import BackendEstimatorV2
from qiskit.quantum_info import SparsePauliOp, Statevector

from tests.runtime.worker.jobs import IDEAL, LARGE, SMALL, bell, estimate, whole_device


def test_the_readout_of_a_qubit_without_gates_is_noisy_too() -> None:
    """An observable may measure a qubit without gates."""
    circuit = QuantumCircuit(5)
    circuit.x(0)
    observable = {"ZIIII": 1.0}
    (ours,) = estimate(SMALL, [circuit, observable, [], 0.01])
    estimator = BackendEstimatorV2(backend=whole_device(SMALL), options={"seed_simulator": 7})
    theirs = estimator.run([(circuit, observable)], precision=0.01).result()[0]
    assert float(ours.data.evs) == float(theirs.data.evs)
    assert float(ours.data.evs) < 1.0


def test_estimates_agree_with_the_exact_values_within_their_error() -> None:
    theta = Parameter("theta")
    circuit = QuantumCircuit(3)
    circuit.ry(theta, 0)
    circuit.cx(0, 1)
    circuit.rx(0.7, 2)
    observables: list[Any] = [[{"IIZ": 1.0}], [{"IXX": 0.5, "ZII": 2.0}], [{"YII": -1.5}]]
    angles = np.linspace(0.1, 3.0, 4)
    (result,) = estimate(IDEAL, [circuit, observables, angles.reshape(4, 1), 0.01])
    assert result.data.evs.shape == result.data.stds.shape == (3, 4)
    for row, (terms,) in enumerate(observables):
        for column, angle in enumerate(angles):
            state = Statevector(circuit.assign_parameters([angle]))
            exact = state.expectation_value(SparsePauliOp.from_list(list(terms.items()))).real
            std = max(result.data.stds[row, column], 1e-9)
            assert abs(result.data.evs[row, column] - exact) < 5 * std
            assert std < 0.05
    assert result.metadata["target_precision"] == 0.01


def test_a_single_value_is_an_array_without_dimensions() -> None:
    (result,) = estimate(IDEAL, [bell(), {"ZZ": 1.0}, [], 0.1])
    for value in (result.data.evs, result.data.stds):
        assert isinstance(value, np.ndarray)
        assert value.shape == ()
    assert float(result.data.evs) == 1.0


def test_the_error_shrinks_with_the_precision_asked_for() -> None:
    circuit = QuantumCircuit(1)
    circuit.h(0)
    stds = [
        float(estimate(IDEAL, [circuit, {"Z": 1.0}, [], precision])[0].data.stds)
        for precision in (0.1, 0.01)
    ]
    assert stds == pytest.approx([0.1, 0.01], rel=0.05)


@pytest.mark.parametrize("level", [0, 1, 3])
def test_bare_circuits_have_their_observables_laid_out(level: int) -> None:
    """Each qubit has a different value, so that a wrong order of qubits is visible."""
    circuit = QuantumCircuit(4)
    angles = [0.0, 0.8, 1.6, 2.9]
    for qubit, angle in enumerate(angles):
        circuit.ry(angle, qubit)
    circuit.cx(0, 3)
    circuit.cx(1, 3)
    circuit.cx(1, 3)
    observables: list[Any] = [{"IIIZ": 1.0}, {"IIZI": 1.0}, {"IZII": 1.0}, {"ZIII": 1.0}]
    observables += [{"IIXI": 1.0}, {"IZZI": 1.0}]
    (result,) = estimate(LARGE, [circuit, observables, [], 0.02], level=level)
    state = Statevector(circuit)
    for value, terms in zip(result.data.evs, observables, strict=True):
        exact = state.expectation_value(SparsePauliOp.from_list(list(terms.items()))).real
        assert value == pytest.approx(exact, abs=0.15), terms
