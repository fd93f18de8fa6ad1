"""The runtime's clock: the one place from which lifecycle and scheduler get their `now`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """Something that knows the time and how fast it passes."""

    @property
    def rate(self) -> float:
        """Seconds of the runtime that pass in one second of the wall clock."""

    def now(self) -> datetime:
        """The runtime's time, UTC."""


class WallClock:
    """The time of the machine, except that it never goes back.

    Where the machine's clock is set back, this one goes on from where it was: no timer waits for
    the hour to come again, and nothing ends before it began.
    """

    rate = 1.0

    def __init__(
        self,
        read: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start at the machine's time.

        Args:
            read: gives the machine's time, UTC.
            elapsed: gives seconds that pass whatever the machine's clock is set to.
        """
        self._read, self._elapsed = read, elapsed
        self._last, self._last_elapsed = read(), elapsed()

    def now(self) -> datetime:
        """The time, UTC."""
        elapsed = self._elapsed()
        passed = timedelta(seconds=elapsed - self._last_elapsed)
        self._last, self._last_elapsed = max(self._read(), self._last + passed), elapsed
        return self._last
