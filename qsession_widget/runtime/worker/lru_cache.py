"""LRU caches that share one bound in bytes per process, and count their hits and misses."""

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
"""How much the caches of a process may hold, by their own estimate."""

PART_OF_A_JOB = 4
"""Caches may hold this fraction of the memory that a job may take, if that is limited."""

_TOO_MUCH = 2
"""Estimates may be wrong: at this many times the bound, as measured, all caches are cleared."""

_OWN_SIZES = Path("/proc/self/statm")
_RESIDENT, _DATA = 1, 5
"""Indices of the resident memory, and of data and stack, among the sizes, in pages."""


@dataclass
class Figures:
    """Hits and misses of caches.

    Attributes:
        hits: how often a value was there.
        misses: how often it had to be made.
        seconds_saved: how long it had taken to make the values that were there.
    """

    hits: int = 0
    misses: int = 0
    seconds_saved: float = 0.0


figures = Figures()
"""Of all caches of this process together, since `start`: module-level state."""


def start() -> None:
    """Reset the figures, at the beginning of a job."""
    figures.hits = figures.misses = 0
    figures.seconds_saved = 0.0


class Found(NamedTuple, Generic[T]):
    """A value that was kept, which may be None."""

    value: T


class _Entry(NamedTuple):
    value: Any
    seconds: float
    weight: int
    used: int


_moments = itertools.count()
_caches: weakref.WeakSet[LruCache[Any]] = weakref.WeakSet()
"""All caches of this process, for `shrink`."""


class LruCache(Generic[T]):
    """A least-recently-used cache whose memory counts against the bound of the process.

    Args:
        size: how many values at most.
        weigh: estimates the memory of a value in bytes; None if values are few and small.
        most_bytes: how much it may hold at any time, also during a job; None for no such bound.
    """

    def __init__(
        self,
        size: int,
        weigh: Callable[[T], int] | None = None,
        most_bytes: int | None = None,
    ) -> None:
        self._size = size
        self._weigh = weigh
        self._most_bytes = sys.maxsize if most_bytes is None else most_bytes
        self._kept: OrderedDict[Hashable, _Entry] = OrderedDict()
        self.weight = 0
        """Estimated memory of its values, in bytes."""
        _caches.add(self)

    def get(self, key: Hashable | None, make: Callable[[], T]) -> T:
        """Return the value of a key, made if it is not there.

        Args:
            key: None is never cached: a value that is made for it is not kept.
            make: makes the value.
        """
        found = self.find(key)
        if found is not None:
            return found.value
        started = time.perf_counter()
        value = make()
        self.keep(key, value, time.perf_counter() - started)
        return value

    def find(self, key: Hashable | None) -> Found[T] | None:
        """Return the value of a key as `Found`; None if it is not there, and has to be made."""
        found = None if key is None else self._kept.get(key)
        if found is None:
            figures.misses += 1
            return None
        self._kept[key] = found._replace(used=next(_moments))
        self._kept.move_to_end(key)
        figures.hits += 1
        figures.seconds_saved += found.seconds
        return Found(found.value)

    def keep(self, key: Hashable | None, value: T, seconds: float) -> None:
        """Keep a value that was made since `find` did not find it.

        Args:
            key: nothing is kept for None.
            value: one that is larger than the cache may be is not kept.
            seconds: how long it took to make it.
        """
        weight = 0 if self._weigh is None else self._weigh(value)
        if key is None or weight > self._most_bytes:
            return
        if key in self._kept:
            self.weight -= self._kept.pop(key).weight
        self._kept[key] = _Entry(value, seconds, weight, next(_moments))
        self.weight += weight
        while len(self._kept) > self._size or self.weight > self._most_bytes:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Forget the least recently used value."""
        self.weight -= self._kept.popitem(last=False)[1].weight

    def oldest(self) -> int:
        """Return when its least recently used value was used, as a count that grows."""
        return next(iter(self._kept.values())).used

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self.weight = 0

    def __len__(self) -> int:
        return len(self._kept)


def bound_for(job_bytes: int) -> int:
    """Return how many bytes the caches may hold beside a job.

    Args:
        job_bytes: the most memory that a job may take; 0 is no limit.
    """
    return min(MOST_BYTES, job_bytes // PART_OF_A_JOB) if job_bytes else MOST_BYTES


def shrink(most_bytes: int) -> None:
    """Forget the least recently used values of all caches until they hold no more than that."""
    weighed = [each for each in _caches if each.weight]
    while sum(each.weight for each in weighed) > most_bytes:
        min((each for each in weighed if len(each)), key=LruCache.oldest).drop_oldest()


class Sizes(NamedTuple):
    """Memory of a process, in bytes; 0 where the system does not tell.

    Attributes:
        resident: what it takes of the machine's.
        data: what it could take at once without asking the system: memory that was given back in
            the middle of a heap stays its own. A job may take its limit besides this.
    """

    resident: int = 0
    data: int = 0

    def within(self, base: Sizes, more: Sizes) -> bool:
        """Whether each is at most so much more than before."""
        return self.resident <= base.resident + more.resident and self.data <= base.data + more.data


def own_sizes() -> Sizes:
    """Return the memory of this process."""
    try:
        pages = [int(each) for each in _OWN_SIZES.read_text().split()]
    except OSError:
        return Sizes()
    page = os.sysconf("SC_PAGE_SIZE")
    return Sizes(pages[_RESIDENT] * page, pages[_DATA] * page)


class Housekeeping:
    """Keeps a worker process small between its jobs."""

    def __init__(self) -> None:
        self._base: Sizes | None = None

    def begin(self) -> None:
        """Measure the process's memory before its first job, when all modules are imported."""
        if self._base is None:
            self._base = own_sizes()

    def count_as_base(self, act: Callable[[], None]) -> None:
        """Do something, such as an import, whose memory belongs to no job."""
        before = own_sizes()
        act()
        if self._base is not None:
            pairs = zip(self._base, before, own_sizes(), strict=True)
            self._base = Sizes(*(base + max(0, now - then) for base, then, now in pairs))

    def after_job(self, job_bytes: int) -> bool:
        """Bring the caches and the allocator's free memory back within the bound.

        Args:
            job_bytes: the most memory that a job may take; 0 is no limit.

        Returns:
            Whether the process is small enough to go on.
        """
        bound = bound_for(job_bytes)
        shrink(bound)
        most = _TOO_MUCH * bound
        more = Sizes(most, max(most, job_bytes // PART_OF_A_JOB) if job_bytes else sys.maxsize)
        base = self._base or Sizes()
        if own_sizes().within(base, more):
            return True
        give_back()
        if own_sizes().within(base, more):
            return True
        for each in _caches:
            each.clear()
        give_back()
        return own_sizes().within(base, more)


def give_back() -> None:
    """Return free memory to the system, which the C library does not do by itself."""
    gc.collect()
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except AttributeError:
            # Another C library, with rules of its own.
            return
