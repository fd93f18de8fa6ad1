"""Connections on this machine that need no `requests`: what a server may do on them."""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from starlette.responses import PlainTextResponse

from qsession_widget import QiskitRuntimeService
from qsession_widget.transport import direct
from qsession_widget.transport.answers import BrokenError, UnsendableError
from qsession_widget.transport.auth import BearerAuth
from qsession_widget.transport.direct import DirectConnections
from qsession_widget.transport.pool import ConnectionPool
from tests.client.throwaway import Script, serving, unused_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qsession_widget.transport.answers import Answer

DEADLINE_SECONDS = 20.0
OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"


class Wire:
    """A server that sends scripted bytes on each connection.

    Attributes:
        asked: the requests, by connection.
    """

    def __init__(self, *plays: list[bytes]) -> None:
        self._plays = list(plays)
        self.asked: list[list[bytes]] = []
        self.root = ""

    def serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            asked: list[bytes] = []
            self.asked.append(asked)
            with connection:
                for answer in self._plays.pop(0):
                    received = connection.recv(65_536)
                    if not received:
                        break
                    asked.append(received)
                    connection.sendall(answer)


@contextmanager
def playing(*plays: list[bytes]) -> Iterator[Wire]:
    """Serve connections, each with its list of answers, after which it is closed."""
    wire = Wire(*plays)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        wire.root = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=wire.serve, args=(listening,), daemon=True)
        thread.start()
        yield wire
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def ask(there: DirectConnections, root: str, method: str = "GET", **more: Any) -> Answer:
    given = {"headers": {}, "auth": BearerAuth("t"), "timeout": (5.0, DEADLINE_SECONDS), **more}
    return there.request(method, f"{root}/x", **given)


@pytest.fixture
def there() -> Iterator[DirectConnections]:
    connections = DirectConnections(proven=False)
    yield connections
    connections.close()


def test_one_connection_serves_one_request_after_the_other(there: DirectConnections) -> None:
    with playing([HELLO, HELLO]) as wire:
        assert [ask(there, wire.root).text for _ in range(2)] == ["hello", "hello"]
    (asked,) = wire.asked
    assert len(asked) == 2
    assert asked[0].startswith(b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Authorization: Bearer t\r\n" in asked[0]
    assert b"Content-Length" not in asked[0]


def test_a_request_is_one_packet_and_says_how_long_it_is(there: DirectConnections) -> None:
    with playing([HELLO, HELLO]) as wire:
        ask(there, wire.root, "POST", data=b"{}", params={"a": [1, 2], "b": "c d"})
        ask(there, wire.root, "POST")
    (asked,) = wire.asked
    assert asked[0].startswith(b"POST /x?a=1&a=2&b=c+d HTTP/1.1\r\n")
    assert asked[0].endswith(b"Content-Length: 2\r\n\r\n{}")
    assert asked[1].endswith(b"Content-Length: 0\r\n\r\n")


def test_a_large_body_arrives_whole(there: DirectConnections) -> None:
    script = Script(PlainTextResponse("ok"))
    body = os.urandom(3_000_000)
    with serving(script.app) as root:
        assert ask(there, root, "POST", data=body).text == "ok"
    assert script.bodies == [body]


@pytest.mark.parametrize(
    ("played", "text"),
    [
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO, "hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
        (b"HTTP/1.1 304 Not Modified\r\nETag: 1\r\n\r\n", ""),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", "to the end"),
        (OK + b"Content-Type: text/plain; charset=latin-1\r\nContent-Length: 1\r\n\r\n\xe9", "é"),
        (OK + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n\xc3\xa9", "é"),
        (OK + b"Content-Type: text/plain; charset=no-such\r\nContent-Length: 1\r\n\r\na", "a"),
    ],
)
def test_bodies_end_where_they_say(played: bytes, text: str, there: DirectConnections) -> None:
    with playing([played]) as wire:
        assert ask(there, wire.root).text == text


@pytest.mark.parametrize(
    ("played", "why"),
    [
        (b"", "closed the connection"),
        (HELLO[:-1], "closed the connection"),
        (OK + b"Content-Len", "closed the connection"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "closed the connection"),
        (OK + b"Server: x\r\n\r\n", "broke off in its head"),
        (b"HTTP/1.0 200 OK\r\n\r\n", "closed the connection"),
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        (HELLO + HELLO, "not HTTP"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", "compressed"),
        (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "not HTTP"),
        (OK + b"X: " + b"y" * 300_000, "no end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000 + HELLO, "no end"),
        (b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "another protocol"),
    ],
)
def test_what_is_no_whole_answer_is_none(played: bytes, why: str, there: DirectConnections) -> None:
    with playing([played], [HELLO]) as wire:
        with pytest.raises(BrokenError, match=why) as caught:
            ask(there, wire.root)
        assert not caught.value.never_sent
        assert ask(there, wire.root).text == "hello", "on another connection"


def test_what_a_server_says_unasked_is_the_answer_to_nothing(there: DirectConnections) -> None:
    heard, said = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            first, _ = listening.accept()
            with first:
                first.recv(65_536)
                first.sendall(HELLO)
                heard.wait(DEADLINE_SECONDS)
                first.sendall(HELLO.replace(b"hello", b"WRONG"))
                said.set()
                second, _ = listening.accept()
                with second:
                    second.recv(65_536)
                    second.sendall(HELLO)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        root = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert ask(there, root).text == "hello"
        heard.set()
        assert said.wait(DEADLINE_SECONDS)
        assert ask(there, root).text == "hello"
        thread.join()


def test_an_idle_connection_that_the_server_closed_is_not_used(there: DirectConnections) -> None:
    with playing([HELLO], [HELLO]) as wire:
        ask(there, wire.root)
        while len(wire.asked) < 2:
            # The server may close it just when it is used.
            with suppress(BrokenError):
                ask(there, wire.root)
    assert [len(each) for each in wire.asked] == [1, 1]


@pytest.mark.usefixtures("runtime")
def test_services_that_are_dropped_leave_no_connection() -> None:
    def use() -> None:
        QiskitRuntimeService("local").backends()

    use()
    gc.collect()
    before = psutil.Process().num_fds()
    for _ in range(8):
        use()
    gc.collect()
    assert psutil.Process().num_fds() <= before


def test_a_connection_to_be_closed_is_closed(there: DirectConnections) -> None:
    closing = OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello"
    with playing([closing, HELLO], [HELLO]) as wire:
        assert [ask(there, wire.root).text for _ in range(2)] == ["hello", "hello"]
    assert len(wire.asked) == 2


def test_a_body_that_is_not_read_costs_its_connection_alone(there: DirectConnections) -> None:
    with playing([OK + b"Content-Length: 99\r\n\r\nhello"], [HELLO] * 3) as wire:
        with ask(there, wire.root, stream=True) as answer:
            assert next(answer.parts()) == b"hello"
        with ask(there, wire.root, stream=True) as answer:
            assert b"".join(answer.parts()) == b"hello"
            # Closing this one does not take the connection from the next request.
            assert ask(there, wire.root).text == "hello"
        assert ask(there, wire.root).text == "hello"
    assert [len(each) for each in wire.asked] == [1, 3]


def test_a_server_that_is_silent_is_given_up(there: DirectConnections) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        root = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(BrokenError, match="timed out") as caught:
            ask(there, root, timeout=(5.0, 0.05))
    assert not caught.value.never_sent


def test_an_address_at_which_nothing_listens(there: DirectConnections) -> None:
    with pytest.raises(BrokenError, match="refused") as caught:
        ask(there, unused_address())
    assert caught.value.never_sent


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nY: b"}, {"X": "a\nb"}, {"X\r": "a"}, {"X": "\N{SNOWMAN}"}]
)
def test_a_header_cannot_add_another(headers: dict[str, str], there: DirectConnections) -> None:
    with playing([HELLO]) as wire, pytest.raises(UnsendableError):
        ask(there, wire.root, headers=headers)
    assert not wire.asked


def test_closed_connections_are_not_kept(there: DirectConnections) -> None:
    with playing([HELLO] * 2, [HELLO] * 2, [HELLO] * 2) as wire:
        with ask(there, wire.root, stream=True) as answer:
            there.close()
            assert answer.content == b"hello"
        ask(there, wire.root)
        there.close()
        ask(there, wire.root)
        ask(there, wire.root)
    assert [len(each) for each in wire.asked] == [1, 1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_leaves_the_parents_connection_alone(there: DirectConnections) -> None:
    with serving(Script(PlainTextResponse("ok")).app) as root:
        ask(there, root)
        child = os.fork()
        if not child:
            status = 1
            try:
                # Sent one after the other, requests of both would look right on one connection.
                status = 0 if not any(there._idle.values()) and ask(there, root).text else 1
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert ask(there, root).text


def test_only_what_needs_it_goes_through_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "qsession_widget.transport.through_requests"
    monkeypatch.setitem(sys.modules, name, None)
    with playing([HELLO]) as wire, ConnectionPool(wire.root) as connections:
        given: dict[str, Any] = {"headers": {}, "auth": BearerAuth("t"), "timeout": (5.0, 5.0)}
        assert connections.request("GET", wire.root, **given).text == "hello"
    for url, proxies in (
        ("https://127.0.0.1:1", None),
        ("http://192.0.2.1", None),
        (wire.root, {"http": "http://127.0.0.1:1"}),
        ("http://user:word@127.0.0.1:1", None),
    ):
        with ConnectionPool(url, proxies=proxies) as others, pytest.raises(ImportError):
            others.request("GET", url, **given)


def test_a_redirection_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"headers": {}, "auth": BearerAuth("t"), "timeout": (5.0, 5.0)}
    with playing([HELLO]) as other:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {other.root}/y\r\nContent-Length: 0\r\n\r\n"
        with playing([moved.encode()], [moved.encode()]) as wire, ConnectionPool(wire.root) as pool:
            assert pool.request("GET", f"{wire.root}/x", **given).text == "hello"
        # The token is sent only to a server that has proved that it knows it.
        monkeypatch.setattr(direct, "demand", lambda *_: None)
        with (
            playing([moved.encode()]) as wire,
            ConnectionPool(wire.root, proven=True) as pool,
            pytest.raises(UnsendableError, match="another place"),
        ):
            pool.request("GET", f"{wire.root}/x", **given)
    assert len(other.asked) == 1
