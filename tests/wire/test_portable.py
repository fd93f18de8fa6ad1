"""Circuits are decoded as they were encoded, or are refused before they are sent.

The instructions come from Qiskit's own lists, so that a new one fails here until it is covered.
"""

from __future__ import annotations

import base64
import inspect
import io
import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import AncillaRegister, ClassicalRegister, QuantumCircuit, QuantumRegister, qpy
from qiskit.circuit import (
    AnnotatedOperation,
    Clbit,
    ControlModifier,
    Delay,
    Duration,
    Gate,
    Instruction,
    InverseModifier,
    Operation,
    Parameter,
    ParameterVector,
    PowerModifier,
    Qubit,
    library,
)
from qiskit.circuit.classical import expr, types
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator, Pauli, SparsePauliOp, Statevector, random_clifford
from qiskit.synthesis import SuzukiTrotter
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qsession_widget.errors import CodecError, InvalidInputError
from qsession_widget.wire import codec, delays, portable_circuits

if TYPE_CHECKING:
    from collections.abc import Callable

A, B = Parameter("a"), Parameter("b")
VECTOR = ParameterVector("v", 2)
UNITS = ("dt", "s", "ms", "us", "ns", "ps")


def again(circuit: QuantumCircuit) -> QuantumCircuit:
    """Encode a circuit, and decode it as the runtime does."""
    before = [(each.name, each.qubits, each.clbits) for each in circuit.data]
    text = codec.encode_circuit(circuit)
    after = [(each.name, each.qubits, each.clbits) for each in circuit.data]
    assert after == before, "encoding does not change the circuit"
    return codec.decode_circuit(text, oldest=codec.SERVICE_OLDEST_QPY_VERSION)


def packed(data: bytes) -> str:
    """Return a circuit's text as another client writes it."""
    return base64.b64encode(zlib.compress(data)).decode()


def of(operation: Any) -> QuantumCircuit:
    found = QuantumCircuit(operation.num_qubits, operation.num_clbits, name="sent")
    found.append(operation, found.qubits, found.clbits)
    return found


def assert_same(one: QuantumCircuit, other: QuantumCircuit) -> None:
    assert one == other
    assert one.name == other.name
    assert one.metadata == other.metadata
    assert [each.label for each in one.data] == [each.label for each in other.data]
    assert [each.operation for each in one.data] == [each.operation for each in other.data]


def matrix(circuit: QuantumCircuit) -> Any:
    """Return a circuit's matrix, computed from the definitions of its gates."""
    if any(isinstance(each.operation, library.Initialize) for each in circuit.data):
        return Statevector(circuit.decompose(reps=9)).data
    return Operator(circuit.decompose(reps=9)).data


# Gates of the library

UNITARY = np.array([[0.6, 0.8], [-0.8, 0.6]])
EYE = np.eye(2)
MADE: dict[str, Callable[[], Any]] = {
    "AndGate": lambda: library.AndGate(3, [1, -1, 0]),
    "Barrier": lambda: library.Barrier(2),
    "BitFlipOracleGate": lambda: library.BitFlipOracleGate("a & b"),
    "BitwiseXorGate": lambda: library.BitwiseXorGate(3, 5),
    "DiagonalGate": lambda: library.DiagonalGate([1, -1, 1j, 1]),
    "ExactReciprocalGate": lambda: library.ExactReciprocalGate(2, 0.3),
    "FullAdderGate": lambda: library.FullAdderGate(2),
    "GraphStateGate": lambda: library.GraphStateGate([[0, 1], [1, 0]]),
    "HalfAdderGate": lambda: library.HalfAdderGate(2),
    "HamiltonianGate": lambda: library.HamiltonianGate([[1, 0], [0, -1]], 0.3),
    "Initialize": lambda: library.Initialize([0.6, 0, 0, 0.8j]),
    "InnerProductGate": lambda: library.InnerProductGate(2),
    "IntegerComparatorGate": lambda: library.IntegerComparatorGate(2, 3, geq=False),
    "Isometry": lambda: library.Isometry(np.eye(4)[:, [1, 0]], 0, 0),
    "LinearAmplitudeFunctionGate": lambda: library.LinearAmplitudeFunctionGate(
        2, 1.0, 0.0, (0, 1), (0, 1)
    ),
    "LinearFunction": lambda: library.LinearFunction([[1, 1], [0, 1]]),
    "LinearPauliRotationsGate": lambda: library.LinearPauliRotationsGate(2, 0.3, 0.1, "Z"),
    "MCGupDiag": lambda: library.MCGupDiag(UNITARY, 1, 0, 0),
    "MCMTGate": lambda: library.MCMTGate(library.YGate(), 2, 2, ctrl_state=1),
    "MSGate": lambda: library.MSGate(2, 0.3),
    "ModularAdderGate": lambda: library.ModularAdderGate(2),
    "MultiplierGate": lambda: library.MultiplierGate(1, 2),
    "OrGate": lambda: library.OrGate(3, [1, -1, 0]),
    "PauliEvolutionGate": lambda: library.PauliEvolutionGate(
        [SparsePauliOp(["XX", "ZI"], [0.5, 0.2]), SparsePauliOp("YY")],
        time=0.3,
        synthesis=SuzukiTrotter(order=2, reps=2),
    ),
    "PauliGate": lambda: library.PauliGate("XYZ"),
    "PauliProductMeasurement": lambda: library.PauliProductMeasurement(Pauli("-XZ")),
    "PauliProductRotationGate": lambda: library.PauliProductRotationGate(Pauli("XZ"), 0.3),
    "PermutationGate": lambda: library.PermutationGate([2, 0, 1]),
    "PhaseOracleGate": lambda: library.PhaseOracleGate("a & b"),
    "PiecewiseChebyshevGate": lambda: library.PiecewiseChebyshevGate(
        lambda x: 0.2 * x, 2, 1, [0, 2]
    ),
    "PiecewiseLinearPauliRotationsGate": lambda: library.PiecewiseLinearPauliRotationsGate(
        2, [0, 2], [0.1, 0.3], [0.0, 0.2]
    ),
    "PiecewisePolynomialPauliRotationsGate": (
        lambda: library.PiecewisePolynomialPauliRotationsGate(2, [0, 2], [[0.1, 0.3], [0.2]])
    ),
    "PolynomialPauliRotationsGate": lambda: library.PolynomialPauliRotationsGate(2, [0.1, 0.3]),
    "QFTGate": lambda: library.QFTGate(3),
    "QuadraticFormGate": lambda: library.QuadraticFormGate(2, [[1, 2], [0, 1]], [1, 0], 1),
    "RVGate": lambda: library.RVGate(0.1, 0.2, 0.3),
    "StatePreparation": lambda: library.StatePreparation([0.6, 0, 0, 0.8j], inverse=True),
    "UCGate": lambda: library.UCGate([UNITARY, EYE]),
    "UCPauliRotGate": lambda: library.UCPauliRotGate([0.1, 0.4], "Y"),
    "UCRXGate": lambda: library.UCRXGate([0.1, 0.4]),
    "UCRYGate": lambda: library.UCRYGate([0.1, 0.4]),
    "UCRZGate": lambda: library.UCRZGate([0.1, 0.4]),
    "UniformSuperpositionGate": lambda: library.UniformSuperpositionGate(3, 2),
    "UnitaryGate": lambda: library.UnitaryGate(UNITARY, label="mine"),
    "WeightedSumGate": lambda: library.WeightedSumGate(2, [1, 2]),
}
"""Gates of the library that need arguments of a certain kind."""

NEEDS_A_DEVICE = {"WeightedSumGate"}
"""Gates without a definition, which the transpiler makes where there are more qubits."""

LIBRARY = sorted(
    name
    for name, kind in vars(library).items()
    if isinstance(kind, type) and issubclass(kind, Instruction) and not inspect.isabstract(kind)
)


def made(name: str) -> Any:
    """Create a gate of the library: whole numbers are counts, others are angles."""
    if name in MADE:
        return MADE[name]()
    kind = getattr(library, name)
    needed = [
        each
        for each in inspect.signature(kind.__init__).parameters.values()
        if each.default is each.empty
        and each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}
        and each.name != "self"
    ]
    return kind(
        *(3 if each.name.startswith("num_") else 0.2 + place for place, each in enumerate(needed))
    )


@pytest.mark.parametrize("name", LIBRARY)
def test_gates_of_the_library(name: str) -> None:
    sent = of(made(name))
    if name in NEEDS_A_DEVICE:
        with pytest.raises(CodecError, match=r"no definition .* transpile the circuit"):
            again(sent)
        return
    found = again(sent)
    if [each.operation for each in found.data] == [each.operation for each in sent.data]:
        assert found == sent
        return
    # Sent as its definition: the same matrix, global phase included.
    np.testing.assert_allclose(matrix(found), matrix(sent), atol=1e-9)


@pytest.mark.parametrize("name", sorted(get_standard_gate_name_mapping()))
def test_standard_instructions_are_decoded_unchanged(name: str) -> None:
    operation = get_standard_gate_name_mapping()[name].to_mutable()
    if name != "delay":
        operation.label = "mine"
    assert_same(again(of(operation)), of(operation))
    if operation.params and name != "delay":
        operation.params = [A + 2 * B] * len(operation.params)
        assert_same(again(of(operation)), of(operation))


@pytest.mark.parametrize(
    "operation",
    [
        library.CXGate(ctrl_state=0),
        library.HGate().control(3, ctrl_state=2),
        library.MCXGate(5, ctrl_state=3),
        library.UnitaryGate(UNITARY).control(2),
        random_clifford(2, seed=1),
        AnnotatedOperation(
            library.SGate(), [ControlModifier(2, 1), InverseModifier(), PowerModifier(2.0)]
        ),
        library.PauliEvolutionGate(SparsePauliOp(["XX", "ZI"]), time=A),
        Gate("opaque", 2, [0.3, A]),
        QuantumCircuit(2, name="own").to_gate(label="labelled"),
        Instruction("own", 1, 1, []),
    ],
    ids=lambda each: each.name,
)
def test_other_operations_are_decoded_unchanged(operation: Operation) -> None:
    assert_same(again(of(operation)), of(operation))


def test_gates_that_qpy_loses_are_unrolled_at_any_depth() -> None:
    lost, ways = library.AndGate(2), QuantumCircuit(4, 1)
    own = QuantumCircuit(3, name="own")
    own.append(lost, [0, 1, 2])
    ways.h([0, 1])
    ways.append(own.to_gate(), [0, 1, 2])
    ways.append(own.to_gate().control(1), [0, 1, 2, 3])
    ways.append(AnnotatedOperation(lost, [InverseModifier(), ControlModifier(1)]), [3, 0, 1, 2])
    ways.append(lost.inverse(), [2, 1, 0])
    # QPY cannot read the label of this one.
    ways.append(library.CXGate(ctrl_state=0, label="open"), [0, 3])
    np.testing.assert_allclose(matrix(again(ways)), matrix(ways), atol=1e-9)
    ways.measure(0, 0)
    with ways.if_test((ways.clbits[0], 1)):
        ways.append(lost, [0, 1, 2])
    block = again(ways).data[-1].operation.blocks[0]
    np.testing.assert_allclose(matrix(block), matrix(of(lost)), atol=1e-9)


def test_gates_without_form_and_definition_are_named() -> None:
    class Odd(Gate):  # type: ignore[misc] # qiskit has no types
        def __init__(self, size: int, more: int) -> None:
            super().__init__("odd", size + more, [object()])

        def validate_parameter(self, parameter: object) -> object:
            return parameter

    with pytest.raises(CodecError, match=r"no form on the wire: instruction 'odd' \(.*Odd\)"):
        codec.encode_circuit(of(Odd(1, 1)))
    with pytest.raises(CodecError, match="cannot hold the value of rx"):
        # QPY drops the imaginary unit.
        codec.encode_circuit(of(library.RXGate(A * 1j)))


# Delays

LENGTHS: dict[str, Callable[[str], Any]] = {
    "whole": lambda _unit: 132,
    "none": lambda _unit: 0,
    "fraction": lambda unit: 3 if unit == "dt" else 0.1 + 0.2,
    "tiny": lambda unit: 1 if unit == "dt" else 5e-324,
    "parameter": lambda _unit: A,
    "expression": lambda _unit: 2 * A + B,
    "element": lambda _unit: VECTOR[1],
}


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("unit", UNITS)
def test_a_delay_keeps_its_unit(unit: str, length: str) -> None:
    inner = QuantumCircuit(1, 1, name="inner")
    inner.delay(LENGTHS[length](unit), 0, unit=unit)
    sent = QuantumCircuit(1, 1)
    sent.compose(inner, inplace=True)
    sent.append(inner.to_instruction(), [0], [0])
    with sent.if_test((sent.clbits[0], 1)), sent.while_loop((sent.clbits[0], 1)):
        sent.delay(LENGTHS[length](unit), 0, unit=unit)
    found = again(sent)
    assert_same(found, sent)
    first = found.data[0].operation
    assert (type(first), first.unit) == (Delay, unit)
    assert first.duration == sent.data[0].operation.duration


def test_every_unit_of_qiskit_is_tried() -> None:
    for unit in UNITS:
        Delay(1, unit)
    assert {*delays.UNIT_SECONDS, "dt"} == set(UNITS)
    durations = {name for name in vars(Duration) if not name.startswith("_")} - {"unit", "value"}
    assert durations == set(UNITS)


def test_delays_of_different_units_have_different_texts() -> None:
    def text(length: float, unit: str) -> str:
        found = QuantumCircuit(1, name="same")
        found.delay(length, 0, unit=unit)
        return codec.encode_circuit(found)

    assert len({text(132, unit) for unit in UNITS}) == len(UNITS)


def test_delays_for_services_that_only_know_qiskit() -> None:
    sent = QuantumCircuit(2)
    sent.delay(132, 0, unit="us")
    sent.delay(100, 1)
    text = codec.encode_circuit(sent, plain=True)
    buffer = io.BytesIO(zlib.decompress(base64.b64decode(text)))
    (found,) = qpy.load(buffer)
    length = found.data[0].operation.duration
    assert expr.structurally_equivalent(length, expr.mul(Duration.us(132), 1.0))
    assert found.data[1].operation == Delay(100)
    sent.delay(A, 0, unit="us")
    with pytest.raises(CodecError, match=r"delay of a us depends on parameters.*assign"):
        codec.encode_circuit(sent, plain=True)


def test_delays_are_counted_in_the_devices_time() -> None:
    sent = QuantumCircuit(1, 1)
    sent.delay(1, 0, unit="us")
    sent.delay(A, 0, unit="us")
    with sent.if_test((sent.clbits[0], 1)):
        sent.delay(2e-6, 0, unit="s")
    found = delays.delays_in_dt(sent, 1e-9)
    assert found.data[0].operation == Delay(1000)
    assert found.data[1].operation == Delay(A, "us")
    assert found.data[2].operation.blocks[0].data[0].operation == Delay(2000)
    assert delays.delays_in_dt(sent, None) is sent


@pytest.mark.parametrize(
    ("length", "seconds"),
    [
        (lambda: expr.lift(Duration.ms(2)), 2e-3),
        (lambda: expr.add(Duration.us(1), Duration.dt(500)), 1.5e-6),
        (lambda: expr.sub(Duration.us(1), expr.mul(2.0, Duration.ns(100))), 0.8e-6),
        (lambda: expr.div(Duration.us(1), 4.0), 0.25e-6),
        (lambda: expr.mul(expr.div(Duration.us(1), Duration.ns(1)), Duration.ps(1)), 1e-9),
    ],
)
def test_constant_lengths_are_worked_out(length: Callable[[], Any], seconds: float) -> None:
    sent = QuantumCircuit(1)
    sent.delay(length(), 0)
    assert_same(again(sent), sent)
    delay = delays.delays_of_known_length(sent, 1e-9).data[0].operation
    assert (delay.unit, type(delay.duration)) == ("s", float)
    assert delay.duration == pytest.approx(seconds, rel=1e-12)


def test_unknown_lengths_are_reported() -> None:
    sent = QuantumCircuit(1)
    sent.delay(sent.add_stretch("wide"), 0)
    with pytest.raises(InvalidInputError, match="stretch 'wide'"):
        delays.delays_of_known_length(sent, 1e-9)
    for length, said in (
        (expr.sub(Duration.ns(1), Duration.us(1)), "from 0"),
        (expr.div(Duration.ns(1), 0.0), "divided by 0"),
        (expr.lift(Duration.dt(1)), "no dt"),
    ):
        circuit = QuantumCircuit(1)
        circuit.delay(length, 0)
        with pytest.raises(InvalidInputError, match=said):
            delays.delays_of_known_length(circuit, None)


@pytest.mark.parametrize("level", range(4))
def test_transpiling_leaves_delays_as_they_are(level: int) -> None:
    device = FakeManilaV2()
    manager = generate_preset_pass_manager(level, backend=device, seed_transpiler=1)
    sent = QuantumCircuit(2, 1)
    sent.h(0)
    # The first is not a multiple of the device's alignment, and the second has no known length.
    sent.delay(101, 0)
    sent.delay(A, 1, unit="us")
    sent.cx(0, 1)
    sent.delay(1.5, 0, unit="ns")
    # Qiskit attaches labels from definitions elsewhere.
    inside = QuantumCircuit(1, name="waits")
    inside.delay(7, 0, unit="us")
    sent.append(inside.to_instruction(), [1])
    sent.measure(0, 0)
    found = delays.transpiled_around_delays(sent, manager.run)
    kept = [each.operation for each in found.data if each.name == "delay"]
    assert sorted(kept, key=str) == sorted(
        [Delay(101), Delay(A, "us"), Delay(1.5, "ns"), Delay(7, "us")], key=str
    )
    assert all(type(each) is Delay for each in kept)
    assert found.layout is not None
    assert found.num_qubits == device.num_qubits


# Control flow, classical expressions, registers


def _branches(found: QuantumCircuit) -> None:
    with found.if_test((found.cregs[0], 3)) as otherwise:
        found.x(0)
    with otherwise:
        found.y(0)


def _switch(found: QuantumCircuit) -> None:
    with found.switch(found.cregs[0]) as case:
        with case(1, 2):
            found.x(0)
        with case(case.DEFAULT):
            found.rx(A, 1)


def _for(found: QuantumCircuit) -> None:
    turn = Parameter("turn")
    with found.for_loop(range(0, 6, 2), turn):
        found.rx(turn + A, 0)
        with found.if_test((found.clbits[0], 1)):
            found.break_loop()
    with found.for_loop([1, 5, 2]):
        found.continue_loop()


def _while(found: QuantumCircuit) -> None:
    with found.while_loop(expr.logic_not(found.clbits[0])):
        found.measure(0, 0)


def _variables(found: QuantumCircuit) -> None:
    number = found.add_var("n", expr.lift(3, types.Uint(8)))
    flag = found.add_var("f", expr.less(number, 5))
    found.store(number, expr.add(number, 1))
    with found.if_test(expr.logic_and(flag, found.clbits[0])):
        local = found.add_var("local", expr.bit_xor(number, 7))
        found.store(number, expr.shift_left(local, 1))
    real = found.add_var("r", expr.lift(0.5))
    found.store(real, expr.div(real, 2.0))
    found.store(flag, expr.index(found.cregs[0], 1))
    found.store(flag, expr.cast(number, types.Bool()))


def _stretches(found: QuantumCircuit) -> None:
    stretch = found.add_stretch("s")
    found.delay(stretch, 0)
    found.delay(expr.mul(stretch, 2.0), 1)
    found.delay(expr.add(stretch, Duration.us(1)), 2)
    with found.box(duration=stretch, label="timed"):
        found.x(0)


def _boxes(found: QuantumCircuit) -> None:
    for unit in UNITS:
        with found.box(duration=5, unit=unit, label=unit):
            found.x(0)
            found.noop(1)
            found.delay(1, 0, unit=unit)
    with found.box():
        found.cx(0, 1)


def _aliases(found: QuantumCircuit) -> None:
    found.add_register(ClassicalRegister(name="alias", bits=found.clbits[:2][::-1]))
    found.add_register(QuantumRegister(name="also", bits=found.qubits[1:]))
    found.add_register(AncillaRegister(1, "help"))
    found.add_bits([Qubit(), Clbit()])
    found.measure(found.qubits[-1], found.clbits[-1])


def _whole(found: QuantumCircuit) -> None:
    found.metadata = {"array": [1, 2], "nested": {"complex": 1j, "none": None}}
    found.global_phase = A + 0.1
    found.name = "a name with ünïcode"


@pytest.mark.parametrize(
    "change",
    [_branches, _switch, _for, _while, _variables, _stretches, _boxes, _aliases, _whole],
    ids=lambda change: change.__name__,
)
def test_everything_else_is_decoded_unchanged(change: Callable[[QuantumCircuit], None]) -> None:
    sent = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(3, "c"))
    sent.measure(0, 0)
    change(sent)
    assert_same(again(sent), sent)


@pytest.mark.parametrize(
    "expression",
    [
        A.sin(), A.cos(), A.tan(), A.arcsin(), A.arccos(), A.arctan(), A.exp(), A.log(), abs(A),
        A.sign(), A.conjugate(), A + B, A - B, A * B, A / B, A**B, -A, 1 / A, 2**A, A - A,
        (A + B).subs({B: 2 * A}), (A + B).assign(B, 0.3), ParameterVector("v", 3)[2] * 0.1,
    ],
    ids=str,
)  # fmt: skip # a line for each would fill a page
def test_expressions_of_parameters(expression: Any) -> None:
    sent = of(library.RXGate(expression))
    found = again(sent)
    assert_same(found, sent)
    values = {each.name: 0.3 + place for place, each in enumerate(sent.parameters)}
    one, other = (each.assign_parameters(values).data[0].params[0] for each in (found, sent))
    assert float(one) == float(other)


# Numbers


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_numbers_that_are_not_finite_are_found(value: float) -> None:
    circuits = [of(library.RXGate(value)), of(library.UnitaryGate(EYE)), QuantumCircuit(1)]
    circuits[1].data[0].operation.params[0][0, 0] = value
    circuits[2].delay(abs(float(value)), 0, unit="us")
    nested = QuantumCircuit(1, 1)
    with nested.if_test((nested.clbits[0], 1)):
        nested.rz(value, 0)
    own = QuantumCircuit(1, name="own")
    own.p(value, 0)
    for circuit in (*circuits, nested, of(own.to_gate())):
        with pytest.raises(CodecError, match="finite"):
            codec.encode_circuit(circuit)
        with pytest.raises(CodecError, match="finite"):
            portable_circuits.check_numbers(circuit)


@pytest.mark.parametrize(
    "value", [1, True, np.float64(0.1), np.float32(0.1), np.int64(3), np.uint8(2), 1e300, -0.0]
)
def test_other_numbers_are_decoded_unchanged(value: float) -> None:
    assert again(of(library.RXGate(value))).data[0].params == [float(value)]


# Texts that are refused


def test_old_and_foreign_texts_are_refused_before_qiskit_reads_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(qpy, "load", read)
    buffer = io.BytesIO()
    qpy.dump(of(library.RXGate(A)), buffer, version=13)
    good = buffer.getvalue()

    def changed(place: int, value: bytes) -> str:
        return packed(good[:place] + value + good[place + 1 :])

    for text, said in (
        (changed(6, bytes([12])), r"QPY version 12; this service reads version 13 and later"),
        (changed(6, bytes([1])), "QPY version 1;"),
        (changed(18, b"e"), "symengine"),
        (changed(0, b"X"), "not QPY"),
        (packed(good[:9]), "shorter"),
    ):
        with pytest.raises(CodecError, match=said):
            codec.decode_circuit(text, oldest=codec.SERVICE_OLDEST_QPY_VERSION)
        with pytest.raises(CodecError, match=said):
            codec.check_text(text)
    codec.check_text(changed(6, bytes([13])))


def test_a_text_of_another_client_with_a_delay_that_qpy_loses_is_explained() -> None:
    for length in (1.5, A):
        circuit = QuantumCircuit(1)
        circuit.delay(length, 0, unit="us")
        buffer = io.BytesIO()
        qpy.dump(circuit, buffer, version=17)
        text = packed(buffer.getvalue())
        with pytest.raises(CodecError, match="delays whole numbers of dt"):
            codec.decode_circuit(text)
