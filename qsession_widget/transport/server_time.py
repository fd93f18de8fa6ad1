"""Estimates a server's clock from the `Date` headers of its responses."""

from __future__ import annotations

import email.utils
import time
from datetime import UTC, datetime
from functools import lru_cache

from qsession_widget.support import forking

_RESOLUTION_SECONDS = 1.0
"""A `Date` is truncated to whole seconds (RFC 9110)."""


class ServerTime:
    """A thread-safe estimate of a server's clock, relative to this machine's monotonic clock.

    Each response says that the server's clock was between its `Date` and one second later at some
    moment between request and response. Several of them are more exact than one.
    """

    def __init__(self) -> None:
        self._lock = forking.Lock()
        self._low = float("-inf")
        self._high = float("inf")

    def learn(self, date: str | None, asked_at: float, answered_at: float) -> None:
        """Add the header of a response to the estimate.

        Args:
            date: the header's text; None if there is none.
            asked_at: `time.monotonic()` before the request.
            answered_at: `time.monotonic()` after the response.
        """
        stamp = _seconds(date or "")
        if stamp is None:
            return
        low, high = stamp - answered_at, stamp + _RESOLUTION_SECONDS - asked_at
        with self._lock:
            if low > self._high or high < self._low:
                # The server's clock was set: earlier responses are useless now.
                self._low, self._high = low, high
            else:
                self._low, self._high = max(low, self._low), min(high, self._high)

    def now(self) -> datetime:
        """Return the server's time, in UTC; this machine's before the first response."""
        with self._lock:
            low, high = self._low, self._high
        if low == float("-inf"):
            return datetime.now(UTC)
        return datetime.fromtimestamp(time.monotonic() + (low + high) / 2, UTC)


@lru_cache(maxsize=8)
def _seconds(date: str) -> float | None:
    """Return a `Date` in seconds since 1970; all responses of a second have the same."""
    try:
        moment = email.utils.parsedate_to_datetime(date)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
