"""Remembers when programs last reported that the runtime cannot see, such as on other machines.

The time is real time, since programs do not follow the runtime's clock.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MISSED_BEATS = 3
"""After so many intervals without a report, a program that has reported before has ended.

One may be lost with a broken connection, and Python holds a thread up while it computes.
"""

MOST_PROGRAMS = 10_000
"""Of more programs, those that have not reported for longest are forgotten, and never judged."""


class Heartbeats:
    """The reports of programs since the runtime was started.

    Args:
        every_seconds: how often a program reports.
        elapsed: returns seconds of a monotonic clock.
    """

    def __init__(self, every_seconds: float, elapsed: Callable[[], float] = time.monotonic) -> None:
        self.every_seconds = every_seconds
        self._elapsed = elapsed
        self._last: OrderedDict[tuple[str, str], float] = OrderedDict()

    def note(self, owner: str, process: str) -> None:
        """Note that a program of an owner has reported."""
        self._last[owner, process] = self._elapsed()
        self._last.move_to_end((owner, process))
        if len(self._last) > MOST_PROGRAMS:
            self._last.popitem(last=False)

    def has_stopped(self, owner: str, process: str) -> bool:
        """Whether a program reported once, and has not for so long that it must have ended."""
        last = self._last.get((owner, process))
        limit = MISSED_BEATS * self.every_seconds
        return last is not None and self._elapsed() - last > limit
