"""Who may use a runtime: its administrator, and the users that were added.

A user's token is shown once, when he is added, and kept as its SHA-256 alone. It is random, so that
nothing slower than a plain hash is needed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qsession_widget.runtime.model.user import User

ADMINISTRATOR = "owner"
"""Name of whom the discovery file's token belongs to, and scope of what only he may do."""


def hash_of(token: str) -> str:
    """Give the form in which a token is kept."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class UserRegistry:
    """The tokens that are good at this moment, by their hashes."""

    def __init__(self, token: str, users: Iterable[User] = ()) -> None:
        """Take the administrator's token, and the users of the store."""
        self._users = {user.name: user for user in users}
        self._hashes = {ADMINISTRATOR: hash_of(token)}
        self._hashes |= {user.name: user.token_hash for user in self._users.values()}
        self._names = {token_hash: name for name, token_hash in self._hashes.items()}

    @property
    def users(self) -> list[User]:
        """Who was added, by name."""
        return [self._users[name] for name in sorted(self._users)]

    @property
    def several(self) -> bool:
        """Whether anybody was added."""
        return bool(self._users)

    def owner_of(self, token: str) -> str | None:
        """Say whose token it is; None for a foreign one.

        How long that takes tells nothing of any token: it is found by its hash.
        """
        return self._names.get(hash_of(token))

    def hash_for(self, name: str) -> str | None:
        """Give the hash of somebody's present token; None for whom nobody knows."""
        return self._hashes.get(name)

    def add(self, user: User) -> None:
        """Let a user in."""
        self._users[user.name] = user
        self._hashes[user.name] = user.token_hash
        self._names[user.token_hash] = user.name

    def remove(self, name: str) -> None:
        """Keep a user out, from now on."""
        del self._users[name]
        del self._names[self._hashes.pop(name)]
