"""Caches the encoded form of circuits that are sent again and again."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qiskit.circuit import Barrier, Measure, Reset

from qsession_widget.wire.codec import encode_circuit

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

MOST_BYTES = 128 * 2**20
"""Approximate limit of the cache's memory: the copies, and their texts."""

_BYTES_OF_AN_INSTRUCTION = 200
"""Bytes of an instruction in memory, as measured (120 to 180 with Qiskit 2)."""

_SIMPLE = (Measure, Reset, Barrier)
"""Operations beside Qiskit's standard gates that `==` compares completely; delays are not."""


@dataclass(frozen=True)
class _Kept:
    """A circuit as it was when it was encoded.

    Attributes:
        circuit: a copy, which is never changed.
        labels: labels of its instructions, which Qiskit does not compare.
        text: its form on the wire.
    """

    circuit: QuantumCircuit
    labels: list[str | None]
    text: str

    @property
    def weight(self) -> int:
        """Its memory in bytes, roughly."""
        return weight(self.circuit) + len(self.text)

    def is_of(self, circuit: QuantumCircuit) -> bool:
        """Whether the circuit is unchanged in everything that its text holds."""
        mine = self.circuit
        return (
            circuit.name == mine.name
            and not circuit.metadata
            and circuit.layout is mine.layout
            and circuit.qregs == mine.qregs
            and circuit.cregs == mine.cregs
            and circuit.qubits == mine.qubits
            and circuit.clbits == mine.clbits
            and circuit.global_phase == mine.global_phase
            and not circuit.num_vars + circuit.num_stretches
            # This compares the instructions with their exact parameters.
            and circuit.data == mine.data
            and self.labels == [each.label for each in circuit.data]
        )


class EncodedCircuits:
    """A thread-safe cache of encoded circuits, by the circuit objects that users send.

    A circuit may be changed between two runs, so each time it is compared with what was encoded,
    which takes a fraction of the time of encoding it. Circuits with parts that can change unnoticed
    (control flow, custom gates, delays, metadata) are encoded every time. An entry is dropped when
    its circuit is garbage-collected, and the oldest ones when all take too much memory.

    Args:
        most_bytes: approximate limit of all entries. A circuit that takes half of it is not kept.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        """Upper bound of the memory in use: collected circuits count until their removal."""
        self._known: dict[int, tuple[weakref.ref[QuantumCircuit], _Kept | None]] = {}
        self.hits = 0
        """How often a text was in the cache."""

    def __len__(self) -> int:
        return len(self._known)

    def text(self, circuit: QuantumCircuit, *, plain: bool = False) -> str:
        """Return a circuit's form on the wire, as `codec.encode_circuit` does.

        Args:
            circuit: the circuit.
            plain: whether the reader has only Qiskit. Cached texts are the same for both.

        Raises:
            CodecError: if the circuit cannot be encoded.
        """
        reference, kept = self._known.get(id(circuit), (None, None))
        seen = reference is not None and reference() is circuit
        if seen and kept is not None and kept.is_of(circuit):
            self.hits += 1
            return kept.text
        # Copying pays only for a circuit that is sent again.
        small = 2 * weight(circuit) < self._most_bytes
        if not (seen and small and _comparable(circuit)):
            self._keep(circuit, None)
            return encode_circuit(circuit, plain=plain)
        # The copy is encoded: another thread may be changing the circuit.
        copy = circuit.copy()
        made = _Kept(copy, [each.label for each in copy.data], encode_circuit(copy))
        self._keep(circuit, made)
        return made.text

    def _keep(self, circuit: QuantumCircuit, kept: _Kept | None) -> None:
        key = id(circuit)

        def forget(gone: weakref.ref[QuantumCircuit]) -> None:
            # Its id may belong to another circuit by now. No lock is taken: this may run anywhere.
            if self._known.get(key, (None,))[0] is gone:
                self._known.pop(key, None)

        self._known[key] = (weakref.ref(circuit, forget), kept)
        if kept is not None:
            self._bytes += kept.weight
            if self._bytes > self._most_bytes:
                self._make_room()

    def _make_room(self) -> None:
        """Drop the oldest entries until half is free, so that this is seldom called."""
        weights = {key: kept.weight for key, (_, kept) in list(self._known.items()) if kept}
        self._bytes = sum(weights.values())
        for key, freed in weights.items():
            if self._bytes <= self._most_bytes // 2:
                break
            self._bytes -= freed
            reference, _ = self._known.get(key, (None, None))
            if reference is not None:
                self._known[key] = (reference, None)


def weight(circuit: QuantumCircuit) -> int:
    """Estimate the memory of a circuit in bytes from its number of instructions."""
    return len(circuit.data) * _BYTES_OF_AN_INSTRUCTION


def _comparable(circuit: QuantumCircuit) -> bool:
    """Whether every change of the circuit can be seen by comparing it with a copy."""
    return not circuit.metadata and all(
        each.is_standard_gate() or isinstance(each.operation, _SIMPLE) for each in circuit.data
    )


encoded_circuits = EncodedCircuits()
"""The cache of this process."""
