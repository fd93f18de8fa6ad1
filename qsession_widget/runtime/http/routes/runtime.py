"""Routes of the runtime itself: what it is and can do, and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from qsession_widget.runtime.http import parsing, serializers
from qsession_widget.runtime.http.requester import is_administrator, require_administrator
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.wire import processes

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.control.coordinator import Coordinator
    from qsession_widget.runtime.device_catalog import Catalog
    from qsession_widget.runtime.settings import Settings

FEATURES = ["beats", "holders", "ids", "interim", "outcome", "transpile", "wait", "watch"]
"""What the runtime can do beyond IBM's API, for its clients."""


@dataclass(frozen=True)
class RuntimeRoutes:
    """The endpoints `/qsession` and `/qsession/shutdown`.

    Attributes:
        version: of the package.
        shut_down: asks the server to end.
    """

    settings: Settings
    clock: Clock
    catalog: Catalog
    coordinator: Coordinator
    version: str
    shut_down: Callable[[], None]

    def routes(self) -> list[Route]:
        """Return every route, relative to the API's prefix."""
        return [
            Route("/qsession", self.read_runtime),
            Route("/qsession/shutdown", self.shutdown, methods=["POST"]),
        ]

    async def read_runtime(self, request: Request) -> Response:
        """GET /qsession: describe the runtime, and what it can do beyond IBM's API."""
        # Only the administrator may know how many sessions other users have.
        owner = None if is_administrator(request) else parsing.owner(request)
        return JsonAnswer(
            {
                "name": "qsession-widget",
                "version": self.version,
                "features": FEATURES,
                "programs": self.settings.programs,
                "machine": processes.machine_mark(),
                "max_session_seconds": self.settings.max_session_seconds,
                "now": serializers.instant(self.clock.now()),
                "rate": self.clock.rate,
                "policy": self.coordinator.policy,
                "queues": {
                    name: length
                    for name in self.catalog.names()
                    if (length := self.coordinator.queue_length(name))
                },
                "sessions": len(self.coordinator.sessions(owner)),
            }
        )

    async def shutdown(self, request: Request) -> Response:
        """POST /qsession/shutdown: stop the runtime; unfinished jobs continue at its next start."""
        require_administrator(request)
        self.shut_down()
        return Response(status_code=202)
