"""A priority queue of timers, one for each name, with lazy deletion."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_SPARE = 64
"""How many outdated entries the heap may hold, however few are valid."""


class Timers:
    """One time for each name.

    Outdated entries stay in the heap until they come up, or until most entries are outdated: most
    timers of jobs are set for hours, and the jobs end soon.
    """

    def __init__(self) -> None:
        self._when: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []

    def __len__(self) -> int:
        """Return how many entries the heap holds, outdated ones included."""
        return len(self._heap)

    def set(self, name: str, when: datetime | None) -> None:
        """Set the time of a name; None removes it."""
        if when is None:
            self._when.pop(name, None)
        elif self._when.get(name) != when:
            self._when[name] = when
            heapq.heappush(self._heap, (when, name))
        if len(self._heap) > 2 * len(self._when) + _SPARE:
            self._heap = [(each, other) for other, each in self._when.items()]
            heapq.heapify(self._heap)

    def next(self) -> datetime | None:
        """Return the earliest time, None if no timer is set."""
        while self._heap:
            when, name = self._heap[0]
            if self._when.get(name) == when:
                return when
            heapq.heappop(self._heap)
        return None

    def take_due(self, now: datetime) -> str | None:
        """Remove and return the name whose time came first, None if none has come."""
        when = self.next()
        if when is None or when > now:
            return None
        _, name = heapq.heappop(self._heap)
        del self._when[name]
        return name
