"""The recent usage of each owner; the least usage goes first (IBM: fair-share queue)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

WINDOW_DAYS = 28
"""How long usage counts: IBM's rolling window."""

_MICROSECONDS = 1_000_000


class Usage:
    """Usage of the last 28 days in UTC, today included; each day leaves the window as a whole.

    Kept in whole microseconds, so that sums are exact and do not depend on their order.
    """

    def __init__(self) -> None:
        self._total: defaultdict[str, int] = defaultdict(int)
        self._by_day: defaultdict[int, defaultdict[str, int]] = defaultdict(
            lambda: defaultdict(int)
        )

    def of(self, owner: str) -> int:
        """Return an owner's usage within the window, in microseconds."""
        return self._total.get(owner, 0)

    def add(self, owner: str, seconds: float, day: date) -> None:
        """Add an owner's usage of a day.

        Raises:
            ValueError: for a negative time.
        """
        if seconds < 0:
            raise ValueError(f"{owner} cannot have used {seconds} s")
        used = round(seconds * _MICROSECONDS)
        if not used:
            # An entry of 0 would have to be removed again.
            return
        self._total[owner] += used
        self._by_day[day.toordinal()][owner] += used

    def roll(self, today: date) -> Collection[str]:
        """Forget days before the window, and return the owners whose usage that changes."""
        oldest = today.toordinal() - WINDOW_DAYS + 1
        changed: dict[str, None] = {}
        for day in [each for each in self._by_day if each < oldest]:
            for owner, used in self._by_day.pop(day).items():
                self._total[owner] -= used
                if not self._total[owner]:
                    del self._total[owner]
                changed[owner] = None
        return changed
