"""Turns the shots of Aer into the bit arrays of a sampler's result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.primitives import BitArray

from qsession_widget.errors import InvalidInputError
from qsession_widget.wire.fields import RESULT_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from qiskit import QuantumCircuit
    from qiskit.circuit import ClassicalRegister


def registers(
    circuit: QuantumCircuit,
    results: Sequence[Mapping[str, Any]],
    shape: tuple[int, ...],
    shots: int,
) -> dict[str, BitArray]:
    """Return the bits of each classical register of a circuit.

    Args:
        circuit: the circuit.
        results: Aer's data of each run. Its `memory` is the outcome of each shot as a hexadecimal
            number; without it the shots of its `counts` are put in a random order. Neither is
            there if nothing is measured.
        shape: of the runs.
        shots: of each run.
    """
    # Seeded by the system each time: workers are forked, and would share what is made before.
    generator = np.random.default_rng()
    runs = [_in_order(each, shots, generator) for each in results]
    # Few outcomes and many shots are the rule.
    outcomes = {text: int(text, 16) for texts, _ in runs for text in texts}
    found = {}
    for register in circuit.cregs:
        size = -(-register.size // 8)
        where = places(circuit, register)
        packed = {
            text: _read(outcome, where).to_bytes(size, "big") for text, outcome in outcomes.items()
        }
        parts = []
        for texts, order in runs:
            data = b"".join(map(packed.__getitem__, texts))
            array = np.frombuffer(data, dtype=np.uint8).reshape(len(texts), size)
            parts.append(array if order is None else array[order])
        whole = np.concatenate(parts) if parts else np.zeros((0, size), dtype=np.uint8)
        found[register.name] = BitArray(whole.reshape(*shape, shots, size), register.size)
    return found


def _in_order(
    data: Mapping[str, Any], shots: int, generator: np.random.Generator
) -> tuple[Sequence[str], NDArray[np.intp] | None]:
    """Return outcomes, and the index of each shot's outcome; None if there is one for each shot."""
    memory = data.get("memory")
    if memory:
        return memory, None
    counts = data.get("counts") or {"0x0": shots}
    order = np.repeat(np.arange(len(counts)), list(counts.values()))
    generator.shuffle(order)
    return list(counts), order


def check_names(circuit: QuantumCircuit) -> None:
    """Check that no register has a name that DataBin uses for something else.

    Raises:
        InvalidInputError: for such a register.
    """
    for register in circuit.cregs:
        if register.name in RESULT_NAMES:
            raise InvalidInputError(
                f"the classical register {register.name!r} cannot be in a result: the name has "
                "another meaning there; give it another name"
            )


def places(circuit: QuantumCircuit, register: ClassicalRegister) -> range | list[int]:
    """Return the places of a register's bits among all of the circuit's."""
    found = [circuit.find_bit(bit).index for bit in register]
    if not found:
        return range(0)
    together = range(found[0], found[0] + len(found))
    return together if found == list(together) else found


def _read(outcome: int, where: range | list[int]) -> int:
    if isinstance(where, range):
        return (outcome >> where.start) & ((1 << len(where)) - 1)
    return sum(((outcome >> place) & 1) << index for index, place in enumerate(where))
