"""Replaces instructions of a circuit, also within blocks and definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, ControlFlowOp, Gate, Instruction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DEFINED = (Gate, Instruction)
"""Classes that QPY writes by their definition; subclasses are not included."""


def rewritten(
    circuit: QuantumCircuit,
    change: Callable[
        [Sequence[CircuitInstruction]], Mapping[int, CircuitInstruction | QuantumCircuit]
    ],
) -> QuantumCircuit:
    """Return a circuit with some instructions changed, also within blocks and definitions.

    Args:
        circuit: the circuit, which is not changed; it is returned if there are no changes.
        change: returns the replacements of a circuit's instructions by index: an instruction, or a
            circuit on the same bits.
    """
    data = list(circuit.data)
    new = dict(change(data))
    for place, each in enumerate(data):
        if place not in new and not each.is_standard_gate():
            operation = _with_inside(each.operation, change)
            if operation is not None:
                new[place] = each.replace(operation=operation)
    if not new:
        return circuit
    found = circuit.copy_empty_like()
    for place, each in enumerate(data):
        there = new.get(place, each)
        if isinstance(there, QuantumCircuit):
            found.compose(there, each.qubits, each.clbits, inplace=True, copy=False)
        else:
            found.data.append(there)
    return found


def _with_inside(operation: Any, change: Any) -> Instruction | None:
    """Return an instruction with changed blocks or definition; None if nothing changes."""
    if isinstance(operation, ControlFlowOp):
        blocks = [rewritten(block, change) for block in operation.blocks]
        changed = any(new is not old for new, old in zip(blocks, operation.blocks, strict=True))
        return operation.replace_blocks(blocks) if changed else None
    if type(operation) in DEFINED and operation.definition is not None:
        definition = rewritten(operation.definition, change)
        if definition is not operation.definition:
            found = operation.copy()
            found.definition = definition
            return found
    return None


def keep_label(one: Any, other: Any) -> Any:
    """Copy the label of an instruction to another one."""
    if one.label is not None:
        other.label = one.label
    return other
