"""The users of a runtime: its administrator, and those that were added.

A token is shown once, when its user is added, and only its SHA-256 is kept. Since tokens are
random, a slower hash is not needed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from qsession_widget.wire.fields import ADMINISTRATOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qsession_widget.runtime.model.user import User


def hash_of(token: str) -> str:
    """Return the hash of a token, which is stored instead of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class UserRegistry:
    """The users and the hashes of their valid tokens."""

    def __init__(self, token: str, users: Iterable[User] = ()) -> None:
        """Start with the administrator's token, and the users in the store."""
        self._users = {user.name: user for user in users}
        self._hashes = {ADMINISTRATOR: hash_of(token)}
        self._hashes |= {user.name: user.token_hash for user in self._users.values()}
        self._names = {token_hash: name for name, token_hash in self._hashes.items()}

    @property
    def users(self) -> list[User]:
        """The users that were added, sorted by name."""
        return [self._users[name] for name in sorted(self._users)]

    @property
    def several(self) -> bool:
        """Whether there are users besides the administrator."""
        return bool(self._users)

    def owner_of(self, token: str) -> str | None:
        """Return the user of a token, None if it is unknown.

        The look-up is by hash, so that its duration reveals nothing about other tokens.
        """
        return self._names.get(hash_of(token))

    def hash_for(self, name: str) -> str | None:
        """Return the hash of a user's present token, None for an unknown user."""
        return self._hashes.get(name)

    def add(self, user: User) -> None:
        """Add a user."""
        self._users[user.name] = user
        self._hashes[user.name] = user.token_hash
        self._names[user.token_hash] = user.name

    def remove(self, name: str) -> None:
        """Remove a user: their token is no longer valid."""
        del self._users[name]
        del self._names[self._hashes.pop(name)]
