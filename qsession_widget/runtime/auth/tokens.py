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
    """Issues and verifies short-lived tokens, as IAM does in exchange for an API key.

    Each is signed with a key that derives from the runtime's token and the user's: nothing needs to
    be stored, and a token becomes invalid with the one that it was issued for.
    """

    def __init__(self, token: str, registry: UserRegistry) -> None:
        self._registry = registry
        self._key = hmac.digest(token.encode(), b"qsession identity token", hashlib.sha256)

    def issue(self, owner: str, now: float) -> dict[str, Any]:
        """Issue a token, as the JSON of POST /identity/token.

        Args:
            owner: the user that the token is for.
            now: seconds since 1970, in real time: the client judges the token's age by its own
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
        """Return the user of an issued token; None if it is unknown, altered or expired."""
        signed, _, signature = token.rpartition(".")
        body = signed.partition(".")[2]
        try:
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            owner = str(claims["sub"])
        except (binascii.Error, ValueError, TypeError, LookupError, RecursionError):
            return None
        # The user that it names decides with which key it must be signed.
        if not hmac.compare_digest(signature.encode(), self._signature(owner, signed).encode()):
            return None
        return owner if now < claims["exp"] else None

    def _signature(self, owner: str, signed: str) -> str:
        """Sign for a user; for an unknown one, with a key that is never used again."""
        of_owner = self._registry.hash_for(owner) or secrets.token_hex()
        key = hmac.digest(self._key, of_owner.encode(), hashlib.sha256)
        return _base64(hmac.digest(key, signed.encode(), hashlib.sha256))


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _segment(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())
