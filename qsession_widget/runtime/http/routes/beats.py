"""Route by which programs report that they live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.http import errors, parsing
from qsession_widget.runtime.http.responses import JsonAnswer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from qsession_widget.runtime.control.coordinator import Coordinator


@dataclass(frozen=True)
class BeatRoutes:
    """The endpoint `/qsession/beats`."""

    coordinator: Coordinator

    def routes(self) -> list[Route]:
        """Return the route, relative to the API's prefix."""
        return [Route("/qsession/beats", self.beat, methods=["POST"])]

    async def beat(self, request: Request) -> Response:
        """POST /qsession/beats: a program that uses sessions reports that it lives.

        The answer says how often it should, and how many of the user's open sessions it uses: with
        none, it may stop.
        """
        body = await parsing.body(request, bounds.SMALL_BODY_BYTES)
        process = parsing.process(body)
        if not process:
            raise errors.bad_request("process is missing.", "Name the program that reports.")
        every_seconds, sessions = self.coordinator.beat(parsing.owner(request), process)
        return JsonAnswer({"every_seconds": every_seconds, "sessions": sessions})
