"""What IBM Cloud has around the REST API: IAM, Global Search, Global Catalog, resources.

The official client asks them before its first job: it exchanges its API key for a bearer token,
and looks up the instances of its account. Here the API key is a token of this runtime, and there
is one instance.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
)
from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.auth.user_registry import ADMINISTRATOR, UserRegistry
from qsession_widget.runtime.http import errors, parsing
from qsession_widget.runtime.http.middleware import access_log, connection_guard
from qsession_widget.runtime.http.requester import Requester
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.wire import proof
from qsession_widget.wire.fields import INSTANCE_CRN, INSTANCE_NAME

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

TOKEN_PATH = "/identity/token"  # noqa: S105 - a path, no secret
PLAN_ID = "qsession-local-plan"
TOKEN_SECONDS = 3600
GRANT_TYPE = "urn:ibm:params:oauth:grant-type:apikey"

_MAX_FORM_BYTES = 8 * 1024
"""Of what is read without a token."""
_WITHOUT_A_TOKEN = frozenset({TOKEN_PATH, proof.PATH})
"""Paths of requests that come before any token may be shown."""


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


class TokenAuthentication(AuthenticationBackend):
    """Takes `Authorization: Bearer TOKEN` and `apikey TOKEN`, and nothing else."""

    def __init__(self, registry: UserRegistry, tokens: Tokens) -> None:
        self._registry, self._tokens = registry, tokens

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Say whose token it is.

        Raises:
            AuthenticationError: for a missing or wrong token, except where one is asked for.
            CrowdedError: where its user has as many connections as they may have.
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


class Cloud:
    """The endpoints."""

    def __init__(self, registry: UserRegistry, tokens: Tokens) -> None:
        self._registry, self._tokens = registry, tokens

    def routes(self) -> list[Route]:
        """Give every route, relative to any prefix."""
        return [
            Route(TOKEN_PATH, self.issue_token, methods=["POST"]),
            Route("/v3/resources/search", self.search, methods=["POST"]),
            Route(f"/{PLAN_ID}", self.read_plan),
            Route("/v2/resource_instances", self.list_instances),
            Route("/v2/resource_instances/{crn:path}", self.read_instance),
        ]

    async def issue_token(self, request: Request) -> Response:
        """POST /identity/token: a bearer token for a token of this runtime."""
        raw = bytearray()
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > _MAX_FORM_BYTES:
                raise errors.body_too_large(_MAX_FORM_BYTES)
        form = parse_qs(raw.decode("ascii", "replace"))
        owner = self._registry.owner_of("".join(form.get("apikey", [])))
        if form.get("grant_type") != [GRANT_TYPE] or owner is None:
            # IAM's own shape and status. The key is neither kept nor logged: it may be one of a
            # real account, in a process whose IAM_URL was set for this runtime.
            return JsonAnswer(
                {
                    "errorCode": "BXNIM0415E",
                    "errorMessage": (
                        "This is a local runtime of qsession-widget, and the API key is none of "
                        "its tokens. `qsession connect` prints the right one. For an account at "
                        "IBM unset IAM_URL, GLOBAL_SEARCH_URL and GLOBAL_CATALOG_URL."
                    ),
                },
                status_code=400,
            )
        with suppress(connection_guard.CrowdedError):
            # The token is good, wherever it is shown next.
            connection_guard.prove(request.scope, owner)
        return JsonAnswer(self._tokens.issue(owner, time.time()))

    async def search(self, request: Request) -> Response:
        """POST /v3/resources/search: the one instance."""
        await parsing.body(request, bounds.SMALL_BODY_BYTES)
        item = {
            "crn": INSTANCE_CRN,
            "name": INSTANCE_NAME,
            "service_plan_unique_id": PLAN_ID,
            "tags": ["local"],
            # The client leaves out instances without an allocation.
            "doc": {"extensions": [{"allocation": "unlimited"}]},
        }
        return JsonAnswer({"items": [item], "limit": 100})

    async def read_plan(self, _request: Request) -> Response:
        """GET /{plan id}: of all plans that the client knows, "internal" is nearest to ours."""
        return JsonAnswer(
            {
                "id": PLAN_ID,
                "overview_ui": {"en": {"display_name": "Internal"}},
                "metadata": {"pricing": {"type": "free"}},
            }
        )

    async def list_instances(self, request: Request) -> Response:
        """GET /v2/resource_instances: all, or those of a name."""
        wanted = request.query_params.get("name", INSTANCE_NAME)
        found = [_INSTANCE] if wanted == INSTANCE_NAME else []
        return JsonAnswer({"rows_count": len(found), "resources": found})

    async def read_instance(self, request: Request) -> Response:
        """GET /v2/resource_instances/{crn}."""
        crn = request.path_params["crn"]
        if crn != INSTANCE_CRN:
            raise errors.Problem(
                404, 1291, f"Instance not found: {crn:.80}", f"The only one is {INSTANCE_CRN}."
            )
        return JsonAnswer(_INSTANCE)


_INSTANCE = {"id": INSTANCE_CRN, "crn": INSTANCE_CRN, "name": INSTANCE_NAME}


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _segment(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())
