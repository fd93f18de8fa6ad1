"""Turns the shots of Aer into the bit arrays of a sampler's result."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from qiskit.primitives import BitArray

from qsession_widget.errors import InvalidInputError
from qsession_widget.wire.fields import RESULT_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qiskit import QuantumCircuit
    from qiskit.circuit import ClassicalRegister


def registers(
    circuit: QuantumCircuit, memories: Sequence[Sequence[str]], shape: tuple[int, ...], shots: int
) -> dict[str, BitArray]:
    """Return the bits of each classical register of a circuit.

    Args:
        circuit: the circuit.
        memories: for each run the outcome of each shot, as a hexadecimal number; empty if
            nothing is measured.
        shape: of the runs.
        shots: of each run.
    """
    filled = [memory or ["0x0"] * shots for memory in memories]
    # Few outcomes and many shots are the rule.
    outcomes = {text: int(text, 16) for memory in filled for text in set(memory)}
    found = {}
    for register in circuit.cregs:
        size = -(-register.size // 8)
        places = _places(circuit, register)
        packed = {
            text: _read(outcome, places).to_bytes(size, "big") for text, outcome in outcomes.items()
        }
        data = b"".join(map(packed.__getitem__, chain.from_iterable(filled)))
        array = np.frombuffer(data, dtype=np.uint8).reshape(*shape, shots, size)
        found[register.name] = BitArray(array.copy(), register.size)
    return found


def check_names(circuit: QuantumCircuit) -> None:
    """Check that no register has a name that DataBin uses for something else.

    Raises:
        InvalidInputError: for such a register.
    """
    for register in circuit.cregs:
        if register.name in RESULT_NAMES:
            raise InvalidInputError(
                f"the data of the classical register {register.name!r} cannot be called that in a "
                "result; give it another name"
            )


def _places(circuit: QuantumCircuit, register: ClassicalRegister) -> range | list[int]:
    """Return the places of a register's bits among all of the circuit's."""
    places = [circuit.find_bit(bit).index for bit in register]
    if not places:
        return range(0)
    together = range(places[0], places[0] + len(places))
    return together if places == list(together) else places


def _read(outcome: int, places: range | list[int]) -> int:
    if isinstance(places, range):
        return (outcome >> places.start) & ((1 << len(places)) - 1)
    return sum(((outcome >> place) & 1) << index for index, place in enumerate(places))
