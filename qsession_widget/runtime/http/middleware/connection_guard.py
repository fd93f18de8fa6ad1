"""Limits what a connection may use of the server: memory and time."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from qsession_widget.runtime.http.middleware.connection_pool import ConnectionPool, CrowdedError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from starlette.types import Scope

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 64 * 1024
"""Largest head of a request: its first line, its headers, and what may follow a chunked body."""

MAX_HEADERS = 128
"""Most headers of a request; IBM's client sends about a dozen."""

MAX_PIPELINED = 16
"""Most requests that a connection may send before the first of them is answered."""

HEAD_SECONDS = 10.0
"""Time limit for a head, a TLS handshake, and a stranger's next request."""

BODY_SECONDS = 30.0
"""Time within which `BODY_BYTES` of a body have to come, or some of a response to be read."""

BODY_BYTES = 4_096
"""Least number of bytes of a body that have to come in `BODY_SECONDS`."""

_AFTER_FAILURE_SECONDS = 0.1
_EXTENSION = "qsession.connection"


def prove(scope: Scope, owner: str) -> None:
    """Note that a request has brought a valid token.

    Raises:
        CrowdedError: if its user has too many connections.
    """
    connection = scope.get("extensions", {}).get(_EXTENSION)
    if connection is not None and not connection.prove(owner):
        raise CrowdedError(f"{owner} has too many connections")


class GuardedProtocol(HttpToolsProtocol):
    """Uvicorn's connection, with limits of size and time.

    Args:
        connections: the pool of all connections.
        given: uvicorn's arguments.
    """

    def __init__(self, connections: ConnectionPool, **given: Any) -> None:
        super().__init__(**given)
        self.all = connections
        self.proven = False
        self._lasting_keep_alive = self.timeout_keep_alive
        self.timeout_keep_alive = int(HEAD_SECONDS)
        self._head_bytes = 0
        self._heads = 0
        self._parts = 0
        self._receiving = False
        self._received = 0
        self._incoming: asyncio.TimerHandle | None = None
        self._outgoing: asyncio.TimerHandle | None = None
        self._refused: tuple[int, str] | None = None

    @property
    def peer(self) -> str:
        """Address of the other end."""
        return self.client[0] if self.client else ""

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def drop(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def prove(self, owner: str) -> bool:
        """Note that a request has brought a valid token, and return whether there is room."""
        if not self.proven:
            self.proven = self.all.prove(self, owner)
            if self.proven:
                self.timeout_keep_alive = self._lasting_keep_alive
        return self.proven

    # -- callbacks of the transport --------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to wait for a request."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.all.enter(self)
        self._expect(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the pool."""
        self._cancel_timers()
        self.all.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data, within limits."""
        if self._refused is not None or self.parser is None:
            return
        was_receiving, heads, parts = self._receiving, self._heads, self._parts
        super().data_received(data)
        if self.parser is None or self.transport.is_closing():
            return
        if self._heads == heads and self._parts == parts and (self._receiving or not was_receiving):
            # Neither the end of a head nor part of a body: more of a head, or the framing of a
            # chunked body.
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_head()
            elif self._incoming is None:
                self._expect(BODY_SECONDS if self._receiving else HEAD_SECONDS)
            return
        self._head_bytes = 0
        if self._heads != heads:
            self._stop_expecting()
        if not self._receiving:
            self._stop_expecting()
        else:
            self._received += len(data)
            if self._incoming is None:
                self._received = 0
                self._expect(BODY_SECONDS)

    def pause_writing(self) -> None:
        """Wait until the other end reads, for a limited time."""
        super().pause_writing()
        if self._outgoing is None:
            self._watch_writing(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Go on writing, since the other end reads."""
        super().resume_writing()
        if self._outgoing is not None:
            self._outgoing.cancel()
            self._outgoing = None

    # -- callbacks of the parser -----------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        extensions: Any = {_EXTENSION: self}
        self.scope["extensions"] = extensions

    def on_url(self, url: bytes) -> None:
        """Add a part of the URL."""
        super().on_url(url)
        if len(self.url) > MAX_HEAD_BYTES:
            self._refuse_head_in_parser()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        if len(self.headers) >= MAX_HEADERS:
            self._refused = 431, f"The request has more than {MAX_HEADERS} headers."
            raise _RefusedError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start to answer the request."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._refuse_head_in_parser()
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refused = 400, f"More than {MAX_PIPELINED} requests wait for their answers here."
            raise _RefusedError
        super().on_headers_complete()
        self._heads += 1
        self._receiving = True

    def on_body(self, body: bytes) -> None:
        """Add a part of a body."""
        self._parts += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        self._receiving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Reject a request that cannot be parsed or is too large."""
        status, text = self._refused or (400, msg)
        self._refused = status, text
        self._cancel_timers()
        self.all.tell(self.peer, text)
        error = {"code": 1200, "message": text, "solution": "", "more_info": ""}
        body = json.dumps({"trace": "", "errors": [error]}).encode()
        self.transport.write(
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
            + body
        )
        self.transport.close()

    # -- limits ---------------------------------------------------------------------------

    def _refuse_head_in_parser(self) -> None:
        self._refused = 431, f"The request's head is larger than {MAX_HEAD_BYTES} bytes."
        raise _RefusedError

    def _refuse_head(self) -> None:
        self._refused = 431, f"The request's head is larger than {MAX_HEAD_BYTES} bytes."
        self.send_400_response("")

    def _expect(self, seconds: float) -> None:
        self._incoming = self.loop.call_later(seconds, self._too_slow)

    def _stop_expecting(self) -> None:
        if self._incoming is not None:
            self._incoming.cancel()
            self._incoming = None

    def _too_slow(self) -> None:
        """Close a connection whose request does not come, unless reading is paused."""
        self._incoming = None
        enough = self._received >= BODY_BYTES or self.flow.read_paused
        if self._receiving and enough:
            self._received = 0
            self._expect(BODY_SECONDS)
            return
        what = "its body" if self._receiving else "a request"
        self.all.tell(self.peer, f"{what} did not come in time")
        self.drop()

    def _watch_writing(self, before: int) -> None:
        def look() -> None:
            now = self.transport.get_write_buffer_size()
            if now < before:
                self._watch_writing(now)
                return
            self.all.tell(self.peer, "the answer was not read")
            self.drop()

        self._outgoing = self.loop.call_later(BODY_SECONDS, look)

    def _cancel_timers(self) -> None:
        self._stop_expecting()
        if self._outgoing is not None:
            self._outgoing.cancel()
            self._outgoing = None


class _RefusedError(Exception):
    """Stops the parser, since a limit is exceeded."""


class Handshake:
    """A connection during its TLS handshake; it counts as a stranger's from the start.

    Args:
        connections: the pool of all connections.
        accepted: the connection's socket.
        peer: address of the other end.
    """

    def __init__(self, connections: ConnectionPool, accepted: socket.socket, peer: str) -> None:
        self._all = connections
        self._socket = accepted
        self._task: asyncio.Task[None] | None = None
        self.peer = peer
        self.busy = False

    def drop(self) -> None:
        """Close the connection at once."""
        if self._task is not None:
            self._task.cancel()

    def begin(self, make: Callable[[], GuardedProtocol], context: ssl.SSLContext) -> None:
        """Start the handshake, and hand the connection to a protocol afterwards.

        Args:
            make: creates the protocol.
            context: of TLS.
        """
        self._all.enter(self)
        self._task = asyncio.get_running_loop().create_task(self._shake_hands(make, context))

    async def _shake_hands(
        self, make: Callable[[], GuardedProtocol], context: ssl.SSLContext
    ) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                make, self._socket, ssl=context, ssl_handshake_timeout=HEAD_SECONDS
            )
        except (OSError, TimeoutError) as error:
            self._all.tell(self.peer, f"no TLS: {type(error).__name__}")
            self._socket.close()
        except asyncio.CancelledError:
            self._socket.close()
        finally:
            self._all.leave(self)


async def accept_tls(
    connections: ConnectionPool,
    listener: socket.socket,
    make: Callable[[], GuardedProtocol],
    context: ssl.SSLContext,
) -> None:
    """Accept connections for TLS until cancelled.

    A server of asyncio tells its protocols of a connection only after the handshake.

    Args:
        connections: the pool of all connections.
        listener: the listening socket.
        make: creates the protocol of a connection.
        context: of TLS.
    """
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    while True:
        try:
            accepted, address = await loop.sock_accept(listener)
        except OSError as error:
            # The next one may succeed, for example if the other end had hung up already.
            connections.tell("", f"not accepted: {type(error).__name__}")
            await asyncio.sleep(_AFTER_FAILURE_SECONDS)
            continue
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Handshake(connections, accepted, str(address[0])).begin(make, context)
