"""What waits for a device, in which order: what the scheduler's decisions are made from."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from qsession_widget.runtime.estimates import Durations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime


class Rank(IntEnum):
    """In which of a device's queues a job waits."""

    FIRST = 0
    """Its session is active."""
    NORMAL = 1
    HELD_BACK = 2
    """Its session is between two states, and starts nothing until it is through."""


NOWHERE = (-1, -1)
"""The place of who has nothing in a line."""

_MOST_GONE = 64


class Numbers:
    """The numbers of waiting jobs in their order: taken from the front, put where they belong.

    Attributes:
        first: the lowest; None where there is none.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self._items: list[int] = []
        self._start = 0

    def __len__(self) -> int:
        return len(self._items) - self._start

    def __iter__(self) -> Iterator[int]:
        return iter(self._items[self._start :])

    def __getitem__(self, place: int) -> int:
        return self._items[self._start + place]

    def below(self, number: int) -> int:
        """Count those that come before a number."""
        return bisect_left(self._items, number, lo=self._start) - self._start

    def add(self, number: int) -> None:
        """Put a number where it belongs."""
        if not self._items or number > self._items[-1]:
            self._items.append(number)
        else:
            self._items.insert(bisect_left(self._items, number, lo=self._start), number)
        self.first = self._items[self._start]

    def take_first(self) -> int:
        """Take the lowest one out."""
        number = self._items[self._start]
        self._start += 1
        # What is gone is given back now and then, not with each one.
        if self._start > _MOST_GONE and self._start * 2 > len(self._items):
            del self._items[: self._start]
            self._start = 0
        self._look()
        return number

    def remove(self, number: int) -> None:
        """Take out a number that is there."""
        del self._items[bisect_left(self._items, number, lo=self._start)]
        self._look()

    def _look(self) -> None:
        self.first = self._items[self._start] if len(self._items) > self._start else None


@dataclass(eq=False)
class Item:
    """A job that waits or is in work; `number` says when it came."""

    id: str
    number: int
    device: Device
    owner: str
    session_id: str | None
    started_at: datetime | None = None


@dataclass(eq=False)
class Line:
    """A queue of a device: the parts of its owners, and a heap of whose turn it is."""

    shares: dict[str, Share] = field(default_factory=dict)
    heap: list[Any] = field(default_factory=list)
    count: int = 0

    def groups(self) -> Iterator[Group]:
        """Give everything that waits in it."""
        for share in self.shares.values():
            yield from share.groups


@dataclass(eq=False)
class Share:
    """What an owner has in a line, and a heap of which of that came first."""

    line: Line
    owner: str
    groups: dict[Group, None] = field(default_factory=dict)
    heap: list[Any] = field(default_factory=list)
    key: tuple[int, int] = NOWHERE
    count: int = 0


class Group:
    """Jobs that wait together: those of a session, or an owner's single jobs on a device.

    Its share's heap has an entry for `offered`, the oldest job when that was last looked at.
    """

    def __init__(
        self,
        index: int,
        device: Device,
        owner: str,
        *,
        session_id: str | None,
        dedicated: bool,
        rank: Rank,
    ) -> None:
        self.index, self.device, self.owner = index, device, owner
        self.session_id, self.dedicated, self.rank = session_id, dedicated, rank
        self.waiting = Numbers()
        self.durations = Durations()
        self.charged_seconds = 0.0
        self.offered: int | None = None
        self.share: Share

    @property
    def line(self) -> Line:
        """The queue that it is in."""
        return self.share.line

    @property
    def goes_together(self) -> bool:
        """Whether all of it follows once its oldest job has started."""
        return self.session_id is not None and self.rank is not Rank.FIRST

    def before(self, number: int) -> int:
        """Count its jobs that start before its owner comes to the job of a number."""
        if self.goes_together:
            return len(self.waiting) if self.waiting and self.waiting[0] < number else 0
        return self.waiting.below(number)

    def turns(self) -> Iterator[tuple[int, int]]:
        """Give the number of each turn that it takes, and how many jobs start with it."""
        if self.goes_together:
            yield self.waiting[0], len(self.waiting)
        else:
            yield from ((number, 1) for number in self.waiting)


class Device:
    """A device's queues, and its jobs in work: one is on it, others are prepared or read out."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines = tuple(Line() for _ in Rank)
        self.singles: dict[str, Group] = {}
        self.holders: dict[str, Group] = {}
        self.in_work: dict[str, Item] = {}
        self.on_device: str | None = None
        self.prepared: deque[str] = deque()
        self.durations = Durations()


def before(
    groups: Sequence[Group], start_us: int, each_us: int, turn_us: int, turn_number: int
) -> int:
    """Count the jobs of an owner that start before somebody else's turn.

    Args:
        groups: what the owner has in a line.
        start_us: what the owner has used when the first of them starts.
        each_us: what each of them adds to that.
        turn_us: what the other owner has used at that turn.
        turn_number: the number of the other one's job.
    """
    if not groups or start_us > turn_us:
        return 0
    if len(groups) == 1 and not groups[0].goes_together:
        # Turn k comes at start + k * each; whoever has used the same goes in the order of numbers.
        waiting = groups[0].waiting
        if not each_us:
            return len(waiting) if start_us < turn_us else waiting.below(turn_number)
        turns, rest = divmod(turn_us - start_us, each_us)
        if rest or (turns < len(waiting) and waiting[turns] < turn_number):
            turns += 1
        return min(turns, len(waiting))
    found = 0
    for number, size in sorted(turn for each in groups for turn in each.turns()):
        if (start_us + each_us * found, number) > (turn_us, turn_number):
            break
        found += size
    return found
