"""Cache of decoded circuits, and keys by which equal circuits share what the caches hold."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from msgspec import msgpack
from qiskit.circuit import Barrier, Delay, Measure, Parameter, ParameterExpression, Reset

from qsession_widget.runtime.worker.lru_cache import LruCache
from qsession_widget.wire import codec
from qsession_widget.wire.portable_circuits import check_numbers

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from qiskit import QuantumCircuit
    from qiskit.circuit import CircuitInstruction, Clbit, Qubit

log = logging.getLogger(__name__)

_KEPT = 256

BYTES_OF_AN_INSTRUCTION = 200
"""In a decoded circuit; 120 to 180 were measured with Qiskit 2."""

BYTES_OF_AN_EXECUTABLE = 1_200
"""For each instruction in Aer's form, with its open parameters; 830 to 1,100 were measured."""

BYTES_OF_A_NOISY_QUBIT = 700_000
"""Of a simulator with noise, for each qubit in use; a rough figure."""


class CircuitCache:
    """Decoded circuits by their text, and a key of the content of each."""

    def __init__(self) -> None:
        self._decoded: LruCache[tuple[QuantumCircuit, Hashable]] = LruCache(
            _KEPT, weigh=lambda known: weight(known[0])
        )
        self._keys: dict[int, tuple[QuantumCircuit, Hashable]] = {}

    def decode(self, text: str) -> QuantumCircuit:
        """Decode the wire's text of a circuit. The result is shared and must not be changed."""

        def make() -> tuple[QuantumCircuit, Hashable]:
            circuit = codec.decode_circuit(text, oldest=codec.SERVICE_OLDEST_QPY_VERSION)
            check_numbers(circuit)
            return circuit, self.key_of(circuit, text)

        given = _digest(text.encode("utf-8", "surrogatepass"))
        known = self._decoded.get(given, make)
        self._keys[id(known[0])] = known
        return known[0]

    def key_of(self, circuit: QuantumCircuit, text: str) -> Hashable:
        """Return the key of a circuit that is not from `decode`.

        Args:
            circuit: the circuit.
            text: stands for it if it has no structural key.
        """
        return _key_of(circuit) or _digest(text.encode("utf-8", "surrogatepass"))

    def key(self, circuit: QuantumCircuit) -> Hashable | None:
        """Return a key that only circuits which behave the same share.

        Returns:
            None for a circuit that has no key; what is made of it is not kept.
        """
        known = self._keys.get(id(circuit))
        if known is not None and known[0] is circuit:
            return known[1]
        return _key_of(circuit)

    def release(self) -> None:
        """Release the circuits of the last job; the cache keeps what it has room for."""
        self._keys.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._decoded.clear()
        self._keys.clear()


def _key_of(circuit: QuantumCircuit) -> bytes | None:
    """Return a short form of a circuit's structural key; None as well if making it fails."""
    try:
        structure = structural_key(circuit)
        return None if structure is None else _digest(msgpack.encode(structure))
    # Instructions may be of any class; a circuit without a key runs as well, and is not kept.
    except Exception:
        log.debug("circuit %r has no key", circuit.name, exc_info=True)
        return None


def _digest(data: bytes) -> bytes:
    """Return a short digest, for use in a key."""
    return hashlib.blake2b(data, digest_size=32).digest()


def weight(*circuits: QuantumCircuit, bytes_each: int = BYTES_OF_AN_INSTRUCTION) -> int:
    """Estimate the memory of circuits in bytes, from their number of instructions."""
    return sum(len(each.data) for each in circuits) * bytes_each


def structural_key(circuit: QuantumCircuit) -> Hashable | None:
    """Return everything about a circuit that affects its run, independent of names and ids.

    A circuit that is built again has other ids and another name but the same key. A parameter's
    name counts only by its place among the others.

    Returns:
        None for a circuit that holds anything this does not describe exactly, such as control flow,
        a custom gate, or an expression of parameters.
    """
    if circuit.num_vars or circuit.num_stretches:
        return None
    places = {parameter: index for index, parameter in enumerate(circuit.parameters)}
    bits = {
        bit: index for some in (circuit.qubits, circuit.clbits) for index, bit in enumerate(some)
    }
    found: list[Hashable] = [
        circuit.num_qubits,
        circuit.num_clbits,
        tuple((register.name, tuple(bits[bit] for bit in register)) for register in circuit.cregs),
    ]
    phase = _value(circuit.global_phase, places)
    if phase is None:
        return None
    found.append(phase)
    for instruction in circuit.data:
        described = _described(instruction, places, bits)
        if described is None:
            return None
        found.append(described)
    return tuple(found)


_NO_GATES = frozenset({Measure, Reset, Barrier, Delay})


def _described(
    instruction: CircuitInstruction,
    places: dict[Parameter, int],
    bits: dict[Qubit | Clbit, int],
) -> Hashable | None:
    unit = None
    # Qiskit makes an object of the operation when it is first read, which takes long for a gate.
    if not instruction.is_standard_gate():
        operation = instruction.operation
        # One such as AnnotatedOperation or Clifford has neither base class nor parameters.
        if getattr(operation, "base_class", None) not in _NO_GATES:
            return None
        unit = operation.unit if isinstance(operation, Delay) else None
    values = tuple([_value(value, places) for value in instruction.params])
    if None in values:
        return None
    find = bits.__getitem__
    return (
        instruction.name,
        instruction.label,
        unit,
        values,
        tuple(map(find, instruction.qubits)),
        tuple(map(find, instruction.clbits)),
    )


def _value(value: Any, places: dict[Parameter, int]) -> Hashable | None:
    if type(value) is float:
        return value
    if isinstance(value, Parameter):
        return "parameter", places[value]
    if isinstance(value, ParameterExpression):
        # Its text rounds small terms away, and its equality compares the parameters' ids.
        return None
    return float(value) if isinstance(value, (int, float)) else None


def rebindable(circuit: QuantumCircuit) -> bool:
    """Whether Aer can fill in values of its parameters after the circuit was assembled."""
    return all(
        instruction.is_standard_gate() or not instruction.operation.is_parameterized()
        for instruction in circuit.data
    ) and not any(_blocks(circuit))


def _blocks(circuit: QuantumCircuit) -> Iterator[Any]:
    """Yield the circuits inside a circuit that have parameters."""
    for instruction in circuit.data:
        if not instruction.is_standard_gate():
            for block in getattr(instruction.operation, "blocks", ()):
                if block.parameters:
                    yield block
