"""Decides which polls of an unfinished job are held (long polling without the client's help).

The official client polls a job's state every tenth of a second, and cannot ask to be held. Its
first poll is answered at once, so that a single `job.status()` never waits. When the same
connection polls again soon after, the answer may wait until the job changes: for about as long as
the client has been polling, and a second at most, since a client that gives up after a tenth of a
second must not be held for a whole one.

A job that ends within milliseconds would still be seen a tenth of a second late, since the first
poll comes too soon. So the answer to a new job that can start at once waits a moment for its end
(`Settings.hold_new_jobs_seconds`).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from starlette.datastructures import Address

SHORTEST_HOLD_SECONDS = 0.25
LONGEST_HOLD_SECONDS = 1.0

QUICK_SECONDS = 0.75
"""A poll is quick if it comes this soon after the last answer: the client pauses up to 0.5 s."""

_MOST = 1024


class _Asking(NamedTuple):
    since: float
    last: float


class LongPoll:
    """Remembers the last answers to polls, by connection and job."""

    def __init__(self) -> None:
        self._asking: OrderedDict[tuple[Address | None, str], _Asking] = OrderedDict()

    def hold_seconds(self, client: Address | None, job_id: str) -> float:
        """Return for how long a poll may be held; 0 if it is not a quick one."""
        found, now = self._asking.get((client, job_id)), time.monotonic()
        if found is None or now - found.last > QUICK_SECONDS:
            return 0.0
        return min(max(now - found.since, SHORTEST_HOLD_SECONDS), LONGEST_HOLD_SECONDS)

    def answered(self, client: Address | None, job_id: str, *, quick: bool) -> None:
        """Note that a poll was answered, and whether it was a quick one."""
        place, now = (client, job_id), time.monotonic()
        before = self._asking.get(place) if quick else None
        self._asking[place] = _Asking(before.since if before else now, now)
        self._asking.move_to_end(place)
        if len(self._asking) > _MOST:
            self._asking.popitem(last=False)

    def forget(self, client: Address | None, job_id: str) -> None:
        """Forget the polls of a job that has ended."""
        self._asking.pop((client, job_id), None)
