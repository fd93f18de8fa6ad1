"""Transpiles circuits, each once, for services that take only what their backend can execute."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING

from qiskit.transpiler import generate_preset_pass_manager

from qsession_widget.client.circuits.circuit_cache import encoded_circuits, weight
from qsession_widget.support import forking
from qsession_widget.wire.delays import delays_in_dt, transpiled_around_delays

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from qsession_widget.client.backends.backend import Backend

    Key = tuple[str, str, str, int, bytes]

CACHED_CIRCUITS = 256
"""How many circuits are kept; the least recently used is dropped first."""


MOST_BYTES = 128 * 2**20
"""Approximate limit of their memory in bytes; the least recently used is dropped first."""


class TranspiledCircuits:
    """A thread-safe LRU cache of transpiled circuits, by content, backend and level.

    An iteration that sends the same ansatz again and again has it transpiled once, and gets the
    same circuit every time, in spite of the transpiler's random choices.
    """

    def __init__(self, size: int = CACHED_CIRCUITS, most_bytes: int = MOST_BYTES) -> None:
        self._size = size
        self._most_bytes = most_bytes
        self._bytes = 0
        self._lock = forking.Lock()
        self._found: OrderedDict[Key, QuantumCircuit] = OrderedDict()
        self.hits = 0
        """How often a circuit was in the cache."""

    def get(self, circuit: QuantumCircuit, backend: Backend, level: int) -> QuantumCircuit:
        """Return a circuit that the backend can execute.

        Args:
            circuit: the circuit.
            backend: the backend.
            level: the transpiler's optimization level, 0 to 3.
        """
        digest = hashlib.sha256(encoded_circuits.text(circuit).encode()).digest()
        target = backend.plain_target
        gates = ",".join(sorted(target.operation_names))
        key = (backend.service.api.transport.url, str(backend.name), gates, level, digest)
        with self._lock:
            known = self._found.get(key)
            if known is not None:
                self._found.move_to_end(key)
                self.hits += 1
                return known
        # Two threads may both do it: that is better than waiting for another thread's circuit.
        manager = generate_preset_pass_manager(optimization_level=level, target=target)
        made = delays_in_dt(transpiled_around_delays(circuit, manager.run), target.dt)
        with self._lock:
            known = self._found.setdefault(key, made)
            if known is made:
                self._bytes += weight(made)
            while len(self._found) > self._size or self._bytes > self._most_bytes:
                _, gone = self._found.popitem(last=False)
                self._bytes -= weight(gone)
        return known


transpiled_circuits = TranspiledCircuits()
"""The cache of this process."""
