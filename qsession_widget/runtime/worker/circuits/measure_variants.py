"""Replaces named variants of measurement and reset, such as `measure_2`, by the plain ones.

Devices have them as faster pulses for the middle of a circuit. They do the same, so they run as the
plain instructions, with their errors: Aer has one readout error for each qubit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qiskit.circuit import ControlFlowOp, Measure, Reset

from qsession_widget.wire.fields import MID_CIRCUIT
from qsession_widget.wire.target import CONTROL_FLOW

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.circuit import Instruction, Operation

_WITH_BLOCKS = frozenset({*CONTROL_FLOW, "box"})


def plain(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return a circuit without variants; the same object if it has none."""
    # Counting is quick; taking each instruction out of the circuit is not.
    if not any(name in _WITH_BLOCKS or _stands_for(name) for name in circuit.count_ops()):
        return circuit
    copy = circuit.copy_empty_like()
    changed = False
    for instruction in circuit.data:
        operation = instruction.operation
        found = _plain(operation)
        changed = changed or found is not operation
        copy.append(instruction.replace(operation=found), copy=False)
    return copy if changed else circuit


def _plain(operation: Operation) -> Operation:
    if isinstance(operation, ControlFlowOp):
        blocks = [plain(block) for block in operation.blocks]
        same = all(one is other for one, other in zip(blocks, operation.blocks, strict=True))
        return operation if same else operation.replace_blocks(blocks)
    kind = _stands_for(operation.name)
    return operation if kind is None else kind()


def _stands_for(name: str) -> type[Instruction] | None:
    match = MID_CIRCUIT.fullmatch(name)
    return None if match is None else {"measure": Measure, "reset": Reset}[match[1]]
