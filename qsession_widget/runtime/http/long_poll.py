"""Who polls an unfinished job again and again, and may be held instead.

The official client asks for a job's state every tenth of a second, with no way to say that it
would rather wait. Its first question is answered at once, so that a single `job.status()` never
waits; when the same connection asks again soon after, the answer may take until the job changes.
It may take about as long as the client has been asking, and a second at most: a client that gives
up after a tenth of a second must not sit here for a whole one.

A job that ends within milliseconds would be seen a tenth of a second late all the same, since the
first question comes too soon. So the answer to a new job that can start at once waits a moment for
its end (`Settings.hold_new_jobs_seconds`).
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
"""A poll is quick if it comes so soon after the last answer: the client pauses up to 0.5 s."""

_MOST = 1024


class _Asking(NamedTuple):
    since: float
    last: float


class LongPoll:
    """The last answers to polls, by connection and job."""

    def __init__(self) -> None:
        self._asking: OrderedDict[tuple[Address | None, str], _Asking] = OrderedDict()

    def hold_seconds(self, client: Address | None, job_id: str) -> float:
        """Say how long a client may be held; 0 if it did not ask a moment ago."""
        found, now = self._asking.get((client, job_id)), time.monotonic()
        if found is None or now - found.last > QUICK_SECONDS:
            return 0.0
        return min(max(now - found.since, SHORTEST_HOLD_SECONDS), LONGEST_HOLD_SECONDS)

    def answered(self, client: Address | None, job_id: str, *, quick: bool) -> None:
        """Note that a client was answered, and whether it had asked shortly before."""
        place, now = (client, job_id), time.monotonic()
        before = self._asking.get(place) if quick else None
        self._asking[place] = _Asking(before.since if before else now, now)
        self._asking.move_to_end(place)
        if len(self._asking) > _MOST:
            self._asking.popitem(last=False)

    def forget(self, client: Address | None, job_id: str) -> None:
        """Forget a job that has ended."""
        self._asking.pop((client, job_id), None)
