"""Caches that are bounded by bytes, all of a process together, and count what they are worth."""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import sys
import time
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")

MOST_BYTES = 128 * 2**20
"""What the caches of a process may hold, by their own estimate."""

PART_OF_A_JOB = 4
"""They may hold so many times less than a job may take, where that is limited."""

_TOO_MUCH = 2
"""An estimate may be wrong: at so many times the bound, as measured, everything is forgotten."""

_OWN_SIZES = Path("/proc/self/statm")
_RESIDENT = 1
"""Place of the memory that is in use among the sizes, in pages."""


@dataclass
class Figures:
    """What caches did.

    Attributes:
        hits: how often something was there.
        misses: how often it had to be made.
        seconds_saved: time that the making of what was there had taken.
    """

    hits: int = 0
    misses: int = 0
    seconds_saved: float = 0.0


figures = Figures()
"""Of all caches of this process, since `start`."""


def start() -> None:
    """Count from zero: a job begins."""
    figures.hits = figures.misses = 0
    figures.seconds_saved = 0.0


class _Entry(NamedTuple):
    value: Any
    seconds: float
    weight: int
    used: int


_moments = itertools.count()
_caches: weakref.WeakSet[LruCache[Any]] = weakref.WeakSet()


class LruCache(Generic[T]):
    """Keeps what was used last.

    Args:
        size: how many values at most.
        weigh: estimates the memory of a value in bytes; None where they are few and small.
    """

    def __init__(self, size: int, weigh: Callable[[T], int] | None = None) -> None:
        self._size = size
        self._weigh = weigh
        self._kept: OrderedDict[Hashable, _Entry] = OrderedDict()
        self.weight = 0
        """Memory of what is kept, in bytes, by its estimate."""
        _caches.add(self)

    def get(self, key: Hashable | None, make: Callable[[], T]) -> T:
        """Give the value of a key, made where it is not there.

        Args:
            key: None is like no other: what is made for it is not kept.
            make: makes the value.
        """
        found = None if key is None else self._kept.get(key)
        if found is not None:
            self._kept[key] = found._replace(used=next(_moments))
            self._kept.move_to_end(key)
            figures.hits += 1
            figures.seconds_saved += found.seconds
            value: T = found.value
            return value
        started = time.perf_counter()
        value = make()
        figures.misses += 1
        if key is not None:
            self._keep(key, value, time.perf_counter() - started)
        return value

    def _keep(self, key: Hashable, value: T, seconds: float) -> None:
        weight = 0 if self._weigh is None else self._weigh(value)
        self._kept[key] = _Entry(value, seconds, weight, next(_moments))
        self.weight += weight
        if len(self._kept) > self._size:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Forget what was not used for the longest."""
        self.weight -= self._kept.popitem(last=False)[1].weight

    def oldest(self) -> int:
        """Say when its oldest value was used last, as a count that grows."""
        return next(iter(self._kept.values())).used

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self.weight = 0

    def __len__(self) -> int:
        return len(self._kept)


def bound_for(job_bytes: int) -> int:
    """Say how much the caches may hold beside a job.

    Args:
        job_bytes: the most memory that a job may take; 0 is no limit.
    """
    return min(MOST_BYTES, job_bytes // PART_OF_A_JOB) if job_bytes else MOST_BYTES


def shrink(most_bytes: int) -> None:
    """Forget what was not used for the longest, until no more is held than that."""
    weighed = [each for each in _caches if each.weight]
    while sum(each.weight for each in weighed) > most_bytes:
        min((each for each in weighed if len(each)), key=LruCache.oldest).drop_oldest()


def resident_bytes() -> int:
    """Measure the memory that this process has in use; 0 where that cannot be known."""
    try:
        pages = int(_OWN_SIZES.read_text().split()[_RESIDENT])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


class Housekeeping:
    """Keeps a worker process small between its jobs."""

    def __init__(self) -> None:
        self._base = 0

    def begin(self) -> None:
        """Measure where the process begins: once, when all modules are there."""
        if not self._base:
            self._base = resident_bytes()

    def after_job(self, job_bytes: int) -> bool:
        """Bring the caches, and what the allocator holds, back to what they may take.

        Args:
            job_bytes: the most memory that a job may take; 0 is no limit.

        Returns:
            Whether the process is small enough to go on.
        """
        bound = bound_for(job_bytes)
        shrink(bound)
        most = self._base + _TOO_MUCH * bound
        if resident_bytes() <= most:
            return True
        give_back()
        if resident_bytes() <= most:
            return True
        for each in _caches:
            each.clear()
        give_back()
        return resident_bytes() <= most


def give_back() -> None:
    """Return what is free to the system, which the C library does not do by itself."""
    gc.collect()
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except AttributeError:
            # Not the GNU library: it has rules of its own.
            return
