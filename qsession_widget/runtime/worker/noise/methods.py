"""Which of Aer's methods simulates a noisy circuit in the least time.

Aer itself goes by the number of qubits and shots. That takes state vectors for circuits that
entangle little, such as GHZ states, where matrix product states are a hundred times as fast, and
density matrices or single shots where the other would be faster. The estimates here were fitted to
measurements; they affect only the time, never the distribution of the shots.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

if TYPE_CHECKING:
    from collections.abc import Callable

AUTOMATIC = "automatic"
DENSITY_MATRIX = "density_matrix"
STATEVECTOR = "statevector"
MPS = "matrix_product_state"

MOST_BOND = 32
"""Circuits with larger bonds than this count as fully entangled."""

_MOST_DENSE = 12
"""Density matrices of more qubits take more than a quarter of a gigabyte."""

_MOST_PURE = 26
"""State vectors of more qubits take more than a gigabyte."""

_NOT_OF_THE_STATE = frozenset(
    {
        "measure",
        "reset",
        "barrier",
        "delay",
        "qerror_loc",
        "jump",
        "mark",
        "save_density_matrix",
        "save_probabilities",
    }
)
"""Instructions that add no entanglement, or would remove it."""


class Cost(NamedTuple):
    """What the time of a simulation depends on.

    Attributes:
        width: how many qubits are used.
        gates: how many instructions there are.
        noisy: how many of them noise follows.
        one_state: whether all shots may be drawn from one density matrix, at the end.
    """

    width: int
    gates: int
    noisy: int
    one_state: bool

    def _dense(self) -> float:
        if not self.one_state or self.width > _MOST_DENSE:
            return math.inf
        return self.gates * (25e-6 + 1.7e-9 * 4.0**self.width)

    def _pure(self, shots: int) -> float:
        if self.width > _MOST_PURE:
            return math.inf
        return shots * self.gates * (0.5e-6 + 5e-9 * 2.0**self.width)

    def _product(self, shots: int, bond: int) -> float:
        # Without unitarity, what happens on one qubit changes the bonds of all others.
        return shots * self.noisy * self.width * (2.5e-6 + 8.5e-9 * float(bond) ** 3)

    def method(self, shots: int, bond: Callable[[], int]) -> str:
        """Return the method that is expected to take the least time.

        Args:
            shots: how many.
            bond: returns the largest bond of the circuit's matrix product state, which is called
                only if it can change the decision.
        """
        best, seconds = STATEVECTOR, self._pure(shots)
        if self._dense() < seconds:
            best, seconds = DENSITY_MATRIX, self._dense()
        if seconds == math.inf:
            return MPS
        if self._product(shots, 2) < seconds / 2:
            largest = bond()
            if largest < MOST_BOND and self._product(shots, largest) < seconds:
                return MPS
        return best


def largest_bond(circuit: QuantumCircuit) -> int:
    """Return the largest bond of a circuit's state, without noise, as a matrix product state.

    Args:
        circuit: without parameters and control flow; measurements are left out.

    Returns:
        At most `MOST_BOND`, however entangled it is.
    """
    state = QuantumCircuit(circuit.qubits)
    for instruction in circuit.data:
        if instruction.name not in _NOT_OF_THE_STATE:
            state.append(instruction.operation, instruction.qubits)
    state.save_matrix_product_state()
    simulator = AerSimulator(method=MPS, matrix_product_state_max_bond_dimension=MOST_BOND)
    _, between = simulator.run(state, shots=1).result().data()[MPS]
    return max((len(each) for each in between), default=1)
