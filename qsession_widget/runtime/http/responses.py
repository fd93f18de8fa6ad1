"""JSON responses of the REST API, and those with a text that may be large."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.types import Receive, Scope, Send

LARGE_CHARACTERS = 2**20
"""A longer text is sent in parts of this length, between which other requests have their turn."""


class JsonAnswer(JSONResponse):
    """A JSON response, encoded fast enough that a large result does not delay other requests."""

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return msgspec.json.encode(content)


class LongAnswer(Response):
    """A text that is sent in parts, as fast as the client reads it.

    Args:
        text: the text.
        sent: is called once it is sent, or cannot be.
        before: what comes before it.
        after: what comes after it.
        escaped: whether it is to be written as the inside of a string of JSON.
        headers: further headers.
        media_type: of it all.
    """

    def __init__(
        self,
        text: str,
        sent: Callable[[], None],
        *,
        before: bytes = b"",
        after: bytes = b"",
        escaped: bool = False,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/json",
    ) -> None:
        super().__init__(headers=headers, media_type=media_type)
        # In place of the empty body's: without a length the answer is sent in chunks.
        del self.headers["content-length"]
        if text.isascii() and not escaped:
            self.headers["content-length"] = str(len(before) + len(text) + len(after))
        self._text, self._sent = text, sent
        self._before, self._after, self._escaped = before, after, escaped

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it (ASGI)."""
        del scope, receive
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            for part in self._parts():
                await send({"type": "http.response.body", "body": part, "more_body": True})
                # Where the client reads fast, sending does not wait.
                await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._sent()

    def _parts(self) -> Iterator[bytes]:
        yield self._before
        for start in range(0, len(self._text), LARGE_CHARACTERS):
            part = self._text[start : start + LARGE_CHARACTERS]
            yield msgspec.json.encode(part)[1:-1] if self._escaped else part.encode()
        yield self._after
