"""Whose turn it is on a device, of the owners who wait for it.

The owner who has used least goes first, and each second for which others had the device since
counts like a second of less use, so that a lead of a few seconds delays nobody by more than that.
However large the lead is, an owner whom others have gone before for half a minute of the device's
time takes part in every second turn, those who wait longest first.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PASSED_SECONDS = 30
"""For how long of a device's time others may go before an owner as they deserve."""

_PASSED_US = PASSED_SECONDS * 1_000_000
_SPARE = 64
"""How many entries that are no longer true a heap may have, however few are."""


class Turn(NamedTuple):
    """An owner's turn.

    Attributes:
        line: in which line it is.
    """

    line: int
    owner: str


class Ladder:
    """The owners who wait in one line, each with one place.

    Entries of a heap that are no longer true stay in it until they come up, or until they are many.

    Args:
        entry: makes an entry of a heap from its parts; those are compared with each other.
    """

    def __init__(self, entry: Callable[[Any], Any] = tuple) -> None:
        self._entry = entry
        self._at: dict[str, tuple[int, int]] = {}
        self._keys: dict[str, int] = {}
        self._by_use: list[Any] = []
        self._by_wait: list[Any] = []

    def __len__(self) -> int:
        """Count the entries that are kept, true or not."""
        return len(self._by_use) + len(self._by_wait)

    def copy(self) -> Ladder:
        """Give another one that is alike."""
        found = Ladder(self._entry)
        found._at, found._keys = self._at.copy(), self._keys.copy()
        found._by_use, found._by_wait = self._by_use.copy(), self._by_wait.copy()
        return found

    def put(self, owner: str, *, since_us: int, number: int, used_us: int) -> None:
        """Give an owner a place.

        Args:
            owner: who.
            since_us: for how long the device had been used when the owner began to wait.
            number: of the owner's oldest job.
            used_us: what the owner has used.
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
        """Take an owner out. Does nothing to one who is not there."""
        if self._at.pop(owner, None) is not None:
            del self._keys[owner]
            self._tidy()

    def fairest(self, used_us: Callable[[str], int]) -> str | None:
        """Give the owner who has used least, less what each has waited."""
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
        """Give the owner who waits longest: since when, the oldest job's number, and the name."""
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
    """Say whose turn it is.

    Args:
        lines: the lines of a device; a line goes before those after it.
        turns: how many there have been.
        served_us: for how long the device has been used.
        used_us: gives what an owner has used.
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
