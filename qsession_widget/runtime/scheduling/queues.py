"""What waits for a device, in which order: what the scheduler's decisions are made from."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

from qsession_widget.runtime.scheduling.estimates import Durations
from qsession_widget.runtime.scheduling.ladder import Ladder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime


class Rank(IntEnum):
    """In which of a device's queues a job waits."""

    FIRST = 0
    """Its session is active."""
    NORMAL = 1
    HELD_BACK = 2
    """Its session is between two states, and starts nothing until it is through."""


class StartOrder(Protocol):
    """What a device's queues keep of a `forecast.Forecast`, which is made from them."""

    def place(self, number: int, rank: Rank) -> int:
        """Return the place of a waiting job, 1 being the next to start."""


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
    device: DeviceQueues
    owner: str
    session_id: str | None
    started_at: datetime | None = None


@dataclass(eq=False)
class Line:
    """A queue of a device: the parts of its owners, and whose turn it is."""

    ladder: Ladder
    shares: dict[str, Share] = field(default_factory=dict)
    count: int = 0

    def groups(self) -> Iterator[Group]:
        """Give everything that waits in it."""
        for share in self.shares.values():
            yield from share.groups


@dataclass(eq=False)
class Share:
    """What an owner has in a line, and a heap of which of that came first.

    Attributes:
        since_us: for how long the device had been used when the owner began to wait here: when the
            first job came, or one of the owner's was last in work.
        since_all_us: the same for all devices together.
    """

    line: Line
    owner: str
    groups: dict[Group, None] = field(default_factory=dict)
    heap: list[Any] = field(default_factory=list)
    count: int = 0
    since_us: int = 0
    since_all_us: int = 0


class Group:
    """Jobs that wait together: those of a session, or an owner's single jobs on a device.

    Its share's heap has an entry for `offered`, the oldest job when that was last looked at.
    """

    def __init__(
        self,
        index: int,
        device: DeviceQueues,
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


class DeviceQueues:
    """A device's queues, and its jobs in work: one is on it, others are prepared or read out.

    Attributes:
        turns: how many jobs have started.
        served_us: for how long jobs have been in work.
        forecast: in which order its jobs start, as far as that was asked for since it last changed.
    """

    def __init__(self, name: str, entry: Callable[[Any], Any]) -> None:
        self.name = name
        self.lines = tuple(Line(Ladder(entry)) for _ in Rank)
        self.turns = 0
        self.served_us = 0
        self.forecast: StartOrder | None = None
        self.singles: dict[str, Group] = {}
        self.holders: dict[str, Group] = {}
        self.in_work: dict[str, Item] = {}
        self.on_device: str | None = None
        self.prepared: deque[str] = deque()
        self.durations = Durations()
