"""What each owner has used lately: who has used least goes first (IBM: fair-share queue)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

WINDOW_DAYS = 28
"""How long use counts: IBM's rolling window."""

_MICROSECONDS = 1_000_000


class Usage:
    """Use of the last 28 days in UTC, today included: what was used on a day falls out as a whole.

    Kept in whole microseconds, so that sums are exact and do not depend on their order.
    """

    def __init__(self) -> None:
        self._total: defaultdict[str, int] = defaultdict(int)
        self._by_day: defaultdict[int, defaultdict[str, int]] = defaultdict(
            lambda: defaultdict(int)
        )

    def of(self, owner: str) -> int:
        """Give an owner's use within the window, in microseconds."""
        return self._total.get(owner, 0)

    def add(self, owner: str, seconds: float, day: date) -> None:
        """Count what an owner used on a day.

        Raises:
            ValueError: for a negative time.
        """
        if seconds < 0:
            raise ValueError(f"{owner} cannot have used {seconds} s")
        used = round(seconds * _MICROSECONDS)
        if not used:
            # An owner of nothing has no entry that would have to go again.
            return
        self._total[owner] += used
        self._by_day[day.toordinal()][owner] += used

    def roll(self, today: date) -> Collection[str]:
        """Forget what is older than the window, and give the owners whose use that changes."""
        oldest = today.toordinal() - WINDOW_DAYS + 1
        changed: dict[str, None] = {}
        for day in [each for each in self._by_day if each < oldest]:
            for owner, used in self._by_day.pop(day).items():
                self._total[owner] -= used
                if not self._total[owner]:
                    del self._total[owner]
                changed[owner] = None
        return changed
