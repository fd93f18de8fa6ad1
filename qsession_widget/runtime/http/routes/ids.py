"""Route that completes shortened ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from qsession_widget.runtime.http import errors, parsing
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.runtime.store import queries

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from qsession_widget.runtime.store.store import Store

KINDS = ("session", "job")
MOST = 11
"""How many ids are listed: one more than a message shows."""


@dataclass(frozen=True)
class IdRoutes:
    """The endpoint `/qsession/ids`."""

    store: Store

    def routes(self) -> list[Route]:
        """Return the route, relative to the API's prefix."""
        return [Route("/qsession/ids", self.complete)]

    async def complete(self, request: Request) -> Response:
        """GET /qsession/ids: list the user's ids of sessions or jobs that begin with a prefix."""
        kind = parsing.query_text(request.query_params, "kind") or KINDS[0]
        if kind not in KINDS:
            raise errors.bad_request(f"kind is {kind!r}.", "Allowed are 'session' and 'job'.")
        prefix = parsing.query_text(request.query_params, "prefix") or ""
        owner = parsing.owner(request)
        return JsonAnswer({"ids": await self.store.read(queries.ids, owner, kind, prefix, MOST)})
