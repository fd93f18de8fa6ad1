"""The data structures of the scheduler: the queues of each device."""

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
    """The queue of a device in which a job waits."""

    FIRST = 0
    """Its session is active."""
    NORMAL = 1
    HELD_BACK = 2
    """Its session has a pending transition, and starts nothing until that is over."""


class StartOrder(Protocol):
    """What a device's queues keep of a `forecast.Forecast`, which is made from them."""

    def place(self, number: int, rank: Rank) -> int:
        """Return the place of a waiting job, 1 being the next to start."""


_MOST_GONE = 64


class Numbers:
    """A sorted list of the numbers of waiting jobs, cheap to take from at the front.

    Attributes:
        first: the lowest number; None if the list is empty.
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
        """Return how many numbers are lower than this one."""
        return bisect_left(self._items, number, lo=self._start) - self._start

    def add(self, number: int) -> None:
        """Insert a number in order."""
        if not self._items or number > self._items[-1]:
            self._items.append(number)
        else:
            self._items.insert(bisect_left(self._items, number, lo=self._start), number)
        self.first = self._items[self._start]

    def take_first(self) -> int:
        """Remove and return the lowest number."""
        number = self._items[self._start]
        self._start += 1
        # The memory of removed numbers is freed in batches.
        if self._start > _MOST_GONE and self._start * 2 > len(self._items):
            del self._items[: self._start]
            self._start = 0
        self._look()
        return number

    def remove(self, number: int) -> None:
        """Remove a number that is in the list."""
        del self._items[bisect_left(self._items, number, lo=self._start)]
        self._look()

    def _look(self) -> None:
        self.first = self._items[self._start] if len(self._items) > self._start else None


@dataclass(eq=False)
class Item:
    """A job that waits or is in work; `number` is its place in order of arrival."""

    id: str
    number: int
    device: DeviceQueues
    owner: str
    session_id: str | None
    started_at: datetime | None = None


@dataclass(eq=False)
class Line:
    """A queue of a device: the shares of its owners, and whose turn it is."""

    ladder: Ladder
    shares: dict[str, Share] = field(default_factory=dict)
    count: int = 0

    def groups(self) -> Iterator[Group]:
        """Yield all groups that wait in it."""
        for share in self.shares.values():
            yield from share.groups


@dataclass(eq=False)
class Share:
    """An owner's groups in a line, and a heap that orders them by their oldest job.

    Attributes:
        since_us: device time that had been used when the owner began to wait here: when their
            first job came, or when one of their jobs was last in work.
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
    """Jobs that wait together: those of a session, or an owner's jobs without one on a device.

    The heap of its share has an entry for `offered`, the oldest job at the last update.
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
        """The queue in which it waits."""
        return self.share.line

    @property
    def goes_together(self) -> bool:
        """Whether all of its jobs follow once the oldest one has started."""
        return self.session_id is not None and self.rank is not Rank.FIRST


class DeviceQueues:
    """A device's queues and jobs in work: one is on the device, others before or after that.

    Attributes:
        turns: how many jobs have started.
        served_us: how long jobs have been in work, in total.
        forecast: the expected order of its jobs; None since the last change.
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
