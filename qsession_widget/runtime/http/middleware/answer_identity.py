"""Labels each response with what it is the response to, so that clients can detect mix-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders

from qsession_widget.wire.fields import CONTENT_LOCATION, IDEMPOTENCY_KEY

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OK = 200


class AnswerIdentityMiddleware:
    """Adds its path to the response of a GET, and the idempotency key to that of a POST."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application, inside of `PrefixMiddleware`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        name = _name(scope)
        if name is None:
            await self._app(scope, receive, send)
            return

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == OK:
                MutableHeaders(scope=message).append(*name)
            await send(message)

        await self._app(scope, receive, named)


def _name(scope: Scope) -> tuple[str, str] | None:
    if scope["type"] != "http":
        return None
    if scope["method"] == "GET":
        return CONTENT_LOCATION, quote(scope["path"])
    key = Headers(scope=scope).get(IDEMPOTENCY_KEY)
    return None if key is None else (IDEMPOTENCY_KEY, key)
