"""Measurements of a known state: the chances of what is read, and shots that are drawn from them.

A measurement turns each qubit by a few gates and reads it. With their noise and the errors of
reading, that is a linear map of the qubit's part of the density matrix. So one simulation of the
state serves all measurements: Aer would simulate the state again for each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qiskit.quantum_info import Operator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from qsession_widget.runtime.worker.noise.aer_form import NoiseInAerForm
    from qsession_widget.runtime.worker.results.expectation import Turns

    Chances = NDArray[np.float64]
    Complex = NDArray[np.complex128]

MOST_QUBITS = 10
"""A density matrix of more qubits has more than 16 MB."""

_DIAGONAL = np.array([[1, 0, 0, 0], [0, 0, 0, 1]])
"""Takes the chances of 0 and 1 from a qubit's density matrix, by columns."""

_TRACE = np.array([[1, 0, 0, 1]])


class Readout:
    """Reads qubits of a device in any basis.

    Args:
        turns: the device's instructions that turn qubits.
        noise: that follows them.
    """

    def __init__(self, turns: Turns, noise: NoiseInAerForm) -> None:
        self._turns = turns
        self._noise = noise
        self._maps: dict[tuple[int, str], Complex] = {}

    def chances(self, states: Complex, qubits: Sequence[int], basis: Mapping[int, str]) -> Chances:
        """Return the chance of each outcome.

        Args:
            states: density matrices, of shape (n, 2**q, 2**q).
            qubits: theirs, in ascending order; the first is the lowest.
            basis: the Pauli in whose basis each measured qubit is read, by qubit, in order.

        Returns:
            Of shape (n, 2**measured); the first measured qubit is the lowest bit of an outcome.
        """
        width, count = len(qubits), len(states)
        # Each qubit has an axis of its own, the highest first, with its part of both indices.
        pairs = [axis for place in range(1, width + 1) for axis in (width + place, place)]
        tensor = states.reshape(count, *[2] * (2 * width)).transpose(0, *pairs)
        left = tensor.reshape(count, 1, -1)
        for qubit in reversed(qubits):
            read = self._map(qubit, basis[qubit]) if qubit in basis else _TRACE
            left = read @ left.reshape(count, left.shape[1], 4, -1)
            left = left.reshape(count, left.shape[1] * left.shape[2], -1)
        found = left.reshape(count, -1).real.clip(min=0)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def _map(self, qubit: int, pauli: str) -> Complex:
        """Return the chances of reading 0 and 1 as a linear map of the density matrix."""
        found = self._maps.get((qubit, pauli))
        if found is None:
            turned = np.eye(4, dtype=complex)
            for instruction in self._turns.measuring({qubit: pauli}, qubit + 1).data:
                if instruction.name != "measure":
                    gate = Operator(instruction.operation).data
                    turned = self._noise.after(instruction.name, qubit) @ (
                        np.kron(gate.conj(), gate) @ turned
                    )
            found = self._maps[qubit, pauli] = self._noise.reading(qubit) @ _DIAGONAL @ turned
        return found
