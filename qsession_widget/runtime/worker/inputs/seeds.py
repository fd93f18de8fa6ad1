"""Seeds of a job's executions: fresh ones, or those that Aer derives from the user's."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from qsession_widget.runtime.worker.outcome import RejectedError

if TYPE_CHECKING:
    from collections.abc import Mapping

STEP = 2113
"""How far Aer moves its seed from one circuit of a run to the next."""

MAX_SEED = 2**63 - 1
"""Largest seed that Aer's interface takes."""


class Seeds:
    """Hands out seeds: each execution gets the one that it would have in a single run of Aer.

    Args:
        given: what the user asked for; None for no seed.
    """

    def __init__(self, given: int | None) -> None:
        self._given = given
        self._taken = 0

    @property
    def given(self) -> bool:
        """Whether the user asked for a seed."""
        return self._given is not None

    def take(self, circuits: int) -> int | None:
        """Return the seed of the next circuits; None if the user asked for no seed.

        Args:
            circuits: how many the execution runs; Aer moves the seed between them itself.
        """
        if self._given is None:
            return None
        seed = after(self._given, self._taken)
        self._taken += circuits
        return seed


def after(seed: int, circuits: int) -> int:
    """Return the seed that Aer gives a circuit of a run, from that of the first one."""
    return _wrapped(seed + circuits * STEP)


def fresh() -> int:
    """Draw a seed that no execution has had: 62 random bits from the system."""
    return secrets.randbits(62)


def of_options(options: Mapping[str, Any]) -> int | None:
    """Return the seed that a primitive's options ask for; None for no seed.

    Raises:
        RejectedError: for a value that is not a seed.
    """
    of_simulator = (options.get("simulator") or {}).get("seed_simulator")
    found = checked("simulator.seed_simulator", of_simulator)
    other = checked("seed_estimator", options.get("seed_estimator"))
    return other if found is None else found


def checked(name: str, seed: Any) -> int | None:
    """Return a seed as it is, None for no seed.

    Args:
        name: name of the option.
        seed: its value.

    Raises:
        RejectedError: for a value that is not a seed.
    """
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise RejectedError(
            f"options.{name} is {seed!r:.80}; it has to be a whole number of 0 to {MAX_SEED}."
        )
    return seed


def _wrapped(seed: int) -> int:
    """Wrap around at 64 bits as Aer does, in the signed numbers that its interface takes."""
    return (seed + MAX_SEED + 1) % 2**64 - MAX_SEED - 1
