"""Circuits by content: a text is decoded once, and equal circuits are one to the caches."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from qiskit.circuit import Barrier, Delay, Measure, Parameter, ParameterExpression, Reset

from qsession_widget.runtime.worker.lru_cache import LruCache
from qsession_widget.wire import codec
from qsession_widget.wire.portable_circuits import check_numbers

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from qiskit import QuantumCircuit
    from qiskit.circuit import CircuitInstruction

log = logging.getLogger(__name__)

_KEPT = 256

BYTES_OF_AN_INSTRUCTION = 200
"""Of a decoded circuit, as measured (120 to 180 with Qiskit 2)."""

BYTES_OF_A_PREPARED_ONE = 1_200
"""Of one as Aer has it, with what its parameters are filled into (830 to 1,100)."""

BYTES_OF_A_NOISY_QUBIT = 700_000
"""Of a simulator with the noise of the qubits in use, roughly."""


class CircuitCache:
    """Decoded circuits, and a key for each."""

    def __init__(self) -> None:
        self._decoded: LruCache[tuple[QuantumCircuit, Hashable]] = LruCache(
            _KEPT, weigh=lambda known: weight(known[0])
        )
        self._keys: dict[int, tuple[QuantumCircuit, Hashable]] = {}

    def decode(self, text: str) -> QuantumCircuit:
        """Decode the wire's text of a circuit; nobody may change what this gives."""

        def make() -> tuple[QuantumCircuit, Hashable]:
            circuit = codec.decode_circuit(text, oldest=codec.SERVICE_OLDEST_QPY_VERSION)
            check_numbers(circuit)
            structure = _key_of(circuit)
            return circuit, given if structure is None else _digest(repr(structure))

        given = _digest(text)
        known = self._decoded.get(given, make)
        self._keys[id(known[0])] = known
        return known[0]

    def key(self, circuit: QuantumCircuit) -> Hashable | None:
        """Give a key that only circuits which behave the same share.

        Returns:
            None where nothing is known: it is like no other, and is not worth keeping.
        """
        known = self._keys.get(id(circuit))
        if known is not None and known[0] is circuit:
            return known[1]
        structure = _key_of(circuit)
        return None if structure is None else _digest(repr(structure))

    def release(self) -> None:
        """Let go of the circuits of a job; the cache keeps what it has room for."""
        self._keys.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._decoded.clear()
        self._keys.clear()


def _key_of(circuit: QuantumCircuit) -> Hashable | None:
    """Describe a circuit as `structural_key` does, and none that it stumbles over."""
    try:
        return structural_key(circuit)
    # Instructions are anybody's classes; without a key a circuit runs as well, and is not kept.
    except Exception:
        log.debug("circuit %r has no key", circuit.name, exc_info=True)
        return None


def _digest(text: str) -> bytes:
    """Give what stands for a text in a key: as good as the text, and short."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()


def weight(*circuits: QuantumCircuit, bytes_each: int = BYTES_OF_AN_INSTRUCTION) -> int:
    """Estimate the memory of circuits, in bytes, by how many instructions they have."""
    return sum(len(each.data) for each in circuits) * bytes_each


def structural_key(circuit: QuantumCircuit) -> Hashable | None:
    """Describe all of a circuit that bears on its run, however its objects are called.

    A circuit that was built again has other ids and another name; a parameter's name counts only by
    the place that it takes among the others.

    Returns:
        None where something is in the circuit that this does not know to the last bit, such as
        control flow, a gate of the user's own, or an expression of parameters.
    """
    if circuit.num_vars or circuit.num_stretches:
        return None
    places = {parameter: index for index, parameter in enumerate(circuit.parameters)}
    found: list[Hashable] = [
        circuit.num_qubits,
        circuit.num_clbits,
        tuple(
            (register.name, tuple(circuit.find_bit(bit).index for bit in register))
            for register in circuit.cregs
        ),
    ]
    phase = _value(circuit.global_phase, places)
    if phase is None:
        return None
    found.append(phase)
    for instruction in circuit.data:
        described = _described(circuit, instruction, places)
        if described is None:
            return None
        found.append(described)
    return tuple(found)


def _described(
    circuit: QuantumCircuit, instruction: CircuitInstruction, places: dict[Parameter, int]
) -> Hashable | None:
    known = {Measure, Reset, Barrier, Delay}
    # An operation such as AnnotatedOperation or Clifford has neither base class nor parameters.
    kind = getattr(instruction.operation, "base_class", None)
    if not (instruction.is_standard_gate() or kind in known):
        return None
    values = [_value(value, places) for value in instruction.params]
    if None in values:
        return None
    return (
        instruction.name,
        instruction.label,
        getattr(instruction.operation, "unit", None) if instruction.name == "delay" else None,
        tuple(values),
        tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits),
        tuple(circuit.find_bit(bit).index for bit in instruction.clbits),
    )


def _value(value: Any, places: dict[Parameter, int]) -> Hashable | None:
    if isinstance(value, Parameter):
        return "parameter", places[value]
    if isinstance(value, ParameterExpression):
        # Its text leaves out what is small, and its equality goes by the parameters' ids.
        return None
    return float(value) if isinstance(value, (int, float)) else None


def rebindable(circuit: QuantumCircuit) -> bool:
    """Whether Aer can be given values for its parameters after the circuit was assembled."""
    return all(
        instruction.is_standard_gate() or not instruction.operation.is_parameterized()
        for instruction in circuit.data
    ) and not any(_blocks(circuit))


def _blocks(circuit: QuantumCircuit) -> Iterator[Any]:
    """Give the circuits inside a circuit that have parameters."""
    for instruction in circuit.data:
        for block in getattr(instruction.operation, "blocks", ()):
            if block.parameters:
                yield block
