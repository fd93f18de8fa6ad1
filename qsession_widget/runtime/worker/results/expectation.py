"""Expectation values from counts, as Qiskit's BackendEstimatorV2 estimates them.

That class binds and composes its circuits at each run. Here the measuring circuits keep their
parameters, so that they can be cached.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit.circuit import ClassicalRegister, QuantumCircuit
from qiskit.quantum_info import PauliList
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import Optimize1qGatesDecomposition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit.transpiler import Target

    Numbers = NDArray[np.float64]

REGISTER = "__c"
"""Name of the register that measurements go to, unless the circuit has one of that name."""

_MOST_AT_ONCE = 1 << 20
"""For how many pairs of an outcome and an observable the signs are held at once."""

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


@dataclass(frozen=True)
class Measurement:
    """Observables that are measured together.

    Attributes:
        basis: the Pauli in whose basis each measured qubit is read, by qubit, in ascending order;
            the first of them goes to the lowest bit.
        readings: how the value of each observable is read, by its label.
    """

    basis: Mapping[int, str]
    readings: Mapping[str, Reading]

    def estimate(self, outcomes: Sequence[int], counts: Numbers) -> tuple[Numbers, Numbers]:
        """Return each observable's mean in each run, and the standard deviation of a single shot.

        Args:
            outcomes: what may have been read; the bits of an outcome are those of the qubits.
            counts: how often each of them was, of shape (runs, outcomes).

        Returns:
            Both of shape (runs, observables), in the order of the readings.
        """
        bits = _bits(outcomes, len(self.basis))
        shots = counts.sum(axis=1, keepdims=True)
        readings = list(self.readings.values())
        step = max(1, _MOST_AT_ONCE // len(bits))
        parts = []
        for first in range(0, len(readings), step):
            taken, odd = _signs(bits, readings[first : first + step])
            square = counts @ taken / shots
            parts.append((square, square - 2 * (counts @ odd) / shots))
        square, mean = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
        # Rounding must not make it negative.
        return mean, np.sqrt(np.maximum(square - mean**2, 0.0))


def _bits(numbers: Sequence[int], width: int) -> Numbers:
    """Return the lowest bits of numbers, of shape (numbers, width)."""
    size = -(-width // 8)
    packed = b"".join([each.to_bytes(size, "little") for each in numbers])
    rows = np.frombuffer(packed, dtype=np.uint8).reshape(len(numbers), size)
    return np.unpackbits(rows, axis=1, count=width, bitorder="little").astype(float)


def _signs(bits: Numbers, readings: Sequence[Reading]) -> tuple[Numbers, Numbers]:
    """Return where observables are not zero, and where they are negative.

    Args:
        bits: of each outcome.
        readings: of the observables.

    Returns:
        Zeros and ones, both of shape (outcomes, observables).
    """
    width = bits.shape[1]
    parity, ones, zeros = (_bits(each, width).T for each in zip(*readings, strict=True))
    taken = (bits @ ones == ones.sum(axis=0)) & (bits @ zeros == 0)
    return taken.astype(float), taken * (bits @ parity % 2)


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


def support(*labels: frozenset[str]) -> frozenset[int]:
    """Return the qubits on which any of some sets of observables acts."""
    return frozenset(
        place
        for label in frozenset().union(*labels)
        for place, pauli in enumerate(reversed(label))
        if pauli != "I"
    )


def measurements(labels: frozenset[str]) -> list[Measurement]:
    """Return how observables are measured, by as few measurements as qubit-wise commutation allows.

    Args:
        labels: Paulis and projectors (`+-rl01`) of every qubit.
    """
    # Sorted, so that the order, and with it the seed of each circuit, is always the same.
    measuring: dict[str, list[str]] = {}
    for label in sorted(labels):
        measuring.setdefault("".join(map(_BASIS.__getitem__, label)), []).append(label)
    found = []
    for commuting in PauliList(sorted(measuring)).group_commuting(qubit_wise=True):
        z, x = np.logical_or.reduce(commuting.z), np.logical_or.reduce(commuting.x)
        measured = np.flatnonzero(z | x).tolist() or [0]
        bits = {qubit: index for index, qubit in enumerate(measured)}
        readings = {
            label: Reading.of(label, bits)
            for pauli in commuting
            for label in measuring[pauli.to_label()]
        }
        basis = {each: ("Y" if z[each] else "X") if x[each] else "Z" for each in measured}
        found.append(Measurement(basis, readings))
    return found


class Turns:
    """Instructions of a device that turn qubits before they are measured.

    Args:
        target: the device's instructions.
    """

    def __init__(self, target: Target) -> None:
        self._passes = PassManager(
            [Optimize1qGatesDecomposition(basis=list(target.operation_names), target=target)]
        )

    def measuring(self, basis: Mapping[int, str], qubits: int) -> QuantumCircuit:
        """Return the turns and the measurement, on so many qubits."""
        register = ClassicalRegister(len(basis), REGISTER)
        circuit = QuantumCircuit(qubits)
        circuit.add_register(register)
        for index, (qubit, pauli) in enumerate(basis.items()):
            if pauli == "Y":
                circuit.sdg(qubit)
            if pauli != "Z":
                circuit.h(qubit)
            circuit.measure(qubit, register[index])
        return self._passes.run(circuit)


def circuits(
    circuit: QuantumCircuit, measured: Sequence[Measurement], target: Target
) -> list[QuantumCircuit]:
    """Return a circuit with each of some measurements.

    Args:
        circuit: the circuit that prepares the state; may have parameters.
        measured: what is measured.
        target: whose instructions rotate the qubits before they are measured.
    """
    turns = Turns(target)
    return [
        _measuring(circuit, turns.measuring(each.basis, circuit.num_qubits)) for each in measured
    ]


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


def outcomes(counts: Mapping[str, int], before: int) -> dict[int, int]:
    """Return how often the last register had each value, from Aer's counts of all bits.

    Args:
        counts: by the bits in hexadecimal.
        before: how many bits come before those of the last register.
    """
    found: dict[int, int] = {}
    for text, count in counts.items():
        outcome = int(text, 16) >> before
        found[outcome] = found.get(outcome, 0) + count
    return found


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
