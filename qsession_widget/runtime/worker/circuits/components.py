"""Divides a wide circuit into parts that share no gate, which are simulated separately.

IBM's client-side Estimator rotates and measures every qubit of a device, also those that no gate
connects with any other. Together, 156 qubits take Aer 40 s for 1,024 shots; separately,
milliseconds. Noise belongs to single instructions, so the shots of the parts are independent, and
can be combined in any order into shots of the whole circuit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qiskit.circuit import Barrier, Delay, Measure, Reset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qiskit import QuantumCircuit
    from qiskit.circuit import Qubit

LEAST_QUBITS = 8
"""Circuits that use fewer are left whole: their density matrix is small."""

MOST_TOGETHER = 5
"""Small parts are simulated together up to this many qubits, since each call has its own cost."""

_PLAIN = (Measure, Reset, Delay, Barrier)


class Part(NamedTuple):
    """A part of a circuit, on the same qubits and bits.

    Attributes:
        circuit: the instructions of the part.
        columns: for each of its parameters, its place among those of the whole circuit.
    """

    circuit: QuantumCircuit
    columns: list[int]


def divided(circuit: QuantumCircuit) -> list[Part] | None:
    """Return the parts of a circuit; None if it is to be simulated as a whole.

    It is not divided if it is small or in one piece, if instructions depend on bits, or if two
    parts write to one bit.
    """
    if not all(
        each.is_standard_gate() or isinstance(each.operation, _PLAIN) for each in circuit.data
    ):
        return None
    groups = _groups(circuit)
    if sum(map(len, groups)) < LEAST_QUBITS or len(groups) == 1:
        return None
    packed = _packed(groups)
    place = {qubit: number for number, some in enumerate(packed) for qubit in some}
    parts = [circuit.copy_empty_like() for _ in packed]
    writers: dict[object, int] = {}
    for instruction in circuit.data:
        if instruction.name == "barrier":
            continue
        number = place[instruction.qubits[0]]
        if any(writers.setdefault(bit, number) != number for bit in instruction.clbits):
            return None
        parts[number].append(instruction)
    for part in parts:
        # The global phase does not affect shots, and may have parameters of other parts.
        part.global_phase = 0
    places = {parameter: index for index, parameter in enumerate(circuit.parameters)}
    return [Part(part, [places[each] for each in part.parameters]) for part in parts]


def _groups(circuit: QuantumCircuit) -> list[list[Qubit]]:
    """Return the qubits in use, grouped by the gates that connect them."""
    leader: dict[Qubit, Qubit] = {}

    def lead(qubit: Qubit) -> Qubit:
        while leader.setdefault(qubit, qubit) is not qubit:
            leader[qubit] = qubit = leader[leader[qubit]]
        return qubit

    for instruction in circuit.data:
        if instruction.name != "barrier":
            first = lead(instruction.qubits[0])
            for other in instruction.qubits[1:]:
                leader[lead(other)] = first
    found: dict[Qubit, list[Qubit]] = {}
    for qubit in leader:
        found.setdefault(lead(qubit), []).append(qubit)
    return list(found.values())


def _packed(groups: Iterable[list[Qubit]]) -> list[list[Qubit]]:
    """Combine small groups, the largest first, each with as many others as there is room for."""
    packed: list[list[Qubit]] = []
    for group in sorted(groups, key=len, reverse=True):
        last = packed[-1] if packed else None
        if last is not None and len(last) + len(group) <= MOST_TOGETHER:
            last += group
        else:
            packed.append(list(group))
    return packed
