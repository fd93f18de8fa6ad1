"""Limits the processor time of a thread to a share of one core."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Pace:
    """Tells a thread after each round how long to pause, so that it stays within its share.

    Time that the thread has not used is saved up to a reserve, so that the first changes after a
    quiet period are shown at once.

    Args:
        share: of one core.
        reserve_seconds: processor time.
        longest_seconds: longest pause, even after a round that took long.
        clock: the time, in seconds.
        used: the processor time of the calling thread so far, in seconds.
    """

    def __init__(
        self,
        share: float,
        reserve_seconds: float,
        longest_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.thread_time,
    ) -> None:
        self._share = share
        self._reserve = reserve_seconds
        self._longest = longest_seconds
        self._clock, self._used = clock, used
        self._left = reserve_seconds
        self._at, self._used_before = clock(), used()

    def pause_seconds(self) -> float:
        """Return how long the thread has to pause now; 0 while it has a reserve."""
        now, used = self._clock(), self._used()
        self._left += (now - self._at) * self._share - (used - self._used_before)
        self._at, self._used_before = now, used
        self._left = min(max(self._left, -self._longest * self._share), self._reserve)
        return max(-self._left / self._share, 0.0)
