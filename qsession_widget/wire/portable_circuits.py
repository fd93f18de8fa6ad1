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
from qiskit.circuit.library import PauliGate, PermutationGate, UnitaryGate
from qiskit.exceptions import QiskitError

from qsession_widget.errors import CodecError
from qsession_widget.wire.delays import UNIT_SECONDS
from qsession_widget.wire.fields import MID_CIRCUIT
from qsession_widget.wire.rewriting import DEFINED, keep_label, rewritten

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    return rewritten(circuit, original)


def check_numbers(circuit: QuantumCircuit) -> None:
    """Check that all numbers in a circuit are finite.

    Raises:
        CodecError: for one that is not, with the name of its instruction.
    """
    _check_numbers("global phase", [circuit.global_phase])

    def check(data: Sequence[CircuitInstruction]) -> dict[int, CircuitInstruction]:
        for each in data:
            _check_numbers(each.name, _params(each))
        return {}

    rewritten(circuit, check)


class _Sent:
    """Rewrites circuits into the form in which they are sent."""

    def __init__(self, version: int, *, plain: bool) -> None:
        self._version = version
        self._plain = plain

    def of(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Return the form of a circuit, which may be the circuit itself."""
        _check_numbers("global phase", [circuit.global_phase])
        return rewritten(circuit, self._forms)

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
            return keep_label(
                delay, Instruction(f"{_OPEN_DELAY}{delay.unit}", 1, 0, [delay.duration])
            )
        if delay.unit not in UNIT_SECONDS:
            return delay
        length = _DURATIONS[delay.unit](float(delay.duration))
        return keep_label(delay, Delay(expr.mul(length, 1.0)))

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
        if type(operation) in DEFINED and operation.definition is not None:
            # Only its definition is not restored.
            return instruction.replace(operation=self._plainly(operation, definition))
        return definition

    def _plainly(self, operation: Instruction, definition: QuantumCircuit) -> Instruction:
        kind = Gate if isinstance(operation, Gate) else Instruction
        params = operation.params if type(operation) in DEFINED else []
        found = (
            Gate(operation.name, operation.num_qubits, list(params))
            if kind is Gate
            else Instruction(
                operation.name, operation.num_qubits, operation.num_clbits, list(params)
            )
        )
        found.definition = definition
        return keep_label(operation, found)

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
            type(other) in {*DEFINED, ControlledGate}
            and (one.name, one.num_qubits, one.num_clbits, list(one.params))
            == (other.name, other.num_qubits, other.num_clbits, list(other.params))
            and getattr(one, "ctrl_state", None) == getattr(other, "ctrl_state", None)
            and other.definition is not None
            and one.definition == other.definition
        )
    # Arrays, for example, have no truth value.
    except (TypeError, ValueError):
        return False


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
            return keep_label(operation, Delay(value.value(), value.unit()))
        return None
    unit = operation.name.removeprefix(_OPEN_DELAY)
    if unit == operation.name or unit not in {*UNIT_SECONDS, "dt"}:
        return None
    (length,) = operation.params
    return keep_label(operation, Delay(length, unit))


def _composed(value: Any) -> bool:
    """Whether it is an expression of parameters, and not just one of them."""
    return isinstance(value, ParameterExpression) and not isinstance(value, Parameter)


def _params(instruction: CircuitInstruction) -> Sequence[Any]:
    # Qiskit makes an object of a standard gate's operation each time that it is read.
    one = instruction if instruction.is_standard_gate() else instruction.operation
    found: Sequence[Any] = getattr(one, "params", ())
    return found


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
