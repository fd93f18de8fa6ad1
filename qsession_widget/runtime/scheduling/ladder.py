"""Decides whose turn it is on a device among the owners who wait for it.

The owner with the least usage goes first. Each second for which others have used the device since
then counts as one second less usage, so that a lead of a few seconds delays an owner no longer
than that. However large the lead is, every second turn goes to the owner who has waited longest,
if others have used the device for half a minute meanwhile.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PASSED_SECONDS = 30
"""Device time for which others may go before an owner because of their usage."""

_PASSED_US = PASSED_SECONDS * 1_000_000
_SPARE = 64
"""How many outdated entries a heap may hold, however few are valid."""


class Turn(NamedTuple):
    """An owner's turn.

    Attributes:
        line: index of the line in which the owner waits.
    """

    line: int
    owner: str


class Ladder:
    """Two priority queues of the owners who wait in one line: by usage, and by waiting time.

    Outdated entries stay in the heaps until they come up, or until they are many.

    Args:
        entry: makes a heap entry from its parts; entries are compared with each other.
    """

    def __init__(self, entry: Callable[[Any], Any] = tuple) -> None:
        self._entry = entry
        self._at: dict[str, tuple[int, int]] = {}
        self._keys: dict[str, int] = {}
        self._by_use: list[Any] = []
        self._by_wait: list[Any] = []

    def __len__(self) -> int:
        """Return how many entries the heaps hold, outdated ones included."""
        return len(self._by_use) + len(self._by_wait)

    def copy(self) -> Ladder:
        """Return an independent copy."""
        found = Ladder(self._entry)
        found._at, found._keys = self._at.copy(), self._keys.copy()
        found._by_use, found._by_wait = self._by_use.copy(), self._by_wait.copy()
        return found

    def put(self, owner: str, *, since_us: int, number: int, used_us: int) -> None:
        """Add an owner, or move them.

        Args:
            owner: the owner.
            since_us: device time that had been used when the owner began to wait.
            number: number of the owner's oldest job.
            used_us: the owner's usage.
        """
        at, key = (since_us, number), used_us + since_us
        moved = self._at.get(owner) != at
        if moved:
            self._at[owner] = at
            heapq.heappush(self._by_wait, self._entry((*at, owner)))
        if moved or self._keys[owner] != key:
            self._keys[owner] = key
            heapq.heappush(self._by_use, self._entry((key, number, owner)))
        self._tidy()

    def remove(self, owner: str) -> None:
        """Remove an owner. Does nothing if they are not waiting."""
        if self._at.pop(owner, None) is not None:
            del self._keys[owner]
            self._tidy()

    def fairest(self, used_us: Callable[[str], int]) -> str | None:
        """Return the owner with the least usage after crediting waiting time."""
        heap = self._by_use
        while heap:
            key, number, owner = heap[0]
            at = self._at.get(owner)
            if at is None or at[1] != number or self._keys[owner] != key:
                heapq.heappop(heap)
                continue
            true = used_us(owner) + at[0]
            if true == key:
                return str(owner)
            self._keys[owner] = true
            heapq.heapreplace(heap, self._entry((true, number, owner)))
        return None

    def longest(self) -> tuple[int, int, str] | None:
        """Return who waits longest: since when, the number of their oldest job, and the owner."""
        heap = self._by_wait
        while heap:
            since_us, number, owner = heap[0]
            if self._at.get(owner) == (since_us, number):
                return since_us, number, owner
            heapq.heappop(heap)
        return None

    def _tidy(self) -> None:
        most = 2 * len(self._at) + _SPARE
        if len(self._by_wait) > most:
            self._by_wait = [self._entry((*at, owner)) for owner, at in self._at.items()]
            heapq.heapify(self._by_wait)
        if len(self._by_use) > most:
            self._by_use = [
                self._entry((self._keys[owner], number, owner))
                for owner, (_, number) in self._at.items()
            ]
            heapq.heapify(self._by_use)


def choose(
    lines: Sequence[Ladder], *, turns: int, served_us: int, used_us: Callable[[str], int]
) -> Turn | None:
    """Return whose turn it is, None if no owner waits.

    Args:
        lines: the lines of a device; a line goes before those after it.
        turns: how many turns there have been.
        served_us: device time that has been used.
        used_us: returns an owner's usage.
    """
    if turns % 2:
        waiting = [(*found, line) for line, each in enumerate(lines) if (found := each.longest())]
        since_us, _, owner, line = min(waiting, default=(served_us, 0, "", 0))
        if served_us - since_us >= _PASSED_US:
            return Turn(line, owner)
    for line, each in enumerate(lines):
        owner_of = each.fairest(used_us)
        if owner_of is not None:
            return Turn(line, owner_of)
    return None
