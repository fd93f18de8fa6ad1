"""Refuses what circuits compute classically and Aer cannot.

Aer ends the whole process where a variable is read, and reports other expressions in words that say
nothing about the user's circuit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qiskit.circuit import ControlFlowOp, Store
from qiskit.circuit.classical import expr, types

from qsession_widget.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qiskit import QuantumCircuit

_KNOWN_TYPES = (types.Bool, types.Uint)

_KNOWN_OPS = frozenset(
    {
        expr.Unary.Op.BIT_NOT,
        expr.Unary.Op.LOGIC_NOT,
        expr.Binary.Op.BIT_AND,
        expr.Binary.Op.BIT_OR,
        expr.Binary.Op.BIT_XOR,
        expr.Binary.Op.LOGIC_AND,
        expr.Binary.Op.LOGIC_OR,
        expr.Binary.Op.EQUAL,
        expr.Binary.Op.NOT_EQUAL,
        expr.Binary.Op.LESS,
        expr.Binary.Op.LESS_EQUAL,
        expr.Binary.Op.GREATER,
        expr.Binary.Op.GREATER_EQUAL,
    }
)

_MOST_BITS = 64
"""Width of the whole numbers that Aer calculates with."""


def check(circuit: QuantumCircuit) -> None:
    """Refuse a circuit whose classical part Aer cannot run.

    Raises:
        InvalidInputError: with the variable, operation or type that is not available.
    """
    for variable in circuit.iter_declared_vars():
        if not isinstance(variable.type, types.Uint):
            raise _refusal(f"the variable {variable.name!r} of type {_named(variable.type)}")
    _check_instructions(circuit)


def _check_instructions(circuit: QuantumCircuit) -> None:
    for instruction in circuit.data:
        if instruction.is_standard_gate():
            continue
        operation = instruction.operation
        for node in _expressions(operation):
            _check(node)
        if isinstance(operation, ControlFlowOp):
            for block in operation.blocks:
                for variable in block.iter_declared_vars():
                    raise _refusal(f"the variable {variable.name!r} inside of a block")
                _check_instructions(block)


def check_loops(circuit: QuantumCircuit) -> None:
    """Refuse a circuit that measures only inside while loops: Aer loses the label of their end.

    Raises:
        InvalidInputError: for a circuit that measures inside of its loops only.
    """
    if "measure" not in circuit.count_ops() and _has_while(circuit):
        raise InvalidInputError(
            "it measures inside of a while loop only, which this runtime's simulator cannot run; "
            "measure a qubit before or after the loop, too"
        )


def _expressions(operation: Any) -> Iterator[expr.Expr]:
    """Yield the expressions that an instruction reads."""
    if isinstance(operation, Store):
        if isinstance(operation.lvalue, expr.Index):
            yield operation.lvalue
        yield operation.rvalue
        return
    condition = getattr(operation, "condition", None)
    if isinstance(condition, expr.Expr):
        yield condition
    target = getattr(operation, "target", None)
    if isinstance(target, expr.Expr):
        if not isinstance(target, expr.Var):
            raise _refusal(f"a switch on the expression {_shown(target)}")
        yield target


def _check(node: expr.Expr) -> None:
    if isinstance(node, expr.Var) and node.standalone:
        raise _refusal(f"reading the variable {node.name!r}")
    if not isinstance(node.type, _KNOWN_TYPES):
        raise _refusal(f"{_shown(node)}, which is of type {_named(node.type)}")
    if isinstance(node.type, types.Uint) and node.type.width > _MOST_BITS:
        raise _refusal(f"an expression of {node.type.width} bits; allowed are {_MOST_BITS}")
    match node:
        case expr.Binary(op=op, left=left, right=right) if op in _KNOWN_OPS:
            _check(left)
            _check(right)
        case expr.Unary(op=op, operand=operand) if op in _KNOWN_OPS:
            _check(operand)
        case expr.Cast(operand=operand):
            _check(operand)
        case expr.Var() | expr.Value():
            pass
        case _:
            raise _refusal(_shown(node))


def _has_while(circuit: QuantumCircuit) -> bool:
    return "while_loop" in circuit.count_ops() or any(
        _has_while(block)
        for instruction in circuit.data
        if not instruction.is_standard_gate() and isinstance(instruction.operation, ControlFlowOp)
        for block in instruction.operation.blocks
    )


def _refusal(what: str) -> InvalidInputError:
    return InvalidInputError(
        f"it needs {what}, and this runtime's simulator does not support that; it supports "
        "conditions on classical bits and registers, their comparison, and bitwise and logical "
        "operations"
    )


def _shown(node: expr.Expr) -> str:
    operation = getattr(node, "op", None)
    return type(node).__name__.lower() if operation is None else f"the operation {operation.name}"


def _named(kind: types.Type) -> str:
    return type(kind).__name__
