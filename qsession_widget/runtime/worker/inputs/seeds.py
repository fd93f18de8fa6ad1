"""Seeds of a job's executions: fresh ones, or those that Aer derives from the user's."""

from __future__ import annotations

import secrets

STEP = 2113
"""How far Aer moves its seed from one circuit of a run to the next."""

MAX_SEED = 2**63 - 1
"""Largest seed that Aer's interface takes."""


class Seeds:
    """Give each execution of a job the seed that it would have in one run of Aer with all of them.

    Args:
        given: what the user asked for; None for none.
    """

    def __init__(self, given: int | None) -> None:
        self._given = given
        self._taken = 0

    def take(self, circuits: int) -> int | None:
        """Give the seed of the next circuits, None where the user asked for none.

        Args:
            circuits: how many the execution runs; Aer moves the seed between them itself.
        """
        if self._given is None:
            return None
        seed = self._given + self._taken * STEP
        self._taken += circuits
        return _wrapped(seed)


def fresh() -> int:
    """Draw a seed that no execution has had: 62 random bits from the system."""
    return secrets.randbits(62)


def _wrapped(seed: int) -> int:
    """Go round at 64 bits as Aer does, in the signed numbers that its interface takes."""
    return (seed + MAX_SEED + 1) % 2**64 - MAX_SEED - 1
