"""Divides a wide circuit into parts that share no gate, which are simulated separately.

IBM's client-side Estimator rotates and measures every qubit of a device, also those that no gate
connects with any other. Together, 156 qubits take Aer 40 s for 1,024 shots; separately,
milliseconds. Noise belongs to single instructions, so the shots of the parts are independent, and
can be combined in any order into shots of the whole circuit. Qubits that are turned and measured
without any other (`lone_qubits`) need no simulator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qiskit.circuit import Barrier, Delay, Measure, Reset

from qsession_widget.runtime.worker.circuits.lone_qubits import is_simple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qiskit import QuantumCircuit
    from qiskit.circuit import CircuitInstruction, Qubit

LEAST_QUBITS = 8
"""Fewer that need a simulator stay together: their density matrix is small."""

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


class Division(NamedTuple):
    """A circuit as parts that share neither gates nor bits.

    Attributes:
        parts: what a simulator runs.
        lone: instructions of each qubit that needs none, in order, by the qubit's place.
    """

    parts: list[Part]
    lone: dict[int, list[CircuitInstruction]]


def divided(circuit: QuantumCircuit) -> Division | None:
    """Return the parts of a circuit; None if it is to be simulated as a whole.

    It is not divided if it is in one piece that needs a simulator, if it is small and all of it
    needs one, if instructions depend on bits, or if two parts write to one bit.
    """
    if not all(
        each.is_standard_gate() or isinstance(each.operation, _PLAIN) for each in circuit.data
    ):
        return None
    groups = _groups(circuit)
    number_of = {qubit: number for number, group in enumerate(groups) for qubit in group}
    own: list[list[CircuitInstruction]] = [[] for _ in groups]
    writers: dict[object, int] = {}
    for instruction in circuit.data:
        if instruction.name == "barrier":
            continue
        number = number_of[instruction.qubits[0]]
        if any(writers.setdefault(bit, number) != number for bit in instruction.clbits):
            return None
        own[number].append(instruction)
    lone = {
        circuit.find_bit(group[0]).index: some
        for group, some in zip(groups, own, strict=True)
        if len(group) == 1 and is_simple(some)
    }
    others = [group for group in groups if circuit.find_bit(group[0]).index not in lone]
    packed = _packed(others)
    return Division(_parts(circuit, packed), lone) if lone or len(packed) > 1 else None


def _parts(circuit: QuantumCircuit, packed: list[list[Qubit]]) -> list[Part]:
    """Return the instructions of each set of qubits as a circuit."""
    number_of = {qubit: number for number, some in enumerate(packed) for qubit in some}
    parts = [circuit.copy_empty_like() for _ in packed]
    for instruction in circuit.data:
        number = number_of.get(instruction.qubits[0])
        if number is not None and instruction.name != "barrier":
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


def _packed(groups: Sequence[list[Qubit]]) -> list[list[Qubit]]:
    """Combine small groups, the largest first, each with as many others as there is room for."""
    packed: list[list[Qubit]] = []
    room = MOST_TOGETHER if sum(map(len, groups)) >= LEAST_QUBITS else LEAST_QUBITS
    for group in sorted(groups, key=len, reverse=True):
        last = packed[-1] if packed else None
        if last is not None and len(last) + len(group) <= room:
            last += group
        else:
            packed.append(list(group))
    return packed
