"""The limits of all fields of requests that the runtime keeps.

`http/parsing` refuses what exceeds them, and `http/openapi` describes them. The limits that the
operator chooses (bodies, circuits, results, pending jobs) are in `Settings`.
"""

from __future__ import annotations

from typing import NamedTuple


class Bound(NamedTuple):
    """A limit.

    Attributes:
        most: the largest allowed number.
        unit: what is counted, in the plural.
    """

    most: int
    unit: str

    def __str__(self) -> str:
        """Return the limit as error messages name it."""
        return f"{self.most} {self.unit}"


NAME = Bound(256, "characters")
"""Name or id of a backend, program, session, instance or image."""

LOG_LEVEL = Bound(32, "characters")

TAG = Bound(256, "characters")

TAGS = Bound(100, "tags")
"""Tags of a job, and of a filter of jobs."""

SEARCH = Bound(256, "characters")
"""A text to search for."""

CHOICES = Bound(16, "values")
"""Values of a filter that may be repeated, such as `mode` and `status`."""

KEY = Bound(255, "characters")
"""An `Idempotency-Key`, which is stored with its session or job."""

SMALL_BODY_BYTES = 64 * 1024
"""Largest body of a request without a payload."""

TAGS_BODY_BYTES = TAGS.most * (12 * TAG.most + 4) + SMALL_BODY_BYTES
"""Largest body with tags: JSON may escape a character as twelve."""

INTERIM_CHARACTERS = 16 * 2**20
"""Interim results kept for one running job; later ones only come with its result."""

PAGE = 200
"""Rows of one response, so that no turn of the event loop serializes more of them."""
