"""Pauli-Lindblad rates of a device's noise: the result of an infinitely long learning experiment.

A twirled layer's noise is a Pauli channel, exp(sum of r_P D_P) with D_P(rho) = P rho P - rho. It
scales Pauli Q by the fidelity exp(-2 sum of r_P over all P that anticommute with Q). Experiments
repeat the layer in pairs, so that they see only the product of the fidelities of Q and of the Pauli
that the layer turns Q into. Such partners therefore share one rate (E. van den Berg et al., Nature
Physics 19, 1116, 2023, arXiv:2201.09866).
"""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from qiskit.quantum_info import PTM, Clifford, Pauli, PauliList, SuperOp
from qiskit.quantum_info import pauli_basis as qiskit_basis
from scipy.optimize import nnls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qiskit.circuit import Operation
    from qiskit.quantum_info.operators.channel.quantum_channel import QuantumChannel

LEAST_FIDELITY = 1e-6
"""Stands for a fidelity of zero or less, which has no finite rate."""


class Term(NamedTuple):
    """Generators that no experiment can tell apart, and the rate that each of them has.

    Attributes:
        paulis: their labels; the last letter is the first qubit's.
        rate: of each, for one layer.
    """

    paulis: tuple[str, ...]
    rate: float


def gate_terms(
    gate: Operation, noise: QuantumChannel, before: Sequence[QuantumChannel] = ()
) -> list[Term]:
    """Return the terms of a gate of the Clifford group.

    Args:
        gate: the gate without noise.
        noise: the channel that follows it on the device, on the same qubits in the same order.
        before: the channel on each of its qubits that is between the twirl and the gate.

    Raises:
        QiskitError: for a gate that is not of the Clifford group.
    """
    every = qiskit_basis(gate.num_qubits)[1:]
    orbits = _orbits(gate, every)
    if before:
        # The last qubit is the first factor of a tensor product.
        first = reduce(lambda found, each: each.tensor(found), before)
        ideal = SuperOp(gate)
        noise = ideal.adjoint().compose(first).compose(ideal).compose(noise)
    fidelities = np.real(PTM(noise).data.diagonal())[1:]
    losses = -np.log(np.clip(fidelities, LEAST_FIDELITY, 1.0))
    # 1 where a generator (column) flips the sign of a Pauli (row).
    flips = np.array([~every.commutes(each) for each in every], dtype=float)
    # Both sides are averaged over the orbits, so that the solution is the same on each of them.
    averaged = losses.copy()
    for orbit in orbits:
        averaged[orbit] = losses[orbit].mean()
    columns = np.stack([flips[:, orbit].sum(axis=1) for orbit in orbits], axis=1)
    rates, _ = nnls(2 * columns, averaged)
    labels = every.to_labels()
    return [
        Term(tuple(labels[each] for each in orbit), float(rate))
        for orbit, rate in zip(orbits, rates, strict=True)
    ]


def readout_rate(probabilities: Sequence[Sequence[float]]) -> float:
    """Return the rate of bit flips of a twirled measurement.

    Args:
        probabilities: of reading the second index after preparing the first; shape (2, 2).
    """
    fidelity = 1.0 - probabilities[0][1] - probabilities[1][0]
    return -math.log(max(fidelity, LEAST_FIDELITY)) / 2


def flip_rate(noise: QuantumChannel) -> float:
    """Return the rate of bit flips of one qubit's noise before it is measured."""
    fidelity = float(np.real(PTM(noise).data[3, 3]))
    return -math.log(max(fidelity, LEAST_FIDELITY)) / 2


def _orbits(gate: Operation, every: PauliList) -> list[list[int]]:
    """Group Paulis into the orbits under repeated application of the gate."""
    moved = every.evolve(Clifford(gate), frame="s")
    place = {_unsigned(each): index for index, each in enumerate(every)}
    goes_to = [place[_unsigned(each)] for each in moved]
    orbits, seen = [], set[int]()
    for first in range(len(every)):
        if first in seen:
            continue
        orbit = [first]
        while (following := goes_to[orbit[-1]]) != first:
            orbit.append(following)
        seen.update(orbit)
        orbits.append(orbit)
    return orbits


def _unsigned(pauli: Pauli) -> str:
    return str(Pauli((pauli.z, pauli.x)))
