"""The runtime's clock: the one place from which lifecycle and scheduler get their `now`."""

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
"""Largest N of a clock that goes N times as fast: a day in a second."""

_FAST = re.compile(r"(\d+(?:\.\d+)?)x", re.ASCII)
_AHEAD_SECONDS = 1.0


class Clock(Protocol):
    """Something that knows the time and how fast it passes."""

    @property
    def kind(self) -> str:
        """`real`, `virtual`, or such as `60x`."""

    @property
    def rate(self) -> float:
        """Seconds of the runtime that pass in one second of the wall clock; 0 if by hand only."""

    def now(self) -> datetime:
        """The runtime's time, UTC."""

    def go_on_from(self, newest: datetime) -> None:
        """Never be earlier than a time that the store knows."""


def make(kind: str) -> Clock:
    """Give a clock.

    Args:
        kind: `real`, `virtual`, or how many times as fast as the machine's, such as `60x`.

    Raises:
        ValueError: for anything else.
    """
    if kind == REAL:
        return WallClock()
    if kind == VIRTUAL:
        return VirtualClock()
    found = _FAST.fullmatch(kind)
    if found is None or not 0 < float(found[1]) <= FASTEST:
        raise ValueError(
            f"clock {kind!r} is none of {REAL!r}, {VIRTUAL!r}, and Nx with N up to {FASTEST}, "
            "such as '60x'"
        )
    return FastClock(float(found[1]))


class WallClock:
    """The time of the machine, except that it never goes back.

    Where the machine's clock is set back, this one goes on from where it was: no timer waits for
    the hour to come again, and nothing ends before it began. That holds across a downtime too.
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

    def go_on_from(self, newest: datetime) -> None:
        """Never be earlier than a time that the store knows."""
        ahead = (newest - self.now()).total_seconds()
        if ahead > _AHEAD_SECONDS:
            log.warning(
                "the machine's clock is %.0f s behind the store, whose newest time is %s; "
                "the runtime goes on from there",
                ahead,
                newest,
            )
        self._last = max(self._last, newest)


class FastClock:
    """A clock that goes several times as fast as time passes, from the machine's time on.

    Args:
        rate: how many times as fast.
        read: gives the machine's time, UTC.
        elapsed: gives the seconds that pass.
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
        """Such as `60x`."""
        return f"{self.rate:g}x"

    def now(self) -> datetime:
        """The time, UTC."""
        passed = self._elapsed() - self._start_elapsed
        return self._start + timedelta(seconds=passed * self.rate)

    def go_on_from(self, newest: datetime) -> None:
        """Never be earlier than a time that the store knows."""
        self._start += max(timedelta(), newest - self.now())


class VirtualClock:
    """A clock that stands still until it is told to go on.

    Args:
        start: its first time, UTC; None is the machine's.
    """

    kind = VIRTUAL
    rate = 0.0

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime.now(UTC)

    def now(self) -> datetime:
        """The time, UTC."""
        return self._now

    def go_on_from(self, newest: datetime) -> None:
        """Go on from the newest time that the store knows, as if there had been no downtime."""
        self._now = newest

    def advance_to(self, when: datetime) -> None:
        """Let time pass.

        Raises:
            ValueError: for a time before the present one.
        """
        if when < self._now:
            raise ValueError(f"the clock shows {self._now} and cannot go back to {when}")
        self._now = when
