"""Makes the routes available below any prefix, and for absolute URLs.

The official client leaves an API's address as it is only if it contains "experimental", derives the
addresses of IBM Cloud's other services by its own rules, and requests absolute URLs through an HTTP
proxy. All of these have the end of the path in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send


class PrefixMiddleware:
    """Removes everything before the first segment with which a route begins."""

    def __init__(self, app: ASGIApp, routes: Iterable[Route]) -> None:
        """Wrap an application.

        Args:
            app: the application.
            routes: its routes, from the root.
        """
        self._app = app
        self._heads = {route.path.split("/")[1] for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] == "http":
            scope = {**scope, "path": self.cut(scope["path"])}
        await self._app(scope, receive, send)

    def cut(self, path: str) -> str:
        """Return a path without its prefix; a path that matches no route stays as it is."""
        if not path.startswith("/"):
            path = urlsplit(path).path
        segments = path.split("/")
        for index, segment in enumerate(segments):
            if segment in self._heads:
                return "/" + "/".join(segments[index:])
        return path
