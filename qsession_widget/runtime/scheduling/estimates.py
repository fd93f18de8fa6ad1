"""How long jobs took lately, and what follows for one that waits."""

from __future__ import annotations

import statistics
from collections import deque
from typing import NamedTuple

KEPT = 25
"""How many of the last jobs of a session or a device an estimate rests on."""

LEAST = 3
"""With fewer there is no estimate."""

_WHOLE_SECONDS = 10
"""From here on decimals say nothing."""


class StartEstimate(NamedTuple):
    """When a job may start.

    Attributes:
        start_seconds: from now.
        basis: what that rests on, in words.
    """

    start_seconds: float
    basis: str


class Durations:
    """How long the last jobs took that ran to their end."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=KEPT)

    def add(self, seconds: float) -> None:
        """Take a job's running time into account."""
        self._seconds.append(max(0.0, seconds))

    @property
    def count(self) -> int:
        """How many jobs are known."""
        return len(self._seconds)

    @property
    def median_seconds(self) -> float:
        """The middle one; 0 where none is known."""
        return statistics.median(self._seconds) if self._seconds else 0.0


def estimate(known: Durations, of: str, ahead: int, running_seconds: float | None) -> StartEstimate:
    """Say when a job may start.

    Args:
        known: of jobs like those ahead.
        of: what jobs those are, in words.
        ahead: how many wait before it.
        running_seconds: for how long the job on the device has been running; None if none is.
    """
    each = known.median_seconds
    rest = 0.0 if running_seconds is None else max(0.0, each - running_seconds)
    took = f"{each:.0f}" if each >= _WHOLE_SECONDS else f"{each:.2g}"
    basis = f"{known.count} jobs {of} took {took} s each (median)"
    return StartEstimate(ahead * each + rest, basis)
