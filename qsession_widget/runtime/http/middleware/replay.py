"""Recognises a repeated POST of a job or session whose first answer was never received.

IBM's client repeats a POST after errors such as 502 or 504, which a proxy sends when it has waited
too long, and sends no idempotency key. Users often send two equal jobs on purpose, so a request
counts as a repetition only if it is identical to one whose client had closed the connection before
the answer could be sent.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from starlette.datastructures import Headers
from starlette.requests import Request

from qsession_widget.wire.fields import IDEMPOTENCY_KEY

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS = frozenset({"/jobs", "/sessions"})
KEPT_SECONDS = 60.0
"""The client retries for a quarter of a minute."""

OK = 200
_MOST = 64


class _Unsent(NamedTuple):
    messages: list[Message]
    since: float


class ReplayMiddleware:
    """Keeps answers that could not be sent, and replays each to the next identical request."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        """Wrap an application, below authentication.

        Args:
            app: the application.
            max_body_bytes: the application rejects larger bodies.
        """
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._unsent: OrderedDict[bytes, _Unsent] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if (
            scope["type"] != "http"
            or (scope["method"], scope["path"] in PATHS) != ("POST", True)
            or IDEMPOTENCY_KEY in Headers(scope=scope)
        ):
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive)
        if self._unsent:
            await body.read_ahead(self._max_body_bytes)
            known = self._take(body.digest)
            for message in known:
                await send(message)
            if known:
                return
        answer: list[Message] = []

        async def kept(message: Message) -> None:
            answer.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                created = answer[0]["status"] == OK
                if created and await Request(scope, receive).is_disconnected():
                    self._keep(body.digest, answer)
            await send(message)

        await self._app(scope, body.receive, kept)

    def _keep(self, digest: bytes, answer: list[Message]) -> None:
        self._unsent[digest] = _Unsent(answer, time.monotonic())
        if len(self._unsent) > _MOST:
            self._unsent.popitem(last=False)

    def _take(self, digest: bytes) -> list[Message]:
        found = self._unsent.pop(digest, None)
        fresh = found is not None and time.monotonic() - found.since < KEPT_SECONDS
        return found.messages if found is not None and fresh else []


class _Body:
    """A request's body on its way to the application, and its digest."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._ahead: list[Message] = []
        self._hash = hashlib.sha256(f"{scope['user'].username} {scope['path']}\n".encode())

    @property
    def digest(self) -> bytes:
        """Digest of the owner, the path and the body so far."""
        return self._hash.digest()

    async def read_ahead(self, limit: int) -> None:
        """Read all of the body, or as much as is allowed."""
        size, more = 0, True
        while more and size <= limit:
            message = await self._next()
            self._ahead.append(message)
            size += len(message.get("body", b""))
            more = message.get("more_body", False)

    async def receive(self) -> Message:
        """Return the next message (ASGI)."""
        return self._ahead.pop(0) if self._ahead else await self._next()

    async def _next(self) -> Message:
        message = await self._receive()
        self._hash.update(message.get("body", b""))
        return message
