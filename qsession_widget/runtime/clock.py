"""The clocks of the runtime: lifecycle and scheduler get their `now` from here only."""

from __future__ import annotations

import logging
import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

REAL = "real"
VIRTUAL = "virtual"
FASTEST = 86_400
"""Largest N of a clock that runs N times as fast: a day in a second."""

_FAST = re.compile(r"(\d+(?:\.\d+)?)x", re.ASCII)
_AHEAD_SECONDS = 1.0


class Clock(Protocol):
    """A clock with its own time and rate."""

    @property
    def kind(self) -> str:
        """`real`, `virtual`, or a factor such as `60x`."""

    @property
    def rate(self) -> float:
        """Seconds of the runtime in one second of the wall clock; 0 for a virtual clock."""

    def now(self) -> datetime:
        """Return the runtime's time, in UTC."""

    def go_on_from(self, newest: datetime) -> None:
        """Go on from the newest time in the store, if that is later."""

    def free(self) -> None:
        """Note that no session or job is unfinished, so that the time may be set back."""


def make(kind: str) -> Clock:
    """Return a clock.

    Args:
        kind: `real`, `virtual`, or a factor such as `60x`.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind == REAL:
        return WallClock()
    if kind == VIRTUAL:
        return VirtualClock()
    found = _FAST.fullmatch(kind)
    if found is None or not 0 < float(found[1]) <= FASTEST:
        raise ValueError(
            f"clock {kind!r} is not one of {REAL!r}, {VIRTUAL!r}, and Nx with N up to {FASTEST}, "
            "such as '60x'"
        )
    return FastClock(float(found[1]))


class WallClock:
    """The machine's time, but monotonic.

    If the machine's clock is set back, this clock goes on from where it was: no timer waits for the
    hour to come again, and nothing ends before it began. That holds across a downtime, too.
    """

    kind = REAL
    rate = 1.0

    def __init__(
        self,
        read: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start at the machine's time.

        Args:
            read: returns the machine's time, in UTC.
            elapsed: returns seconds of a monotonic clock.
        """
        self._read, self._elapsed = read, elapsed
        self._last, self._last_elapsed = read(), elapsed()

    def now(self) -> datetime:
        """Return the time, in UTC."""
        elapsed = self._elapsed()
        passed = timedelta(seconds=elapsed - self._last_elapsed)
        self._last, self._last_elapsed = max(self._read(), self._last + passed), elapsed
        return self._last

    def go_on_from(self, newest: datetime) -> None:
        """Go on from the newest time in the store, if that is later."""
        ahead = (newest - self.now()).total_seconds()
        if ahead > _AHEAD_SECONDS:
            log.warning(
                "the machine's clock is %.0f s behind the store, whose newest time is %s; "
                "the runtime goes on from there",
                ahead,
                newest,
            )
        self._last = max(self._last, newest)

    def free(self) -> None:
        """Return to the machine's time, if this clock is ahead of it and nothing is unfinished.

        A store may be ahead because a faster clock served it, or the machine's was set back.
        """
        read = self._read()
        if (self._last - read).total_seconds() > _AHEAD_SECONDS:
            log.info("no session or job is unfinished: the clock returns to the machine's time")
            self._last, self._last_elapsed = read, self._elapsed()


class FastClock:
    """A clock that runs several times as fast as the machine's, and starts at its time.

    Args:
        rate: the factor.
        read: returns the machine's time, in UTC.
        elapsed: returns seconds of a monotonic clock.
    """

    def __init__(
        self,
        rate: float,
        read: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate = rate
        self._elapsed = elapsed
        self._start, self._start_elapsed = read(), elapsed()

    @property
    def kind(self) -> str:
        """The factor, such as `60x`."""
        return f"{self.rate:g}x"

    def now(self) -> datetime:
        """Return the time, in UTC."""
        passed = self._elapsed() - self._start_elapsed
        return self._start + timedelta(seconds=passed * self.rate)

    def go_on_from(self, newest: datetime) -> None:
        """Go on from the newest time in the store, if that is later."""
        self._start += max(timedelta(), newest - self.now())

    def free(self) -> None:
        """Do nothing: this time is the lesson's own."""


class VirtualClock:
    """A clock that stands still until it is advanced.

    Args:
        start: its first time, in UTC; None is the machine's.
    """

    kind = VIRTUAL
    rate = 0.0

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime.now(UTC)

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return self._now

    def go_on_from(self, newest: datetime) -> None:
        """Go on from the newest time in the store, as if there had been no downtime."""
        self._now = newest

    def free(self) -> None:
        """Do nothing: this time is the lesson's own."""

    def advance_to(self, when: datetime) -> None:
        """Advance the clock to a time.

        Raises:
            ValueError: the time is before the present one.
        """
        if when < self._now:
            raise ValueError(f"the clock shows {self._now} and cannot go back to {when}")
        self._now = when
