"""Who polls an unfinished job again and again, and may be held instead.

The official client asks for a job's state every tenth of a second, with no way to say that it
would rather wait. Its first question is answered at once, so that a single `job.status()` never
waits; when the same connection asks again soon after, the answer may take until the job changes.
Whoever asks right after sending a job is about to wait for it, and pauses for a tenth of a second
if it goes on: such a first answer may take as long, for most jobs have ended by then.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import Address

HOLD_SECONDS = 1.0
"""The longest that such a poll is held."""

FIRST_HOLD_SECONDS = 0.1
"""The longest that the first question after a job was sent is held: the client's own pause."""

SENT = "sent"
"""What is known, in the place of an ETag, by who has sent a job and asked for nothing yet."""

QUICK_SECONDS = 0.75
"""A poll is quick if it comes so soon after the last answer: the client pauses up to 0.5 s."""

_MOST = 1024


class QuickPolls:
    """The last answers to polls, by connection and job."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[Address | None, str], tuple[float, str]] = OrderedDict()

    def known(self, client: Address | None, job_id: str) -> str | None:
        """Give the state, as an ETag, that a client was told a moment ago; None if it was not."""
        when, etag = self._answers.get((client, job_id), (-QUICK_SECONDS, ""))
        return etag if etag and time.monotonic() - when <= QUICK_SECONDS else None

    def answered(self, client: Address | None, job_id: str, etag: str) -> None:
        """Note what a client was told."""
        place = (client, job_id)
        self._answers[place] = (time.monotonic(), etag)
        self._answers.move_to_end(place)
        if len(self._answers) > _MOST:
            self._answers.popitem(last=False)

    def forget(self, client: Address | None, job_id: str) -> None:
        """Forget a job that has ended."""
        self._answers.pop((client, job_id), None)
