"""How long a host may go on without hearing from the server, on both sides."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lease:
    """The terms of a lease, in seconds.

    Attributes:
        key: names the lease; a server takes a new one for each host that it finds.
        seconds: how old it may become before the host ends its processes.
    """

    key: str
    seconds: float = 15.0

    @property
    def beat_seconds(self) -> float:
        """How long the host holds a request for events before it answers with none."""
        return self.seconds / 5

    @property
    def lost_after_seconds(self) -> float:
        """How long after its last answered request a host is surely without its lease.

        The request that renewed it last may have been the next one, whose answer never came.
        """
        return self.seconds + 2 * self.beat_seconds


class LeaseEndedError(Exception):
    """The host no longer runs anything for this lease."""
