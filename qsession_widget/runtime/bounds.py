"""How long and how many of everything a request may bring that the runtime keeps.

All of it in one place: `reading` refuses what is beyond a bound, `openapi` describes it. What the
operator chooses (bodies, circuits, results, pending jobs) is in `Settings` instead.
"""

from __future__ import annotations

from typing import NamedTuple


class Bound(NamedTuple):
    """The most of something.

    Attributes:
        most: how many.
        unit: of what, in the plural.
    """

    most: int
    unit: str

    def __str__(self) -> str:
        """Say it as an answer does."""
        return f"{self.most} {self.unit}"


NAME = Bound(256, "characters")
"""Of the name or id of a device, program, session, instance or image."""

LOG_LEVEL = Bound(32, "characters")

TAG = Bound(256, "characters")

TAGS = Bound(100, "tags")
"""Of a job, and of a list's filter: a job with more of them there cannot be."""

SEARCH = Bound(256, "characters")
"""Of a text that is looked for."""

CHOICES = Bound(16, "values")
"""Of a filter that may be given several times, such as `mode` and `status`."""

KEY = Bound(255, "characters")
"""Of an `Idempotency-Key`: kept with its session or job."""

SMALL_BODY_BYTES = 64 * 1024
"""Largest body of a request that brings no job."""

TAGS_BODY_BYTES = TAGS.most * (12 * TAG.most + 4) + SMALL_BODY_BYTES
"""Largest body with tags: JSON may spell a character in twelve."""

INTERIM_CHARACTERS = 16 * 2**20
"""Of the interim results that are kept of one running job; those beyond come with its result."""

PAGE = 200
"""Jobs and other rows of one answer, so that no turn of the loop writes more of them."""
