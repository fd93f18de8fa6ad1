"""Finds out which user a request's token belongs to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
)

from qsession_widget.runtime.http.middleware import access_log, connection_guard
from qsession_widget.runtime.http.requester import Requester
from qsession_widget.runtime.http.routes.ibm_cloud import TOKEN_PATH
from qsession_widget.wire import proof
from qsession_widget.wire.fields import ADMINISTRATOR

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from qsession_widget.runtime.auth.tokens import Tokens
    from qsession_widget.runtime.auth.user_registry import UserRegistry

_WITHOUT_A_TOKEN = frozenset({TOKEN_PATH, proof.PATH})
"""Paths of requests that come before a client has, or may show, a token."""


class TokenAuthentication(AuthenticationBackend):
    """Accepts `Authorization: Bearer TOKEN` and `Authorization: apikey TOKEN`."""

    def __init__(self, registry: UserRegistry, tokens: Tokens) -> None:
        self._registry, self._tokens = registry, tokens

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Return the user whose token a request brings.

        Raises:
            AuthenticationError: for a missing or wrong token, except on paths that take none.
            CrowdedError: if the user has too many connections.
        """
        if conn.scope["path"] in _WITHOUT_A_TOKEN:
            return None
        scheme, _, given = conn.headers.get("Authorization", "").partition(" ")
        owner = None
        if scheme.lower() in {"bearer", "apikey"}:
            owner = self._registry.owner_of(given)
            owner = owner or self._tokens.owner_of_issued(given, time.time())
        if owner is None:
            raise AuthenticationError
        access_log.note_owner(owner)
        connection_guard.prove(conn.scope, owner)
        scopes = [ADMINISTRATOR] if owner == ADMINISTRATOR else []
        return AuthCredentials(scopes), Requester(owner, self._registry)
