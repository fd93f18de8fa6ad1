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


class Registers:
    """Reads the bits of each classical register of a circuit from Aer's data of its runs.

    Args:
        circuit: the circuit.
        shots: of each run.
    """

    def __init__(self, circuit: QuantumCircuit, shots: int) -> None:
        self._registers = circuit.cregs
        self._places = [places(circuit, register) for register in circuit.cregs]
        self._shots = shots
        # Seeded by the system each time: workers are forked, and would share what is made before.
        self._generator = np.random.default_rng()

    def read(self, _number: int, data: Mapping[str, Any]) -> list[NDArray[np.uint8]]:
        """Return the packed bits of each register, a row for each shot.

        Args:
            data: of a run. Its `memory` is the outcome of each shot as a hexadecimal number;
                without it the shots of its `counts` are put in a random order. Neither is there if
                nothing is measured.
        """
        texts, order = _in_order(data, self._shots, self._generator)
        # Few outcomes and many shots are the rule.
        outcomes = {text: int(text, 16) for text in texts}
        found = []
        for register, where in zip(self._registers, self._places, strict=True):
            size = -(-register.size // 8)
            packed = {
                text: _read(outcome, where).to_bytes(size, "big")
                for text, outcome in outcomes.items()
            }
            whole = b"".join(map(packed.__getitem__, texts))
            array = np.frombuffer(whole, dtype=np.uint8).reshape(len(texts), size)
            found.append(array if order is None else array[order])
        return found

    def arrays(
        self, runs: Sequence[list[NDArray[np.uint8]]], shape: tuple[int, ...]
    ) -> dict[str, BitArray]:
        """Return the bits by name of the register.

        Args:
            runs: what was read of each.
            shape: of the runs.
        """
        found = {}
        for place, register in enumerate(self._registers):
            size = -(-register.size // 8)
            parts = [each[place] for each in runs]
            whole = np.concatenate(parts) if parts else np.zeros((0, size), dtype=np.uint8)
            found[register.name] = BitArray(whole.reshape(*shape, self._shots, size), register.size)
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
