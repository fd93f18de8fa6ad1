"""Limits how many connections there are, and how many of them each user has.

A connection is unauthenticated (a stranger's) until a request on it has brought a valid token.
Strangers share a part of the connections, the administrator has a part of their own, and the other
users share the rest. When strangers have used up their part, the oldest connection of the address
that has the most is closed, so that a new connection, which may be a user's, is always accepted.
"""

from __future__ import annotations

import contextlib
import logging
import resource
import time
from collections import Counter
from typing import Protocol

from starlette.authentication import AuthenticationError

from qsession_widget.wire.fields import ADMINISTRATOR

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 8_192
MOST_STRANGERS = 512
_OWN_DESCRIPTORS = 96
"""Descriptors of the store, the log, the forkserver and the listeners, with a reserve."""
_OF_A_WORKER = 8
_TOLD_EVERY_SECONDS = 60.0


class CrowdedError(AuthenticationError):
    """The token is valid, but its user has too many connections."""


class Entry(Protocol):
    """A connection as the pool sees it."""

    @property
    def peer(self) -> str:
        """Address of the other end."""

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""

    def drop(self) -> None:
        """Close the connection at once."""


def raise_descriptor_limit(workers: int) -> int:
    """Raise the limit of descriptors, and return how many connections it allows.

    Args:
        workers: number of worker processes, each of which needs a few descriptors.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # The real limit of a system may be lower than the one that it reports.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(32, min(MOST_CONNECTIONS, soft - _OWN_DESCRIPTORS - _OF_A_WORKER * workers))


class ConnectionPool:
    """All connections and their users, with limits for each group.

    Args:
        most: how many connections there may be.
    """

    def __init__(self, most: int) -> None:
        self.strangers_most = min(MOST_STRANGERS, most // 4)
        self.administrator_most = most // 4
        self.others_most = most // 2
        self.user_most = max(4, most // 8)
        self._strangers: dict[str, dict[Entry, None]] = {}
        self._stranger_count = 0
        self._owners: dict[str, dict[Entry, None]] = {}
        self._owner_of: dict[Entry, str] = {}
        self._untold: Counter[str] = Counter()
        self._told_at: dict[str, float] = {}

    @property
    def count(self) -> int:
        """Number of connections."""
        return self._stranger_count + len(self._owner_of)

    def enter(self, entry: Entry) -> None:
        """Add a new connection, and close another one if strangers have too many."""
        self._strangers.setdefault(entry.peer, {})[entry] = None
        self._stranger_count += 1
        if self._stranger_count > self.strangers_most:
            of_one = max(self._strangers.values(), key=len)
            oldest = next(iter(of_one))
            self.leave(oldest)
            self.tell(oldest.peer, "too many connections without a token")
            oldest.drop()

    def leave(self, entry: Entry) -> None:
        """Remove a connection. Does nothing if it was removed already."""
        owner = self._owner_of.pop(entry, None)
        if owner is not None:
            del self._owners[owner][entry]
            if not self._owners[owner]:
                del self._owners[owner]
            return
        of_one = self._strangers.get(entry.peer, {})
        if entry in of_one:
            del of_one[entry]
            self._stranger_count -= 1
            if not of_one:
                del self._strangers[entry.peer]

    def prove(self, entry: Entry, owner: str) -> bool:
        """Note that a connection is authenticated.

        Returns:
            Whether there is room for it. Idle connections are closed to make room.
        """
        if entry in self._owner_of:
            return True
        if not self._has_room(owner):
            idle = next((each for each in self._fullest(owner) if not each.busy), None)
            if idle is None:
                self.tell(entry.peer, f"too many connections of {owner}")
                return False
            self.leave(idle)
            idle.drop()
        self.leave(entry)
        self._owners.setdefault(owner, {})[entry] = None
        self._owner_of[entry] = owner
        return True

    def _has_room(self, owner: str) -> bool:
        of_owner = len(self._owners.get(owner, ()))
        if owner == ADMINISTRATOR:
            return of_owner < self.administrator_most
        of_others = len(self._owner_of) - len(self._owners.get(ADMINISTRATOR, ()))
        return of_owner < self.user_most and of_others < self.others_most

    def _fullest(self, owner: str) -> dict[Entry, None]:
        """Return the connections one of which may be closed: the user's own, or the most."""
        own = self._owners.get(owner, {})
        if owner == ADMINISTRATOR or len(own) >= self.user_most:
            return own
        others = (each for name, each in self._owners.items() if name != ADMINISTRATOR)
        return max(others, key=len)

    def tell(self, peer: str, what: str) -> None:
        """Log why connections were closed: each reason once a minute, so that the log stays small.

        Args:
            peer: address of the other end.
            what: the reason, one of a few texts.
        """
        self._untold[what] += 1
        now = time.monotonic()
        if now - self._told_at.get(what, -_TOLD_EVERY_SECONDS) < _TOLD_EVERY_SECONDS:
            return
        self._told_at[what] = now
        count = self._untold.pop(what)
        log.warning("closed %d connections, the last from %s: %s", count, peer or "here", what)
