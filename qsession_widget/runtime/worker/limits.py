"""What one job may ask of the process that runs it. Lives in a worker process.

What a payload decodes to, and what Aer needs for it, cannot be seen from its size. So the kernel is
told how much more memory the process may take, and an allocation beyond that fails. Only Linux
counts what threads and large arrays take (RLIMIT_DATA); elsewhere there is no such limit.
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
"""Place of data and stack among the sizes, in pages."""

_WORDS_FOR_IT = ("Cannot allocate memory", "bad_alloc")
"""How Aer and the C++ library say it where no MemoryError is raised."""


@dataclass(frozen=True)
class Limits:
    """Limits of a job; 0 means none besides its device's.

    Attributes:
        qubits: that a circuit may use.
        shots: for each circuit and set of parameters.
        memory_bytes: that the process may take besides what it has.
        result_bytes: of the result, as it is sent and kept.
    """

    qubits: int = 0
    shots: int = 0
    memory_bytes: int = 0
    result_bytes: int = 0

    @contextmanager
    def on_memory(self) -> Iterator[None]:
        """Let a block take no more memory than a job may."""
        if not self.memory_bytes or not _OWN_SIZES.exists():
            yield
            return
        before = resource.getrlimit(resource.RLIMIT_DATA)
        pages = int(_OWN_SIZES.read_text().split()[_DATA])
        allowed = pages * os.sysconf("SC_PAGE_SIZE") + self.memory_bytes
        # `ulimit -d` may leave less, which only the superuser could change.
        allowed = min([allowed, *(each for each in before if each != resource.RLIM_INFINITY)])
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)


NO_LIMITS = Limits()


def is_for_want_of_memory(error: BaseException) -> bool:
    """Whether an allocation that failed is at the bottom of an error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or any(each in str(cause) for each in _WORDS_FOR_IT):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
