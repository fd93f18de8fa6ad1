"""Who has to be looked at when: a heap of times, one for each name."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_SPARE = 64
"""How many entries that are no longer true a heap may have, however few are."""


class Timers:
    """One time for each name.

    What was set before stays in the heap until it comes up, or until most of the heap is such:
    most timers of jobs are set for hours, and the jobs are over at once.
    """

    def __init__(self) -> None:
        self._when: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []

    def __len__(self) -> int:
        """Count what is kept, true or not."""
        return len(self._heap)

    def set(self, name: str, when: datetime | None) -> None:
        """Give a name its time, or none."""
        if when is None:
            self._when.pop(name, None)
        elif self._when.get(name) != when:
            self._when[name] = when
            heapq.heappush(self._heap, (when, name))
        if len(self._heap) > 2 * len(self._when) + _SPARE:
            self._heap = [(each, other) for other, each in self._when.items()]
            heapq.heapify(self._heap)

    def next(self) -> datetime | None:
        """Give the earliest time."""
        while self._heap:
            when, name = self._heap[0]
            if self._when.get(name) == when:
                return when
            heapq.heappop(self._heap)
        return None

    def take_due(self, now: datetime) -> str | None:
        """Take out the name whose time has come first, None if none has come."""
        when = self.next()
        if when is None or when > now:
            return None
        _, name = heapq.heappop(self._heap)
        del self._when[name]
        return name
