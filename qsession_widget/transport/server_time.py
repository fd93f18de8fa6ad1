"""What time it is at a server, from the `Date` headers of its answers."""

from __future__ import annotations

import email.utils
import time
from datetime import UTC, datetime

from qsession_widget.support import forking

_RESOLUTION_SECONDS = 1.0
"""A `Date` is cut to whole seconds (RFC 9110)."""


class ServerTime:
    """Estimates a server's clock on the monotonic one, which nobody sets. For all threads.

    Each answer says that the server's clock was between its `Date` and one second later at some
    moment between question and answer. Together they are more exact than each by itself.
    """

    def __init__(self) -> None:
        self._lock = forking.Lock()
        self._low = float("-inf")
        self._high = float("inf")

    def learn(self, date: str | None, asked_at: float, answered_at: float) -> None:
        """Take the header of an answer.

        Args:
            date: the header's text; None where there is none.
            asked_at: `time.monotonic()` before the question.
            answered_at: `time.monotonic()` after the answer.
        """
        try:
            moment = email.utils.parsedate_to_datetime(date or "")
        except ValueError:
            return
        stamp = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        low, high = stamp - answered_at, stamp + _RESOLUTION_SECONDS - asked_at
        with self._lock:
            if low > self._high or high < self._low:
                # Somebody has set the server's clock: what was known is of no use.
                self._low, self._high = low, high
            else:
                self._low, self._high = max(low, self._low), min(high, self._high)

    def now(self) -> datetime:
        """Return the server's time, in UTC; this machine's as long as no answer has said it."""
        with self._lock:
            low, high = self._low, self._high
        if low == float("-inf"):
            return datetime.now(UTC)
        return datetime.fromtimestamp(time.monotonic() + (low + high) / 2, UTC)
