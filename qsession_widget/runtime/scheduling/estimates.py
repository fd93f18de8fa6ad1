"""Estimates of when a waiting job starts, from how long the last jobs took."""

from __future__ import annotations

import statistics
from collections import deque
from typing import NamedTuple

KEPT = 25
"""How many of the last jobs of a session or a device an estimate is based on."""

LEAST = 3
"""With fewer jobs there is no estimate."""

_WHOLE_SECONDS = 10
"""Longer estimates are rounded to whole seconds."""


class StartEstimate(NamedTuple):
    """When a job may start.

    Attributes:
        start_seconds: seconds from now.
        basis: what the estimate is based on, in words.
    """

    start_seconds: float
    basis: str


class Durations:
    """The running times of the last jobs that completed."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=KEPT)

    def add(self, seconds: float) -> None:
        """Add a job's running time."""
        self._seconds.append(max(0.0, seconds))

    @property
    def count(self) -> int:
        """How many jobs there are."""
        return len(self._seconds)

    @property
    def median_seconds(self) -> float:
        """The median; 0 if there is none."""
        return statistics.median(self._seconds) if self._seconds else 0.0


def estimate(known: Durations, of: str, ahead: int, running_seconds: float | None) -> StartEstimate:
    """Estimate when a job starts.

    Args:
        known: running times of jobs like those ahead.
        of: which jobs those are, in words.
        ahead: how many jobs wait before it.
        running_seconds: how long the job on the device has been running; None if there is none.
    """
    each = known.median_seconds
    rest = 0.0 if running_seconds is None else max(0.0, each - running_seconds)
    took = f"{each:.0f}" if each >= _WHOLE_SECONDS else f"{each:.2g}"
    basis = f"{known.count} jobs {of} took {took} s each (median)"
    return StartEstimate(ahead * each + rest, basis)
