"""Takes the measurements off a circuit that measures at its end only."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qiskit.circuit import ControlFlowOp

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.circuit import Clbit, Qubit


class Split(NamedTuple):
    """A circuit in two parts.

    Attributes:
        preparation: the circuit without its measurements.
        qubits: place of the qubit that is read into each bit, by place of the bit, in order.
        unitary: whether the preparation has nothing but gates.
    """

    preparation: QuantumCircuit
    qubits: dict[int, int]
    unitary: bool


def split(circuit: QuantumCircuit) -> Split | None:
    """Return a circuit in two parts; None if it cannot be divided, or measures nothing.

    It can if each qubit is measured once at most, into a bit of its own, and not used afterwards,
    and if nothing else depends on bits.
    """
    if circuit.num_vars or circuit.num_stretches:
        return None
    read: dict[Clbit, Qubit] = {}
    ended: set[Qubit] = set()
    measurements = []
    unitary = True
    for index, each in enumerate(circuit.data):
        if each.name == "barrier":
            continue
        if not ended.isdisjoint(each.qubits):
            return None
        if each.name == "measure":
            measurements.append(index)
            read[each.clbits[0]] = each.qubits[0]
            ended.add(each.qubits[0])
        elif not each.is_standard_gate():
            if each.clbits or isinstance(each.operation, ControlFlowOp):
                return None
            unitary = False
    if not measurements or len(read) < len(measurements):
        return None
    places = {circuit.find_bit(bit).index: circuit.find_bit(read[bit]).index for bit in read}
    preparation = circuit.copy()
    for index in reversed(measurements):
        del preparation.data[index]
    return Split(preparation, dict(sorted(places.items())), unitary)
