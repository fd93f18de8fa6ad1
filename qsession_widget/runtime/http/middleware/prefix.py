"""Lets the same routes answer below any prefix, and below any host's name.

The official client takes an API's address as it is only if it contains "experimental", derives
the addresses of IBM Cloud's other services by rules of its own, and, through an HTTP proxy, asks
for absolute URLs. What all of these have in common is the end of the path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send


class PrefixMiddleware:
    """Cuts off whatever stands before the first segment with which a route begins."""

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
        """Give a path without its prefix; one that leads nowhere stays as it is."""
        if not path.startswith("/"):
            path = urlsplit(path).path
        segments = path.split("/")
        for index, segment in enumerate(segments):
            if segment in self._heads:
                return "/" + "/".join(segments[index:])
        return path
