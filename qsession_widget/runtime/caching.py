"""Bounded caches that count what they are worth."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


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


class Cache(Generic[T]):
    """Keeps what was used last.

    Args:
        size: how many values at most.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, tuple[T, float]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Give the value of a key, made where it is not there."""
        found = self._kept.get(key)
        if found is not None:
            value, seconds = found
            self._kept.move_to_end(key)
            figures.hits += 1
            figures.seconds_saved += seconds
            return value
        started = time.perf_counter()
        value = make()
        figures.misses += 1
        self._kept[key] = value, time.perf_counter() - started
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)
