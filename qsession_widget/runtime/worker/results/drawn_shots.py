"""Shots that are drawn from the chances of what is read at a circuit's end.

Aer takes longer to draw a thousand shots, and to write them out, than to simulate a few qubits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qsession_widget.runtime.worker.results import bit_arrays

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from qiskit import QuantumCircuit

    from qsession_widget.runtime.worker.noise.aer_form import NoiseInAerForm

    Chances = NDArray[np.float64]

MOST_MEASURED = 13
"""There are tables of all outcomes, with a row for each."""


class DrawnShots:
    """Draws what is read of qubits, and gives it the form of the circuit's registers.

    Args:
        circuit: whose registers they are.
        qubits: the qubit that is read into each bit, by place of the bit, in order.
        noise: with the errors of reading.
    """

    def __init__(
        self, circuit: QuantumCircuit, qubits: Mapping[int, int], noise: NoiseInAerForm
    ) -> None:
        self.bits = list(qubits)
        """The place of each bit of an outcome, the lowest first, among the circuit's."""
        self._readings = [noise.reading(qubit).real for qubit in qubits.values()]
        self._misreads = any(not np.array_equal(each, np.eye(2)) for each in self._readings)
        outcomes = np.arange(2 ** len(qubits))
        places = {bit: place for place, bit in enumerate(qubits)}
        self.packed = {
            register.name: _packed(
                outcomes, [places.get(bit) for bit in bit_arrays.places(circuit, register)]
            )
            for register in circuit.cregs
        }
        """For each outcome a register's bits, packed as in a BitArray, by name of the register."""

    @property
    def unpacked(self) -> NDArray[np.bool_]:
        """The bits of each outcome, of shape (outcomes, bits), the lowest first."""
        count = len(self.bits)
        found: NDArray[np.bool_] = (np.arange(2**count)[:, None] >> np.arange(count) & 1) == 1
        return found

    @property
    def weight(self) -> int:
        """Its memory in bytes, about."""
        return sum(each.nbytes for each in self.packed.values())

    def chances(self, chances: Chances) -> Chances:
        """Return the chances of reading outcomes from those of the qubits' states.

        Args:
            chances: of shape (runs, outcomes).
        """
        if not self._misreads:
            return chances
        shape, found = chances.shape, chances[:, np.newaxis]
        for reading in reversed(self._readings):
            found = reading @ found.reshape(len(found), found.shape[1], 2, -1)
            found = found.reshape(len(found), found.shape[1] * 2, -1)
        return found.reshape(shape)

    def draw(
        self, chances: Chances, shots: int, random: np.random.Generator
    ) -> Iterator[NDArray[np.intp]]:
        """Yield the outcome of each shot, for each run.

        Args:
            chances: of the qubits' states, of shape (runs, outcomes).
            shots: of each run.
            random: where the shots come from.
        """
        for sums in np.cumsum(self.chances(chances).clip(min=0), axis=1):
            drawn = np.searchsorted(sums, random.random(shots) * sums[-1], side="right")
            # Rounding may reach the sum of all.
            yield np.minimum(drawn, len(sums) - 1)


def _packed(outcomes: NDArray[np.intp], places: Sequence[int | None]) -> NDArray[np.uint8]:
    """Return bits of outcomes as bytes, of shape (outcomes, bytes), the highest byte first.

    Args:
        outcomes: the outcomes.
        places: which of an outcome's bits each bit is, from the lowest; None for one that is 0.
    """
    size = -(-len(places) // 8)
    found = np.zeros((len(outcomes), size), dtype=np.uint8)
    for index, place in enumerate(places):
        if place is not None:
            found[:, size - 1 - index // 8] |= ((outcomes >> place & 1) << index % 8).astype(
                np.uint8
            )
    return found
