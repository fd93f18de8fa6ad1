"""Short-lived bearer tokens, as IBM Cloud's IAM issues them for API keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any

from qsession_widget.wire.fields import INSTANCE_NAME

if TYPE_CHECKING:
    from qsession_widget.runtime.auth.user_registry import UserRegistry

TOKEN_SECONDS = 3600


class Tokens:
    """The short-lived tokens that IAM gives out for the tokens of this runtime.

    Each is signed with a key that derives from the runtime's token and its owner's, so that nothing
    needs to be remembered, and they end with the token that they were given for.
    """

    def __init__(self, token: str, registry: UserRegistry) -> None:
        self._registry = registry
        self._key = hmac.digest(token.encode(), b"qsession identity token", hashlib.sha256)

    def issue(self, owner: str, now: float) -> dict[str, Any]:
        """Give the JSON of POST /identity/token.

        Args:
            owner: whom the token is for.
            now: seconds since 1970, in real time: the client reads the token's life by its own
                clock.
        """
        issued = int(now)
        expires = issued + TOKEN_SECONDS
        head = _segment({"alg": "HS256", "typ": "JWT"})
        body = _segment({"sub": owner, "iat": issued, "exp": expires, "iss": INSTANCE_NAME})
        signed = f"{head}.{body}"
        return {
            "access_token": f"{signed}.{self._signature(owner, signed)}",
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "expiration": expires,
            "scope": "ibm openid",
        }

    def owner_of_issued(self, token: str, now: float) -> str | None:
        """Say for whom a token was issued; None for one that is foreign, altered or too old."""
        signed, _, signature = token.rpartition(".")
        body = signed.partition(".")[2]
        try:
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            owner = str(claims["sub"])
        except (binascii.Error, ValueError, TypeError, LookupError, RecursionError):
            return None
        # Whose it says that it is decides by which key it has to be signed.
        if not hmac.compare_digest(signature.encode(), self._signature(owner, signed).encode()):
            return None
        return owner if now < claims["exp"] else None

    def _signature(self, owner: str, signed: str) -> str:
        """Sign for an owner; for one who is not known with a key that nobody has used."""
        of_owner = self._registry.hash_for(owner) or secrets.token_hex()
        key = hmac.digest(self._key, of_owner.encode(), hashlib.sha256)
        return _base64(hmac.digest(key, signed.encode(), hashlib.sha256))


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _segment(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())
