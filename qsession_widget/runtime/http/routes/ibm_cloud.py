"""Routes that IBM Cloud has around the REST API: IAM, Global Search, Global Catalog, resources.

The official client calls them before its first job: it exchanges its API key for a bearer token,
and looks up the instances of its account. Here the API key is a token of this runtime, and there
is one instance.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.http import errors, parsing
from qsession_widget.runtime.http.middleware import connection_guard
from qsession_widget.runtime.http.middleware.connection_pool import CrowdedError
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.wire.fields import INSTANCE_CRN, INSTANCE_NAME

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from qsession_widget.runtime.auth.tokens import Tokens
    from qsession_widget.runtime.auth.user_registry import UserRegistry

TOKEN_PATH = "/identity/token"  # noqa: S105 - a path, no secret
PLAN_ID = "qsession-local-plan"
GRANT_TYPE = "urn:ibm:params:oauth:grant-type:apikey"

_MAX_FORM_BYTES = 8 * 1024
"""The most that is read without a token."""

_INSTANCE = {"id": INSTANCE_CRN, "crn": INSTANCE_CRN, "name": INSTANCE_NAME}


class IbmCloudRoutes:
    """The endpoints of IBM Cloud that the official client calls."""

    def __init__(self, registry: UserRegistry, tokens: Tokens) -> None:
        self._registry, self._tokens = registry, tokens

    def routes(self) -> list[Route]:
        """Return every route, relative to any prefix."""
        return [
            Route(TOKEN_PATH, self.issue_token, methods=["POST"]),
            Route("/v3/resources/search", self.search, methods=["POST"]),
            Route(f"/{PLAN_ID}", self.read_plan),
            Route("/v2/resource_instances", self.list_instances),
            Route("/v2/resource_instances/{crn:path}", self.read_instance),
        ]

    async def issue_token(self, request: Request) -> Response:
        """POST /identity/token: exchange a token for a bearer token, as IAM does."""
        raw = bytearray()
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > _MAX_FORM_BYTES:
                raise errors.body_too_large(_MAX_FORM_BYTES)
        form = parse_qs(raw.decode("ascii", "replace"))
        owner = self._registry.owner_of("".join(form.get("apikey", [])))
        if form.get("grant_type") != [GRANT_TYPE] or owner is None:
            # IAM's own shape and status. The key is neither kept nor logged: it may belong to a
            # real account, if the process's IAM_URL was set for this runtime.
            return JsonAnswer(
                {
                    "errorCode": "BXNIM0415E",
                    "errorMessage": (
                        "This is a local runtime of qsession-widget, and the API key is not one of "
                        "its tokens. `qsession connect` prints the right one. For an account at "
                        "IBM unset IAM_URL, GLOBAL_SEARCH_URL and GLOBAL_CATALOG_URL."
                    ),
                },
                status_code=400,
            )
        with suppress(CrowdedError):
            # The token is valid, on any connection.
            connection_guard.prove(request.scope, owner)
        return JsonAnswer(self._tokens.issue(owner, time.time()))

    async def search(self, request: Request) -> Response:
        """POST /v3/resources/search: find the one instance, as Global Search does."""
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
        """GET /{plan id}: read the plan of the instance, as the Global Catalog does."""
        return JsonAnswer(
            {
                "id": PLAN_ID,
                "overview_ui": {"en": {"display_name": "Internal"}},
                "metadata": {"pricing": {"type": "free"}},
            }
        )

    async def list_instances(self, request: Request) -> Response:
        """GET /v2/resource_instances: list the instances, all or those of a name."""
        wanted = request.query_params.get("name", INSTANCE_NAME)
        found = [_INSTANCE] if wanted == INSTANCE_NAME else []
        return JsonAnswer({"rows_count": len(found), "resources": found})

    async def read_instance(self, request: Request) -> Response:
        """GET /v2/resource_instances/{crn}: read an instance."""
        crn = request.path_params["crn"]
        if crn != INSTANCE_CRN:
            raise errors.Problem(
                404, 1291, f"Instance not found: {crn:.80}", f"The only one is {INSTANCE_CRN}."
            )
        return JsonAnswer(_INSTANCE)
