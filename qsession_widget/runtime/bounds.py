"""Limits of size and number for everything in a request that the runtime keeps.

`http/parsing.py` enforces them, and `http/openapi.py` describes them. Limits that the operator
chooses (bodies, circuits, results, pending jobs) are in `Settings` instead.
"""

from __future__ import annotations

from typing import NamedTuple


class Bound(NamedTuple):
    """An upper limit.

    Attributes:
        most: the limit.
        unit: its unit, in the plural.
    """

    most: int
    unit: str

    def __str__(self) -> str:
        """Format the limit for messages."""
        return f"{self.most} {self.unit}"


NAME = Bound(256, "characters")
"""Length of the name or id of a backend, program, session, instance or image."""

LOG_LEVEL = Bound(32, "characters")

TAG = Bound(256, "characters")

TAGS = Bound(100, "tags")
"""Tags of a job, and of a filter: no job has more."""

SEARCH = Bound(256, "characters")
"""Length of a text that is searched for."""

CHOICES = Bound(16, "values")
"""Values of a filter that may be repeated, such as `mode` and `status`."""

KEY = Bound(255, "characters")
"""Length of an `Idempotency-Key`, which is stored with its session or job."""

SMALL_BODY_BYTES = 64 * 1024
"""Largest body of a request without a job."""

TAGS_BODY_BYTES = TAGS.most * (12 * TAG.most + 4) + SMALL_BODY_BYTES
"""Largest body with tags: a character may take twelve bytes in JSON."""

INTERIM_CHARACTERS = 16 * 2**20
"""Size of the interim results that are kept of a running job; the rest come with its result."""

PAGE = 200
"""Rows in one response: bounds the time that encoding it takes in the event loop."""
