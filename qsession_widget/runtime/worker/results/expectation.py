"""Expectation values from counts, as Qiskit's BackendEstimatorV2 estimates them.

That class binds and composes its circuits at each run. Here the measuring circuits keep their
parameters, so that they can be cached.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit.circuit import ClassicalRegister, QuantumCircuit
from qiskit.quantum_info import Pauli, PauliList
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import Optimize1qGatesDecomposition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit.transpiler import Target

REGISTER = "__c"
"""Name of the register that measurements go to, unless the circuit has one of that name."""

_BASIS = {**{each: each for each in "IXYZ"}, **dict(zip("+-rl01", "XXYYZZ", strict=True))}
"""Which Pauli is measured for each letter of an observable; `+-rl01` are projectors."""


class Reading(NamedTuple):
    """How an observable's value follows from the measured bits; masks of bits.

    Attributes:
        parity: the bits whose parity is the sign of the value.
        ones: the bits that have to be 1; otherwise the value is 0.
        zeros: the bits that have to be 0; otherwise the value is 0.
    """

    parity: int
    ones: int
    zeros: int

    @classmethod
    def of(cls, label: str, bits: Mapping[int, int]) -> Reading:
        """Parse an observable's label; `bits` are the places of the measured qubits' bits."""
        masks = {"parity": 0, "ones": 0, "zeros": 0}
        for qubit, letter in enumerate(reversed(label)):
            if letter != "I":
                kind = "parity" if letter in "XYZ" else "ones" if letter in "-l1" else "zeros"
                masks[kind] |= 1 << bits[qubit]
        return cls(**masks)

    def takes(self, outcome: int) -> bool:
        """Whether the observable is not zero for an outcome."""
        return outcome & self.ones == self.ones and not outcome & self.zeros


@dataclass(frozen=True)
class Group:
    """Observables that one circuit measures together.

    Attributes:
        circuit: the circuit with their measurement.
        readings: how the value of each observable is read, by its label.
    """

    circuit: QuantumCircuit
    readings: Mapping[str, Reading]

    def estimate(self, counts: Mapping[str, int]) -> dict[str, tuple[float, float]]:
        """Return each observable's mean, and the standard deviation of a single shot."""
        offset = self.circuit.num_clbits - self.circuit.cregs[-1].size
        outcomes = [(int(text, 16) >> offset, count) for text, count in counts.items()]
        shots = sum(count for _, count in outcomes)
        found = {}
        for label, reading in self.readings.items():
            mask, kept = reading.parity, outcomes
            if reading.ones or reading.zeros:
                kept = [each for each in outcomes if reading.takes(each[0])]
            square = sum(count for _, count in kept) / shots
            odd = sum(count for outcome, count in kept if (outcome & mask).bit_count() & 1)
            mean = square - 2 * odd / shots
            # Rounding must not make it negative.
            found[label] = mean, math.sqrt(max(square - mean**2, 0.0))
        return found


def wanted(pub: EstimatorPub) -> tuple[dict[tuple[int, ...], frozenset[str]], Any, Any]:
    """Return which observables are to be measured at which of a pub's parameter values.

    Returns:
        The observables by index of the parameter values; and for each element of the result its
        index and its observable (a dict of terms).
    """
    shape = pub.parameter_values.shape
    indices = np.fromiter(np.ndindex(shape), dtype=object).reshape(shape)
    where: Any
    where, observables = np.broadcast_arrays(indices, np.asarray(pub.observables))
    found: defaultdict[tuple[int, ...], set[str]] = defaultdict(set)
    for place in np.ndindex(*where.shape):
        found[where[place]].update(observables[place])
    return {index: frozenset(labels) for index, labels in found.items()}, where, observables


def groups(circuit: QuantumCircuit, labels: frozenset[str], target: Target) -> list[Group]:
    """Return circuits that measure observables, as few as qubit-wise commutation allows.

    Args:
        circuit: the circuit that prepares the state; may have parameters.
        labels: Paulis and projectors (`+-rl01`) of every qubit, as wide as the circuit.
        target: whose instructions rotate the qubits before they are measured.
    """
    # Sorted, so that the order, and with it the seed of each circuit, is always the same.
    measuring: dict[str, list[str]] = {}
    for label in sorted(labels):
        measuring.setdefault("".join(map(_BASIS.__getitem__, label)), []).append(label)
    observables = PauliList(sorted(measuring))
    turns = PassManager(
        [Optimize1qGatesDecomposition(basis=list(target.operation_names), target=target)]
    )
    found = []
    for commuting in observables.group_commuting(qubit_wise=True):
        basis = Pauli((np.logical_or.reduce(commuting.z), np.logical_or.reduce(commuting.x)))
        measured = np.flatnonzero(basis.z | basis.x).tolist() or [0]
        bits = {qubit: index for index, qubit in enumerate(measured)}
        readings = {
            label: Reading.of(label, bits)
            for pauli in commuting
            for label in measuring[pauli.to_label()]
        }
        measurement = turns.run(_measurement(circuit.num_qubits, basis, measured))
        found.append(Group(_measuring(circuit, measurement), readings))
    return found


def _measurement(qubits: int, basis: Pauli, measured: Sequence[int]) -> QuantumCircuit:
    register = ClassicalRegister(len(measured), REGISTER)
    circuit = QuantumCircuit(qubits)
    circuit.add_register(register)
    for index, qubit in enumerate(measured):
        if basis.x[qubit]:
            if basis.z[qubit]:
                circuit.sdg(qubit)
            circuit.h(qubit)
        circuit.measure(qubit, register[index])
    return circuit


def _measuring(circuit: QuantumCircuit, measurement: QuantumCircuit) -> QuantumCircuit:
    whole = circuit.copy()
    names = {each.name for each in circuit.cregs}
    name = REGISTER
    while name in names:
        name += "_"
    register = ClassicalRegister(measurement.num_clbits, name)
    whole.add_register(register)
    whole.compose(measurement, clbits=register, inplace=True)
    return whole


def combined(
    where: Any, observables: Any, found: Mapping[tuple[tuple[int, ...], str], tuple[float, float]]
) -> tuple[Any, Any]:
    """Add up the terms of each observable: means, and standard deviations of a single shot.

    The deviations are added up as in Qiskit's BackendEstimatorV2, as if all terms erred in the same
    direction. That is an upper bound: terms of one group share their shots, others are independent.
    """
    means = np.zeros(where.shape, dtype=float)
    spreads = np.zeros(where.shape, dtype=float)
    for place in np.ndindex(*where.shape):
        for label, coefficient in observables[place].items():
            mean, spread = found[where[place], label]
            means[place] += mean * coefficient
            spreads[place] += abs(coefficient) * spread
    return means, spreads
