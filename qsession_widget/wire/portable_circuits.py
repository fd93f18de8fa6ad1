"""Rewrites circuits so that QPY restores them unchanged.

QPY writes the number of a delay and drops its unit, and it writes instructions that it cannot read
again, or reads as others. Such instructions are sent in an equivalent form:

* a delay in seconds, or in fractions of them, as the duration expression `length * 1.0`;
* a delay that depends on parameters, which QPY cannot represent, as an instruction whose name tells
  the unit: our own runtime knows it;
* any other instruction by its definition.
"""

from __future__ import annotations

import io
import math
import operator
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import (
    AnnotatedOperation,
    Barrier,
    BreakLoopOp,
    CircuitInstruction,
    ContinueLoopOp,
    ControlFlowOp,
    ControlledGate,
    Delay,
    Duration,
    Gate,
    Instruction,
    Measure,
    Parameter,
    ParameterExpression,
    Reset,
    Store,
)
from qiskit.circuit.classical import expr
from qiskit.circuit.duration import duration_in_dt
from qiskit.circuit.library import PauliGate, PermutationGate, UnitaryGate
from qiskit.exceptions import QiskitError

from qsession_widget.errors import CodecError, InvalidInputError
from qsession_widget.wire.fields import MID_CIRCUIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

UNIT_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}
"""Units of a delay that QPY drops, in seconds."""

_DURATIONS = {
    "s": Duration.s,
    "ms": Duration.ms,
    "us": Duration.us,
    "ns": Duration.ns,
    "ps": Duration.ps,
}
_OPEN_DELAY = "qsession_delay_"
"""Prefix of the name of an instruction that represents a delay whose length has parameters."""

_SURE = (Measure, Reset, Barrier, Delay, Store, BreakLoopOp, ContinueLoopOp, ControlFlowOp)
"""Instructions besides standard gates that QPY restores, or that are handled elsewhere."""

_SURE_GATES = (UnitaryGate, PauliGate, PermutationGate)
"""Frequent gates that QPY restores; subclasses are not included."""

_ARITHMETIC: dict[expr.Binary.Op, Callable[[float, float], float]] = {
    expr.Binary.Op.ADD: operator.add,
    expr.Binary.Op.SUB: operator.sub,
    expr.Binary.Op.MUL: operator.mul,
    expr.Binary.Op.DIV: operator.truediv,
}

_DEFINED = (Gate, Instruction)
"""Classes that QPY writes by their definition; subclasses are not included."""


def portable(circuit: QuantumCircuit, version: int, *, plain: bool = False) -> QuantumCircuit:
    """Return an equivalent circuit that QPY restores unchanged; the same one if possible.

    Args:
        circuit: the circuit, which is not changed.
        version: of QPY.
        plain: whether the reader is plain Qiskit, without `restored`.

    Raises:
        CodecError: for an instruction that cannot be represented, and for non-finite numbers.
    """
    return _Sent(version, plain=plain).of(circuit)


def restored(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return a circuit with its original delays: the inverse of `portable`."""

    def original(data: Sequence[CircuitInstruction]) -> dict[int, CircuitInstruction]:
        return {
            place: each.replace(operation=delay)
            for place, each in enumerate(data)
            if not each.is_standard_gate() and (delay := _delay_of(each.operation)) is not None
        }

    return _changed(circuit, original)


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
                    found[place] = each.replace(operation=_like(each.operation, Delay(whole)))
        return found

    return _changed(circuit, counted)


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

    hidden = _changed(circuit, hide)
    return transpile(circuit) if hidden is circuit else _changed(transpile(hidden), show)


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
                found[place] = each.replace(operation=_like(each.operation, Delay(seconds, "s")))
        return found

    return _changed(circuit, worked_out)


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


def check_numbers(circuit: QuantumCircuit) -> None:
    """Check that all numbers in a circuit are finite.

    Raises:
        CodecError: for one that is not, with the name of its instruction.
    """
    _check_numbers("global phase", [circuit.global_phase])

    def check(data: Sequence[CircuitInstruction]) -> dict[int, CircuitInstruction]:
        for each in data:
            _check_numbers(each.name, getattr(each.operation, "params", ()))
        return {}

    _changed(circuit, check)


class _Sent:
    """Rewrites circuits into the form in which they are sent."""

    def __init__(self, version: int, *, plain: bool) -> None:
        self._version = version
        self._plain = plain

    def of(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Return the form of a circuit, which may be the circuit itself."""
        _check_numbers("global phase", [circuit.global_phase])
        return _changed(circuit, self._forms)

    def _forms(
        self, data: Sequence[CircuitInstruction]
    ) -> dict[int, CircuitInstruction | QuantumCircuit]:
        found: dict[int, CircuitInstruction | QuantumCircuit] = {}
        suspects: dict[int, Any] = {}
        for place, each in enumerate(data):
            if each.is_standard_gate():
                params = each.params
                _check_numbers(each.name, params)
                if any(_composed(value) for value in params):
                    suspects[place] = each.operation
                continue
            operation = each.operation
            _check_numbers(operation.name, getattr(operation, "params", ()))
            if isinstance(operation, Delay):
                sent = self._delay(operation)
                if sent is not operation:
                    found[place] = each.replace(operation=sent)
            elif not isinstance(operation, _SURE) and type(operation) not in _SURE_GATES:
                suspects[place] = operation
        if suspects:
            kept = _come_back(list(suspects.values()), self._version)
            for place, same in zip(suspects, kept, strict=True):
                if not same:
                    found[place] = self._by_definition(data[place])
        return found

    def _delay(self, delay: Delay) -> Instruction:
        if isinstance(delay.duration, ParameterExpression):
            if self._plain:
                raise CodecError(
                    f"a delay of {delay.duration} {delay.unit} depends on parameters, and QPY, in "
                    "which circuits are sent, cannot hold that; give the parameters their values "
                    "first, circuit.assign_parameters(values), one pub for each"
                )
            return _like(delay, Instruction(f"{_OPEN_DELAY}{delay.unit}", 1, 0, [delay.duration]))
        if delay.unit not in UNIT_SECONDS:
            return delay
        length = _DURATIONS[delay.unit](float(delay.duration))
        return _like(delay, Delay(expr.mul(length, 1.0)))

    def _by_definition(
        self, instruction: CircuitInstruction
    ) -> CircuitInstruction | QuantumCircuit:
        """Return an equivalent of an operation that QPY does not restore."""
        operation = instruction.operation
        if instruction.is_standard_gate():
            values = ", ".join(map(str, instruction.params))
            raise CodecError(
                f"QPY, in which circuits are sent, cannot hold the value of {operation.name}("
                f"{values}); allowed are numbers, and expressions of parameters that are real"
            )
        if isinstance(operation, AnnotatedOperation):
            base = operation.base_op
            return instruction.replace(
                operation=AnnotatedOperation(
                    self._plainly(base, self._definition(base)), operation.modifiers
                )
            )
        definition = self._definition(operation)
        if type(operation) in _DEFINED and operation.definition is not None:
            # Only its definition is not restored.
            return instruction.replace(operation=self._plainly(operation, definition))
        return definition

    def _plainly(self, operation: Instruction, definition: QuantumCircuit) -> Instruction:
        kind = Gate if isinstance(operation, Gate) else Instruction
        params = operation.params if type(operation) in _DEFINED else []
        found = (
            Gate(operation.name, operation.num_qubits, list(params))
            if kind is Gate
            else Instruction(
                operation.name, operation.num_qubits, operation.num_clbits, list(params)
            )
        )
        found.definition = definition
        return _like(operation, found)

    def _definition(self, operation: Any) -> QuantumCircuit:
        definition = getattr(operation, "definition", None)
        if definition is None:
            definition = _synthesized(operation)
        if not isinstance(definition, QuantumCircuit):
            raise CodecError(
                f"instruction {operation.name!r} ({type(operation).__qualname__}) has no form in "
                "QPY, in which circuits are sent, and no definition that could be sent in its "
                "place; transpile the circuit for the device first"
            )
        return self.of(definition)


def _synthesized(operation: Any) -> QuantumCircuit | None:
    """Return a circuit for an operation that Qiskit's transpiler can synthesize, else None."""
    from qiskit.transpiler import PassManager  # noqa: PLC0415 - slow to import, and seldom needed
    from qiskit.transpiler.passes import HighLevelSynthesis  # noqa: PLC0415 - likewise

    alone = QuantumCircuit(operation.num_qubits, operation.num_clbits)
    alone.append(operation, alone.qubits, alone.clbits)
    try:
        with warnings.catch_warnings():
            # It may fail for lack of idle qubits: the operation is then rejected here.
            warnings.simplefilter("ignore", UserWarning)
            found: QuantumCircuit = PassManager([HighLevelSynthesis()]).run(alone)
    except QiskitError:
        return None
    return None if operation.name in found.count_ops() else found


def _come_back(operations: Sequence[Any], version: int) -> list[bool]:
    """Return for each operation whether QPY restores it."""
    trial = QuantumCircuit(
        max(each.num_qubits for each in operations), max(each.num_clbits for each in operations)
    )
    for each in operations:
        trial.append(each, trial.qubits[: each.num_qubits], trial.clbits[: each.num_clbits])
    buffer = io.BytesIO()
    try:
        qpy.dump(trial, buffer, version=version)
        buffer.seek(0)
        (again,) = qpy.load(buffer)
        found = [each.operation for each in again.data]
    # QPY's readers fail in many ways on what QPY writes.
    except Exception:  # noqa: BLE001 - whether it can be read is the question here
        if len(operations) == 1:
            return [False]
        half = len(operations) // 2
        return [
            *_come_back(operations[:half], version),
            *_come_back(operations[half:], version),
        ]
    return [_same(one, other) for one, other in zip(operations, found, strict=True)]


def _same(one: Any, other: Any) -> bool:
    """Whether an operation was restored as another one."""
    try:
        if one == other:
            return True
        if MID_CIRCUIT.fullmatch(one.name):
            return bool(
                (one.name, one.num_qubits, one.num_clbits, one.definition, list(one.params))
                == (other.name, other.num_qubits, other.num_clbits, other.definition, [])
            )
        # QPY reads a gate without a class as a plain gate of the same definition.
        return bool(
            type(other) in {*_DEFINED, ControlledGate}
            and (one.name, one.num_qubits, one.num_clbits, list(one.params))
            == (other.name, other.num_qubits, other.num_clbits, list(other.params))
            and getattr(one, "ctrl_state", None) == getattr(other, "ctrl_state", None)
            and other.definition is not None
            and one.definition == other.definition
        )
    # Arrays, for example, have no truth value.
    except (TypeError, ValueError):
        return False


def _changed(
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
        blocks = [_changed(block, change) for block in operation.blocks]
        changed = any(new is not old for new, old in zip(blocks, operation.blocks, strict=True))
        return operation.replace_blocks(blocks) if changed else None
    if type(operation) in _DEFINED and operation.definition is not None:
        definition = _changed(operation.definition, change)
        if definition is not operation.definition:
            found = operation.copy()
            found.definition = definition
            return found
    return None


def _delay_of(operation: Any) -> Delay | None:
    """Return the delay that an instruction represents; None if it represents none."""
    if isinstance(operation, Delay):
        length = operation.duration
        if (
            isinstance(length, expr.Binary)
            and length.op is expr.Binary.Op.MUL
            and isinstance(length.left, expr.Value)
            and isinstance(length.right, expr.Value)
            and isinstance(length.left.value, Duration)
            and length.right.value == 1.0
            and length.left.value.unit() in UNIT_SECONDS
        ):
            value = length.left.value
            return _like(operation, Delay(value.value(), value.unit()))
        return None
    unit = operation.name.removeprefix(_OPEN_DELAY)
    if unit == operation.name or unit not in {*UNIT_SECONDS, "dt"}:
        return None
    (length,) = operation.params
    return _like(operation, Delay(length, unit))


def _like(one: Any, other: Any) -> Any:
    """Copy the label of an instruction to another one."""
    if one.label is not None:
        other.label = one.label
    return other


def _composed(value: Any) -> bool:
    """Whether it is an expression of parameters, and not just one of them."""
    return isinstance(value, ParameterExpression) and not isinstance(value, Parameter)


def _check_numbers(what: str, values: Sequence[Any]) -> None:
    for value in values:
        # Nearly all values have one of these types, and a circuit may have very many.
        if type(value) is float:
            if value - value == 0:
                continue
            finite = False
        elif isinstance(value, Parameter):
            continue
        elif isinstance(value, (complex, float, np.ndarray, np.number)):
            finite = bool(np.all(np.isfinite(value)))
        elif isinstance(value, ParameterExpression) and not value.parameters:
            finite = bool(np.isfinite(complex(value)))
        else:
            continue
        if not finite:
            raise CodecError(f"{what} has the value {value!s:.80}; allowed are finite numbers")
