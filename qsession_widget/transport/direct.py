"""HTTP/1.1 to servers on this machine, without the layers that only remote servers need.

Between two jobs of a loop a user waits for two requests. For each, the layers of requests and
urllib3 (cookies, redirects, proxies, settings of the environment) take three times as long as the
connection itself. Importing them takes a tenth of a second.
"""

from __future__ import annotations

import select
import socket
import weakref
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import httptools

from qsession_widget.support import forking
from qsession_widget.transport.answers import Answer, BrokenError, UnsendableError
from qsession_widget.transport.identity import demand, token_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qsession_widget.transport.answers import Auth

_MOST_IDLE = 32
"""How many idle connections are kept for each server."""

_READ_BYTES = 65_536
_MOST_HEAD_BYTES = 131_072
_JOINED_BYTES = 65_536
"""A longer body is sent after its head, and not copied."""

_HTTP = "http://"
_WITHOUT_BODY = frozenset({204, 304})
_INTERIM = range(100, 200)
_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests give the length of their body, even if it is empty."""


class Headers(dict[str, str]):
    """Headers by name in any case; those that come several times are joined by commas."""

    def add(self, name: str, value: str) -> None:
        """Add one."""
        name = name.lower()
        known = super().get(name)
        self[name] = value if known is None else f"{known}, {value}"

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header, or the default."""
        return super().get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())


class _Outgoing:
    """The headers of a request, to which authentication adds its own."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers: dict[str, str] = dict(headers)


class DirectConnections:
    """Connections to servers on this machine, shared by any number of threads.

    Args:
        proven: whether a server has to prove that it knows the token before the token is sent.
    """

    def __init__(self, *, proven: bool) -> None:
        self._proven = proven
        self._idle: dict[str, deque[_Line]] = {}
        self._era = 0
        weakref.finalize(self, _hang_up, self._idle).atexit = False
        forking.heed(self)

    def after_fork(self) -> None:
        """Open new connections: on the parent's, both would read each other's responses."""
        self.close()

    def close(self) -> None:
        """Close those that are idle; those in use are closed after their response."""
        self._era += 1
        _hang_up(self._idle)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        auth: Auth,
        timeout: tuple[float, float],
        params: Mapping[str, Any] | None = None,
        data: bytes | None = None,
        stream: bool = False,
    ) -> Answer:
        """Send a request.

        Args:
            method: HTTP method.
            url: address, with `http://`.
            headers: headers besides those of the connection and the authentication.
            auth: adds the authentication.
            timeout: seconds for connecting, and for each part of the response to come.
            params: query; lists are repeated keys.
            data: body.
            stream: whether the caller reads the body, and has to close the response.

        Raises:
            BrokenError: if there is no connection, or it breaks.
            UnsendableError: for a request that has no form in HTTP.
        """
        place, slash, path = url.removeprefix(_HTTP).partition("/")
        target = slash + path or "/"
        if params:
            target += f"?{urlencode(params, doseq=True)}"
        outgoing = _Outgoing(headers)
        auth(outgoing)
        if data is not None or method in _WITH_LENGTH:
            outgoing.headers["Content-Length"] = str(len(data or b""))
        head = _head(method, target, place, outgoing.headers)
        line = self._line(place, outgoing.headers, timeout[0])
        try:
            line.send(head, data, timeout[1])
            answer = line.receive(f"{method} /{path}", outgoing.headers.get("Authorization"))
            if not stream:
                _ = answer.content
        except BaseException:
            # After an interrupt, too: no later request may read the rest of this response.
            line.close()
            raise
        return answer

    def _line(self, place: str, headers: Mapping[str, str], connect_seconds: float) -> _Line:
        """Return an idle connection, or a new one."""
        idle = self._idle.setdefault(place, deque())
        while True:
            try:
                line = idle.pop()
            except IndexError:
                break
            if not line.is_stale():
                return line
            line.close()
        token = token_in(headers) if self._proven else None
        return _Line(_connected(place, connect_seconds, token), self, place)

    def take_back(self, line: _Line, place: str, era: int) -> None:
        """Keep a connection whose response has come."""
        idle = self._idle.get(place)
        if era != self._era or idle is None or len(idle) >= _MOST_IDLE:
            line.close()
            return
        idle.append(line)
        if era != self._era:
            # Another thread has closed the connections meanwhile.
            _hang_up(self._idle)

    @property
    def era(self) -> int:
        """How often the connections were closed."""
        return self._era


class _Line:
    """One connection, with the response that comes on it."""

    def __init__(self, connected: socket.socket, owner: DirectConnections, place: str) -> None:
        self._socket: Final = connected
        # `weakref.finalize` keeps idle connections, which must not keep their owner.
        self._owner: Final = weakref.ref(owner)
        self._place: Final = place
        self._era: Final = owner.era
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._timeout: float | None = None
        self._head_bytes = 0
        self._parser = httptools.HttpResponseParser(self)
        self._begin()

    def _begin(self) -> None:
        self._headers = Headers()
        self._reason = ""
        self._parts: list[bytes] = []
        self._headed = self._over = self._reusable = False

    # What the parser calls

    def on_message_begin(self) -> None:
        """Refuse a second response, which would be taken for the next request's."""
        if self._over:
            raise ValueError("there are two answers to one request")

    def on_status(self, text: bytes) -> None:
        """Note the text of the status."""
        self._reason += text.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        self._headers.add(name.decode("latin-1"), value.decode("latin-1").strip())

    def on_headers_complete(self) -> None:
        """Note that the head has come, unless it is that of an interim response."""
        self._status = self._parser.get_status_code()
        self._headed = self._status not in _INTERIM

    def on_body(self, part: bytes) -> None:
        """Note a part of the body."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Note that the whole response has come, unless it was an interim one."""
        if not self._headed:
            self._begin()
            return
        self._over = True
        # The parser forgets this with the next response.
        self._reusable = self._parser.should_keep_alive()

    # What the connection does

    def is_stale(self) -> bool:
        """Whether the server has closed it, or has sent something without a request."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def send(self, head: bytes, data: bytes | None, read_seconds: float) -> None:
        """Send a request."""
        self._begin()
        # Interim responses count too: there may be any number of them.
        self._head_bytes = 0
        if self._timeout != read_seconds:
            self._socket.settimeout(read_seconds)
            self._timeout = read_seconds
        try:
            if data is not None and len(data) <= _JOINED_BYTES:
                self._socket.sendall(head + data)
                return
            self._socket.sendall(head)
            if data is not None:
                self._socket.sendall(data)
        except OSError as error:
            raise self._broken(error) from error

    def receive(self, request: str, authorization: str | None) -> Answer:
        """Return the response as soon as its head has come."""
        while not self._headed:
            self._read()
            if not self._headed and self._head_bytes > _MOST_HEAD_BYTES:
                raise BrokenError(f"the head of the answer to {request} has no end")
        headers, status = self._headers, self._status
        if headers.get("Content-Encoding", "identity") != "identity":
            raise BrokenError("the answer is compressed, although no compression was asked for")
        sized = (
            "Content-Length" in headers or "Transfer-Encoding" in headers or status in _WITHOUT_BODY
        )
        if not sized and self._parser.get_http_version() != "1.0":
            # It looks like one with an empty body.
            raise BrokenError("the answer broke off in its head")
        body = _Body(self, sized=sized)
        return Answer(
            status,
            headers,
            body,
            request=request,
            reason=self._reason,
            authorization=authorization,
            close=body.close,
        )

    def more(self) -> list[bytes] | None:
        """Return the next parts of the body; None after the last one.

        Raises:
            BrokenError: if the connection breaks.
        """
        if not self._parts and not self._over:
            self._read()
        parts, self._parts = self._parts, []
        return parts or (None if self._over else parts)

    def give_back(self) -> None:
        """Let the next request have the connection, if the server allows that."""
        owner = self._owner()
        if self._reusable and owner is not None:
            owner.take_back(self, self._place, self._era)
        else:
            self.close()

    def _read(self) -> None:
        try:
            received = self._socket.recv(_READ_BYTES)
        except OSError as error:
            raise self._broken(error) from error
        if not received:
            raise _EndError("the server closed the connection before the whole answer had come")
        self._head_bytes += len(received)
        try:
            self._parser.feed_data(received)
        except httptools.HttpParserError as error:
            raise BrokenError(f"the answer is not HTTP: {error}") from error
        except httptools.HttpParserUpgrade as error:
            raise BrokenError("the server changes to another protocol") from error

    def _broken(self, error: OSError) -> BrokenError:
        if isinstance(error, TimeoutError):
            return BrokenError(f"{self._place}: Read timed out after {self._timeout:g} s")
        return BrokenError(f"{self._place}: {error}")


class _Body:
    """The body of a response, as it comes; then the connection is given back.

    Args:
        line: the connection.
        sized: whether the response gives the end of its body; if not, it ends with the connection.
    """

    def __init__(self, line: _Line, *, sized: bool) -> None:
        self._line = line
        self._sized = sized
        self._done = False

    def __iter__(self) -> Iterator[bytes]:
        any_came = False
        while not self._done:
            try:
                parts = self._line.more()
            except _EndError:
                if self._sized or not any_came:
                    raise
                parts = None
            if parts is None:
                self._done = True
                self._line.give_back()
                return
            any_came = any_came or bool(parts)
            yield from parts

    def close(self) -> None:
        """Close the connection, unless the whole body has come."""
        if not self._done:
            self._done = True
            self._line.close()


class _EndError(BrokenError):
    """The server closed the connection before the end of the response."""


def _head(method: str, target: str, place: str, headers: Mapping[str, str]) -> bytes:
    """Return the head of a request.

    Raises:
        UnsendableError: if a part of it holds a line break or is not in Latin-1.
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {place}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    try:
        head = "\r\n".join(lines).encode("latin-1")
    except UnicodeEncodeError:
        # Its error repeats the text, which may hold a token.
        raise UnsendableError("a header has characters that HTTP does not have") from None
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
        raise UnsendableError("the address or a header holds a line break")
    return head + b"\r\n\r\n"


@lru_cache(maxsize=64)
def _host_and_port(place: str) -> tuple[str, int]:
    parts = urlsplit(f"{_HTTP}{place}")
    return parts.hostname or "", parts.port or 80


def _connected(place: str, seconds: float, token: str | None) -> socket.socket:
    """Connect, and have the server prove itself.

    Args:
        place: host and port.
        seconds: for connecting.
        token: what the server has to know; None asks for no proof.

    Raises:
        BrokenError: if either fails; no part of a request was sent.
    """
    try:
        host, port = _host_and_port(place)
        connected = socket.create_connection((host, port), timeout=seconds)
    except (OSError, ValueError) as error:
        raise BrokenError(f"{place}: {error}", never_sent=True) from error
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if token is not None:
            demand(connected, host, port, token)
    except (OSError, ValueError) as error:
        connected.close()
        raise BrokenError(
            f"{place} does not prove that it is the local runtime: {error}", never_sent=True
        ) from error
    except BaseException:
        connected.close()
        raise
    return connected


def _hang_up(idle: dict[str, deque[_Line]]) -> None:
    for lines in list(idle.values()):
        while lines:
            try:
                lines.pop().close()
            except IndexError:
                break
