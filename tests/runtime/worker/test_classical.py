"""Classical expressions in circuits: right where Aer supports them, else refused by name."""

from __future__ import annotations

import operator
import random
from typing import TYPE_CHECKING, Any

import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Duration
from qiskit.circuit.classical import expr, types

from qsession_widget import JobFailedError, Sampler

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("runtime")

SIMULATOR = "aer_simulator"
BITS = 3

COMPARISONS: dict[Callable[[Any, Any], expr.Expr], Callable[[int, int], bool]] = {
    expr.equal: operator.eq,
    expr.not_equal: operator.ne,
    expr.less: operator.lt,
    expr.less_equal: operator.le,
    expr.greater: operator.gt,
    expr.greater_equal: operator.ge,
}
BITWISE: dict[Callable[[Any, Any], expr.Expr], Callable[[int, int], int]] = {
    expr.bit_and: operator.and_,
    expr.bit_or: operator.or_,
    expr.bit_xor: operator.xor,
}
KNOWN = {each.name for each in (*expr.Binary.Op, *expr.Unary.Op)}
LOGICAL: dict[Callable[[Any, Any], expr.Expr], Callable[[bool, bool], bool]] = {
    expr.logic_and: lambda one, other: one and other,
    expr.logic_or: lambda one, other: one or other,
}


def number(
    chance: random.Random, registers: list[ClassicalRegister], values: list[int], depth: int
) -> tuple[Any, int]:
    """Draw an expression of whole numbers, and its value."""
    if depth == 0 or chance.random() < 0.2:
        if chance.random() < 0.3:
            value = chance.randrange(2**BITS)
            return expr.lift(value, types.Uint(BITS)), value
        which = chance.randrange(len(registers))
        return expr.lift(registers[which]), values[which]
    if chance.random() < 0.25:
        node, value = number(chance, registers, values, depth - 1)
        return expr.bit_not(node), 2**BITS - 1 - value
    build, work_out = chance.choice(list(BITWISE.items()))
    one, other = (number(chance, registers, values, depth - 1) for _ in range(2))
    return build(one[0], other[0]), work_out(one[1], other[1])


def condition(
    chance: random.Random, registers: list[ClassicalRegister], values: list[int], depth: int
) -> tuple[expr.Expr, bool]:
    """Draw a condition, and whether it holds."""
    if depth > 1 and chance.random() < 0.5:
        if chance.random() < 0.3:
            node, holds = condition(chance, registers, values, depth - 1)
            return expr.logic_not(node), not holds
        build, work_out = chance.choice(list(LOGICAL.items()))
        one, other = (condition(chance, registers, values, depth - 1) for _ in range(2))
        return build(one[0], other[0]), work_out(one[1], other[1])
    build_one, compare = chance.choice(list(COMPARISONS.items()))
    left, right = (number(chance, registers, values, depth - 1) for _ in range(2))
    return build_one(left[0], right[0]), compare(left[1], right[1])


def test_conditions_hold_where_pythons_do() -> None:
    chance = random.Random(7)  # noqa: S311 - circuits, no secrets
    circuits, expected = [], []
    for _ in range(60):
        registers = [ClassicalRegister(BITS, name) for name in ("a", "b")]
        circuit = QuantumCircuit(QuantumRegister(BITS + 1), *registers, ClassicalRegister(1, "c"))
        values = [chance.randrange(2**BITS) for _ in registers]
        for register, value in zip(registers, values, strict=True):
            for place, bit in enumerate(register):
                circuit.reset(place)
                if value >> place & 1:
                    circuit.x(place)
                circuit.measure(place, bit)
        node, holds = condition(chance, registers, values, 3)
        with circuit.if_test(node):
            circuit.x(BITS)
        circuit.measure(BITS, circuit.cregs[-1][0])
        circuits.append(circuit)
        expected.append(holds)
    results = Sampler(SIMULATOR).run(circuits, shots=3).result()
    assert [each.data.c.get_counts() for each in results] == [{str(int(x)): 3} for x in expected]


def test_every_operation_is_tried_or_refused() -> None:
    tried = {*BITWISE, *COMPARISONS, *LOGICAL}
    names = {each.__name__.upper() for each in tried} | {"BIT_NOT", "LOGIC_NOT"}
    refused = {name.upper() for name in REFUSED}
    assert names | (refused & KNOWN) == KNOWN


def adds(circuit: QuantumCircuit) -> expr.Expr:
    return expr.equal(expr.add(circuit.cregs[0], 1), 1)


def reads_a_variable(circuit: QuantumCircuit) -> expr.Expr:
    return expr.equal(circuit.add_var("v", expr.lift(5, types.Uint(BITS))), 5)


REFUSED: dict[str, Callable[[QuantumCircuit], expr.Expr]] = {
    "add": adds,
    "sub": lambda circuit: expr.equal(expr.sub(circuit.cregs[0], 1), 1),
    "mul": lambda circuit: expr.equal(expr.mul(circuit.cregs[0], 2), 1),
    "div": lambda circuit: expr.equal(expr.div(circuit.cregs[0], 2), 1),
    "shift_left": lambda circuit: expr.equal(expr.shift_left(circuit.cregs[0], 1), 2),
    "shift_right": lambda circuit: expr.equal(expr.shift_right(circuit.cregs[0], 1), 2),
    "negate": lambda _: expr.less(expr.negate(expr.lift(0.5)), 1.0),
    "index": lambda circuit: expr.index(circuit.cregs[0], 0),
    "Float": lambda _: expr.less(expr.lift(0.5), expr.lift(1.0)),
    "Duration": lambda _: expr.less(expr.lift(Duration.ns(1)), expr.lift(Duration.ns(2))),
    "variable 'v'": reads_a_variable,
    "70 bits": lambda circuit: expr.equal(circuit.cregs[1], 5),
}


@pytest.mark.parametrize("said", REFUSED)
def test_unsupported_expressions_are_refused_by_name(said: str) -> None:
    circuit = QuantumCircuit(
        QuantumRegister(1), ClassicalRegister(BITS, "a"), ClassicalRegister(70, "wide")
    )
    circuit.measure(0, 0)
    node = REFUSED[said](circuit)
    # Also where it is inside of something else.
    with circuit.for_loop(range(1)), circuit.if_test(node):
        circuit.x(0)
    name = said.upper() if said.upper() in KNOWN else said
    with pytest.raises(JobFailedError, match=f"cannot run: it needs .*{name}"):
        Sampler(SIMULATOR).run([circuit], shots=3).result()


def test_other_variables_and_loops_are_refused_by_name() -> None:
    local = QuantumCircuit(1, 1)
    with local.if_test((local.clbits[0], 0)):
        local.add_var("inside", expr.lift(1, types.Uint(BITS)))
    local.measure(0, 0)
    flag = QuantumCircuit(1, 1)
    flag.add_var("flag", expr.lift(True))
    flag.measure(0, 0)
    switch = QuantumCircuit(1, BITS)
    with switch.switch(expr.bit_xor(switch.cregs[0], 1)) as case, case(1):
        switch.x(0)
    switch.measure(0, 0)
    loop = QuantumCircuit(1, 1)
    with loop.while_loop((loop.clbits[0], 0)):
        loop.h(0)
        loop.measure(0, 0)
    for circuit, said in (
        (local, "'inside'"),
        (flag, "'flag' of type Bool"),
        (switch, "switch"),
        (loop, "inside of a while loop only"),
    ):
        with pytest.raises(JobFailedError, match=f"cannot run: it .*{said}"):
            Sampler(SIMULATOR).run([circuit], shots=3).result()
