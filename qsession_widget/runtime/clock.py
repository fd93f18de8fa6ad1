"""The runtime's clock: the one place from which lifecycle and scheduler get their `now`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Something that knows the time and how fast it passes."""

    @property
    def rate(self) -> float:
        """Seconds of the runtime that pass in one second of the wall clock."""

    def now(self) -> datetime:
        """The runtime's time, UTC."""


class WallClock:
    """The time of the machine."""

    rate = 1.0

    def now(self) -> datetime:
        """The machine's time, UTC."""
        return datetime.now(UTC)
