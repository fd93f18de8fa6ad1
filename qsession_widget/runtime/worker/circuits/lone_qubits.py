"""Samples qubits that no gate connects with others, by arithmetic instead of a simulator.

A qubit that is turned and then measured has one probability of being read as 1, which follows from
four numbers: those of its density matrix. IBM's client-side Estimator has a hundred such qubits on
a large device, and several sets of angles for each; Aer takes 1 ms for each five of them and set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.circuit import Measure, Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from qiskit import QuantumCircuit
    from qiskit.circuit import CircuitInstruction

    from qsession_widget.runtime.worker.noise.aer_form import Form, Place, Use

_TURNS_OF_PHASE = frozenset({"rz", "p", "u1"})
"""Gates that may have an open parameter: all the same, up to a global phase."""

_MOST_AT_ONCE = 2**20
"""So many random numbers are drawn at once: each takes eight times the memory of its bit."""


def is_simple(instructions: Sequence[CircuitInstruction]) -> bool:
    """Whether the instructions of a qubit without others are gates and, at the end, a measurement.

    Args:
        instructions: all of the qubit's, in order.
    """
    *gates, last = instructions
    return isinstance(last.operation, Measure) and all(
        each.is_standard_gate() and each.label is None and _is_known(each) for each in gates
    )


def _is_known(gate: CircuitInstruction) -> bool:
    """Whether a gate's values are numbers, or it turns the phase by a parameter."""
    if gate.name in _TURNS_OF_PHASE and isinstance(gate.params[0], Parameter):
        return True
    return all(isinstance(each, (int, float)) for each in gate.params)


def uses(lone: Mapping[int, Sequence[CircuitInstruction]]) -> set[Use]:
    """Return the instructions of qubits, given by place, each with its qubit."""
    return {(each.name, (qubit,)) for qubit, some in lone.items() for each in some}


class LoneQubits:
    """Qubits that no gate connects with others, ready to be sampled.

    Attributes:
        bits: the place of the bit that each qubit's measurement writes.

    Args:
        circuit: which they are of.
        lone: the instructions of each, by its place. They have to be simple.
        errors: of all their instructions, as superoperators, by place.
    """

    def __init__(
        self,
        circuit: QuantumCircuit,
        lone: Mapping[int, Sequence[CircuitInstruction]],
        errors: Mapping[Place, Form],
    ) -> None:
        self.bits = [circuit.find_bit(some[-1].clbits[0]).index for some in lone.values()]
        places = {parameter: index for index, parameter in enumerate(circuit.parameters)}
        chains = [_chain(qubit, some[:-1], errors, places) for qubit, some in lone.items()]
        depth = max(len(columns) for _, columns in chains)
        self._maps = np.zeros((depth + 1, len(chains), 4, 4), dtype=complex)
        self._maps[:] = np.eye(4)
        # The last column of the angles is added by `sample`, and zero.
        self._columns = np.full((depth, len(chains)), -1)
        for index, (maps, columns) in enumerate(chains):
            self._maps[: len(maps), index] = maps
            self._columns[: len(columns), index] = columns
        readings = np.array([_reading(errors.get((None, (qubit,)))) for qubit in lone])
        self._read_as_one = readings[:, :, 1]

    @property
    def weight(self) -> int:
        """Its memory in bytes, about."""
        return self._maps.nbytes + self._columns.nbytes

    def sample(
        self, values: NDArray[np.float64], shots: int, generator: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Return what each shot reads.

        Args:
            values: of the circuit's parameters in each run, of shape (runs, parameters).
            shots: of each run.
            generator: draws them.

        Returns:
            Bits of shape (runs, shots, qubits).
        """
        found = np.empty((len(values), shots, len(self.bits)), dtype=bool)
        step = max(1, _MOST_AT_ONCE // len(self.bits))
        for row, probabilities in zip(found, self.probabilities(values), strict=True):
            for first in range(0, shots, step):
                some = row[first : first + step]
                np.less(generator.random(some.shape), probabilities, out=some)
        return found

    def probabilities(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each qubit to be read as 1, of shape (runs, qubits).

        Args:
            values: as for `sample`.
        """
        angles = np.append(values, np.zeros((len(values), 1)), axis=1)[:, self._columns]
        turns = np.exp(1j * angles)
        # Density matrices by columns, which begin as |0><0|.
        states = np.repeat(self._maps[None, 0, :, :, 0], len(values), axis=0)
        for step, maps in enumerate(self._maps[1:]):
            states[..., 1] *= turns[:, step]
            states[..., 2] *= turns[:, step].conj()
            states = np.einsum("qij,rqj->rqi", maps, states)
        ones = states[..., 3].real
        found: NDArray[np.float64] = np.clip(
            (1 - ones) * self._read_as_one[:, 0] + ones * self._read_as_one[:, 1], 0, 1
        )
        return found


def _chain(
    qubit: int,
    gates: Sequence[CircuitInstruction],
    errors: Mapping[Place, Form],
    places: Mapping[Parameter, int],
) -> tuple[list[NDArray[np.complex128]], list[int]]:
    """Return a qubit's gates with their errors as maps, between which parameters turn its phase.

    Returns:
        The maps as superoperators, by columns; and the column of the parameter after each of them
        but the last.
    """
    maps, columns = [np.eye(4, dtype=complex)], []
    for each in gates:
        angle = each.params[0] if each.params else None
        if isinstance(angle, Parameter):
            columns.append(places[angle])
            maps.append(np.eye(4, dtype=complex))
        else:
            matrix = each.operation.to_matrix()
            maps[-1] = np.kron(matrix.conj(), matrix) @ maps[-1]
        error = errors.get((each.name, (qubit,)))
        if error is not None:
            maps[-1] = _superoperator(error) @ maps[-1]
    return maps, columns


def _superoperator(error: Form) -> Any:
    (instruction,) = error["instructions"][0]
    return instruction["params"][0]


def _reading(error: Form | None) -> Any:
    """Return the probabilities of reading 0 and 1, of a qubit that is 0 and of one that is 1."""
    return np.eye(2) if error is None else error["probabilities"]
