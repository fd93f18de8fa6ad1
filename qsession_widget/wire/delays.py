"""Delays of circuits: their lengths on a device, and transpiling the circuits around them."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING

from qiskit.circuit import (
    CircuitInstruction,
    Delay,
    Duration,
    Instruction,
    ParameterExpression,
)
from qiskit.circuit.classical import expr
from qiskit.circuit.duration import duration_in_dt

from qsession_widget.errors import InvalidInputError
from qsession_widget.wire.rewriting import keep_label, rewritten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qiskit import QuantumCircuit

UNIT_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}
"""Units of a delay that QPY drops, in seconds."""

_ARITHMETIC: dict[expr.Binary.Op, Callable[[float, float], float]] = {
    expr.Binary.Op.ADD: operator.add,
    expr.Binary.Op.SUB: operator.sub,
    expr.Binary.Op.MUL: operator.mul,
    expr.Binary.Op.DIV: operator.truediv,
}


def delays_in_dt(circuit: QuantumCircuit, dt: float | None) -> QuantumCircuit:
    """Return a circuit whose delays of known length are whole numbers of a device's `dt`.

    Args:
        circuit: the circuit, which is not changed.
        dt: the device's unit of time, in seconds; None leaves delays unchanged.
    """

    def counted(data: Sequence[CircuitInstruction]) -> dict[int, CircuitInstruction]:
        found = {}
        for place, each in enumerate(data):
            if each.name == "delay" and each.operation.unit in UNIT_SECONDS and dt is not None:
                length = each.operation.duration
                if not isinstance(length, ParameterExpression):
                    whole = duration_in_dt(float(length) * UNIT_SECONDS[each.operation.unit], dt)
                    found[place] = each.replace(operation=keep_label(each.operation, Delay(whole)))
        return found

    return rewritten(circuit, counted)


def transpiled_around_delays(
    circuit: QuantumCircuit, transpile: Callable[[QuantumCircuit], QuantumCircuit]
) -> QuantumCircuit:
    """Transpile a circuit, and leave its delays unchanged.

    Qiskit's pass managers do not support delays that depend on parameters, nor delays that are not
    a multiple of the device's alignment unless the whole circuit is scheduled.

    Args:
        circuit: the circuit, which is not changed.
        transpile: transpiles a circuit. It sees opaque instructions named `delay`.
    """
    delays: dict[str, Delay] = {}

    def hide(data: Sequence[CircuitInstruction]) -> dict[int, CircuitInstruction]:
        found = {}
        for place, each in enumerate(data):
            if each.name == "delay" and isinstance(each.operation, Delay):
                length = each.operation.duration
                params = [length] if isinstance(length, ParameterExpression) else []
                label = str(len(delays))
                delays[label] = each.operation
                found[place] = each.replace(
                    operation=Instruction("delay", 1, 0, params, label=label)
                )
        return found

    def show(data: Sequence[CircuitInstruction]) -> dict[int, CircuitInstruction]:
        return {
            # The operation's own label: of what came out of a definition the instruction has none.
            place: each.replace(operation=delays[each.operation.label])
            for place, each in enumerate(data)
            if each.name == "delay" and each.operation.label in delays
        }

    hidden = rewritten(circuit, hide)
    return transpile(circuit) if hidden is circuit else rewritten(transpile(hidden), show)


def delays_of_known_length(circuit: QuantumCircuit, dt: float | None) -> QuantumCircuit:
    """Return a circuit whose delays are numbers, or depend on parameters, but no expressions.

    Args:
        circuit: the circuit, which is not changed.
        dt: the device's unit of time, in seconds; None if it has none.

    Raises:
        InvalidInputError: for a stretch, whose length is not resolved here, and for a length that
            cannot be evaluated.
    """

    def worked_out(data: Sequence[CircuitInstruction]) -> dict[int, CircuitInstruction]:
        found = {}
        for place, each in enumerate(data):
            if each.name == "delay" and isinstance(length := each.operation.duration, expr.Expr):
                seconds = _worked_out(length, dt)
                if not 0 <= seconds < math.inf:
                    raise InvalidInputError(f"a delay of {seconds} s; allowed is a length from 0")
                found[place] = each.replace(
                    operation=keep_label(each.operation, Delay(seconds, "s"))
                )
        return found

    return rewritten(circuit, worked_out)


def _worked_out(node: expr.Expr, dt: float | None) -> float:
    """Evaluate a constant expression; durations are in seconds."""
    match node:
        case expr.Value():
            value = node.value
            if not isinstance(value, Duration):
                return float(value)
            if value.unit() == "dt":
                if dt is None:
                    raise InvalidInputError("a delay is in units of dt, and the device has no dt")
                return float(value.value() * dt)
            return float(value.value() * UNIT_SECONDS[value.unit()])
        case expr.Cast():
            return _worked_out(node.operand, dt)
        case expr.Unary() if node.op is expr.Unary.Op.NEGATE:
            return -_worked_out(node.operand, dt)
        case expr.Binary() if node.op in _ARITHMETIC:
            left, right = _worked_out(node.left, dt), _worked_out(node.right, dt)
            if node.op is expr.Binary.Op.DIV and right == 0:
                raise InvalidInputError("the length of a delay is divided by 0")
            return _ARITHMETIC[node.op](left, right)
        case expr.Stretch():
            raise InvalidInputError(
                f"a delay has the length of the stretch {node.name!r}, and this runtime does not "
                "choose its length: give a number, such as circuit.delay(100, qubit, unit='ns')"
            )
        case _:
            raise InvalidInputError(f"the length of a delay cannot be worked out: {node!r:.200}")
