"""JSON responses of the REST API, and those whose text may be large."""

from __future__ import annotations

import asyncio
import codecs
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response

from qsession_widget.runtime.http import kept_answers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from starlette.types import Receive, Scope, Send


class JsonAnswer(JSONResponse):
    """A JSON response, encoded fast enough that a large result does not delay other requests."""

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return msgspec.json.encode(content)


class LongAnswer(Response):
    """A long text that is sent in pieces, as fast as the client reads it.

    Other requests have their turn between the pieces.

    Args:
        pieces: the text, in UTF-8.
        sent: is called once it is sent, or cannot be.
        before: what comes before it.
        after: what comes after it.
        escaped: whether it is to be written as the inside of a string of JSON.
        headers: further headers.
        media_type: of the response.
        heard: is awaited with whether the client hung up as soon as it was sent.
    """

    def __init__(
        self,
        pieces: Sequence[bytes | memoryview],
        sent: Callable[[], None],
        *,
        before: bytes = b"",
        after: bytes = b"",
        escaped: bool = False,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/json",
        heard: Callable[[bool], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(headers=headers, media_type=media_type)
        # In place of the empty body's: without a length the answer is sent in chunks.
        del self.headers["content-length"]
        if not escaped:
            self.headers["content-length"] = str(len(before) + sum(map(len, pieces)) + len(after))
        self._pieces, self._sent = pieces, sent
        self._before, self._after, self._escaped = before, after, escaped
        self._heard = heard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it (ASGI)."""
        del scope
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
            if self._heard is None:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await kept_answers.end(receive, send, self._heard)
        finally:
            self._sent()

    def _parts(self) -> Iterator[bytes]:
        yield self._before
        if self._escaped:
            # A piece may end within a character.
            decoder = codecs.getincrementaldecoder("utf-8")()
            for piece in self._pieces:
                yield msgspec.json.encode(decoder.decode(piece))[1:-1]
        else:
            yield from map(bytes, self._pieces)
        yield self._after
