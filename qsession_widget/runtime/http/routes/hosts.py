"""Route by which the administrator lets a host of the cluster leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.http import errors, parsing
from qsession_widget.runtime.http.requester import require_administrator
from qsession_widget.runtime.http.responses import JsonAnswer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from qsession_widget.runtime.control.coordinator import Coordinator


@dataclass(frozen=True)
class HostRoutes:
    """The endpoint `/qsession/hosts/drain`, for the administrator only."""

    coordinator: Coordinator

    def routes(self) -> list[Route]:
        """Return the route, relative to the API's prefix."""
        return [Route("/qsession/hosts/drain", self.drain, methods=["POST"])]

    async def drain(self, request: Request) -> Response:
        """POST /qsession/hosts/drain: give a host no more jobs, and let it leave after its last.

        To ask again changes nothing.
        """
        require_administrator(request)
        body = await parsing.body(request, bounds.SMALL_BODY_BYTES)
        host = parsing.optional_text(body, "host")
        if not host:
            raise errors.bad_request("host is missing.", "Name the host, or its address.")
        count = self.coordinator.drain(host)
        if not count:
            raise errors.host_not_found(host)
        return JsonAnswer({"hosts": count})
