"""Limits of a single job in its worker process: qubits, shots, memory, size of the result.

How much memory a payload needs, decoded and in Aer, cannot be seen from its size. So the kernel is
told how much more memory the process may take, and an allocation beyond that fails. Only Linux
counts the memory of threads and large arrays (RLIMIT_DATA); elsewhere there is no such limit.
"""

from __future__ import annotations

import os
import resource
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN_SIZES = Path("/proc/self/statm")
_DATA = 5
"""Index of data and stack among the sizes, in pages."""

_WORDS_FOR_IT = ("Cannot allocate memory", "bad_alloc")
"""Messages of Aer and the C++ library where no MemoryError is raised."""


@dataclass(frozen=True)
class Limits:
    """Limits of a job; 0 means none besides its device's.

    Attributes:
        qubits: how many a circuit may use.
        shots: how many for each circuit and set of parameters.
        memory_bytes: how much the process may take besides what it has.
        result_bytes: how long the result may be, as it is sent and kept.
    """

    qubits: int = 0
    shots: int = 0
    memory_bytes: int = 0
    result_bytes: int = 0

    @contextmanager
    def on_memory(self) -> Iterator[None]:
        """Limit the memory that a block may take to that of a job."""
        if not self.memory_bytes or not _OWN_SIZES.exists():
            yield
            return
        before = resource.getrlimit(resource.RLIMIT_DATA)
        pages = int(_OWN_SIZES.read_text().split()[_DATA])
        allowed = pages * os.sysconf("SC_PAGE_SIZE") + self.memory_bytes
        # `ulimit -d` may leave less, which only the superuser could raise.
        allowed = min([allowed, *(each for each in before if each != resource.RLIM_INFINITY)])
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)


NO_LIMITS = Limits()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error was caused by an allocation that failed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or any(each in str(cause) for each in _WORDS_FOR_IT):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
