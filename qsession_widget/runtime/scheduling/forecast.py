"""A simulation of a device's queues: the order in which its jobs start if no others come.

Each job takes as long as the median of the last ones. The rule that chooses is the scheduler's own,
applied to copies of its data.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qsession_widget.runtime.scheduling.ladder import choose
from qsession_widget.runtime.scheduling.queues import Rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qsession_widget.runtime.scheduling.queues import DeviceQueues, Group, Item

FORESEEN = 200
"""How many jobs are simulated; those after them are in order of arrival."""


@dataclass(eq=False)
class _Party:
    """An owner's part of a line: a heap of the next job of each group, the oldest first.

    Attributes:
        sessions: the sessions of its present and former jobs.
    """

    since_us: int
    sessions: set[str | None] = field(default_factory=set)
    heap: list[tuple[int, int, Group]] = field(default_factory=list)


class Forecast:
    """The order in which the jobs of a device start.

    Args:
        device: the device.
        holders: the sessions that have the device to themselves.
        shared: whether active sessions only go first.
        used_us: returns an owner's usage.
    """

    def __init__(
        self,
        device: DeviceQueues,
        holders: Sequence[Group],
        *,
        shared: bool,
        used_us: Callable[[str], int],
    ) -> None:
        self._shared = shared
        self._used_us, self._extra_us = used_us, Counter[str]()
        self._each_us = round(device.durations.median_seconds * 1e6)
        self._served_us, self._turns = device.served_us, device.turns
        self._places: dict[int, int] = {}
        self._taken: Counter[Group] = Counter()
        self._ladders = [line.ladder.copy() for line in device.lines[: Rank.HELD_BACK]]
        self._parties: list[dict[str, _Party]] = [{} for _ in self._ladders]
        for rank, parties in enumerate(self._parties):
            for owner, share in device.lines[rank].shares.items():
                party = parties[owner] = _Party(share.since_us)
                for group in share.groups:
                    party.sessions.add(group.session_id)
                    if group not in holders:
                        self._offer(party, group)
                self._put(rank, owner)
        for item in device.in_work.values():
            self._end(item)
        held = [(number, group) for group in holders for number in group.waiting]
        for _, group in sorted(held, key=lambda each: each[0])[:FORESEEN]:
            self._start(group)
        while len(self._places) < FORESEEN and self._next():
            pass
        self._rest = [
            [group for group in line.groups() if self._taken[group] < len(group.waiting)]
            for line in device.lines
        ]

    def place(self, number: int, rank: Rank) -> int:
        """Return the position of a waiting job, 1 being the next to start.

        Args:
            number: the job's number.
            rank: the queue in which it waits.
        """
        found = self._places.get(number)
        if found is not None:
            return found
        # Jobs that are held back go after all others.
        last = rank is Rank.HELD_BACK
        lines = self._rest if last else self._rest[: Rank.HELD_BACK]
        before = sum(
            max(0, group.waiting.below(number) - self._taken[group])
            if (group.rank is Rank.HELD_BACK) is last
            else len(group.waiting) - self._taken[group]
            for line in lines
            for group in line
        )
        return 1 + len(self._places) + before

    def _use(self, owner: str) -> int:
        return self._used_us(owner) + self._extra_us[owner]

    def _offer(self, party: _Party, group: Group) -> None:
        taken = self._taken[group]
        if taken < len(group.waiting):
            heapq.heappush(party.heap, (group.waiting[taken], group.index, group))

    def _put(self, rank: int, owner: str) -> None:
        party, ladder = self._parties[rank][owner], self._ladders[rank]
        if party.heap:
            number = party.heap[0][0]
            ladder.put(owner, since_us=party.since_us, number=number, used_us=self._use(owner))
        else:
            ladder.remove(owner)

    def _start(self, group: Group) -> None:
        """Simulate the start and the end of the next job of a group."""
        taken = self._taken[group]
        self._taken[group] += 1
        self._places[group.waiting[taken]] = len(self._places) + 1
        self._turns += 1
        self._pass(group.owner)

    def _pass(self, owner: str) -> None:
        self._served_us += self._each_us
        self._extra_us[owner] += self._each_us

    def _end(self, item: Item) -> None:
        """Simulate the end of a job in work."""
        self._pass(item.owner)
        for rank, parties in enumerate(self._parties):
            party = parties.get(item.owner)
            if party is not None and item.session_id in party.sessions:
                party.since_us = self._served_us
                self._put(rank, item.owner)

    def _next(self) -> bool:
        """Simulate the start and the end of the next job; False if there is none."""
        turn = choose(
            self._ladders, turns=self._turns, served_us=self._served_us, used_us=self._use
        )
        if turn is None:
            return False
        rank, owner = turn
        party = self._parties[rank][owner]
        _, _, group = heapq.heappop(party.heap)
        party.since_us = self._served_us
        self._start(group)
        if rank == Rank.FIRST or group.session_id is None:
            party.since_us = self._served_us
            self._offer(party, group)
        elif group.dedicated and not self._shared:
            # From now on the session has the device to itself.
            while self._taken[group] < len(group.waiting):
                self._start(group)
        else:
            # From now on the session goes first.
            first = self._parties[Rank.FIRST].setdefault(owner, _Party(self._served_us))
            first.since_us = self._served_us
            self._offer(first, group)
            self._put(Rank.FIRST, owner)
        self._put(rank, owner)
        return True
