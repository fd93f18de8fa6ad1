"""Clients without a token hold no resources for long, and keep no user out."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import threading
from functools import partial
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import psutil
import pytest
import requests
import uvicorn
from starlette.requests import Request
from starlette.responses import Response

from qsession_widget.runtime.http.middleware import connection_guard, connection_pool
from qsession_widget.runtime.http.middleware.connection_guard import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    GuardedProtocol,
)
from qsession_widget.runtime.http.middleware.connection_pool import ConnectionPool
from qsession_widget.wire.discovery import Discovery
from tests.conftest import DEADLINE_SECONDS, eventually, running
from tests.runtime import certificates
from tests.runtime.http.test_users import add
from tests.runtime.server import Server, reached

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("strangers"), "--workers", "1") as folder:
        yield reached(folder)


def dial(server: Server) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((str(parts.hostname), int(parts.port or 0)), DEADLINE_SECONDS)


def answer(line: socket.socket) -> bytes:
    """Return everything that arrives until the other side closes."""
    found = bytearray()
    # Unread data makes the other side close with a reset.
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while part := line.recv(65_536):
            found += part
    return bytes(found)


def send(line: socket.socket, pieces: Iterator[bytes]) -> int:
    """Send until the other side stops reading; return the number of bytes."""
    sent = 0
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for piece in pieces:
            line.sendall(piece)
            sent += len(piece)
    return sent


def endless(first: bytes, then: bytes, most: int = 64 * 2**20) -> Iterator[bytes]:
    yield first
    for _ in range(most // len(then)):
        yield then


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\nX-A: ", b"a" * 65_536),
        (b"GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\n", b"X-A: a\r\n" * 4_096),
        (b"GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\nX", b"a" * 65_536),
        (b"GET /", b"a" * 65_536),
        (b"", b"\r\n" * 32_768),
        (
            b"POST /identity/token HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
            b"a" * 65_536,
        ),
        (
            b"POST /identity/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            b"a" * 65_536,
        ),
    ],
    ids=["value", "headers", "name", "path", "blank", "trailer", "extension"],
)
def test_an_endless_head_ends(server: Server, first: bytes, then: bytes) -> None:
    before = psutil.Process(server.pid).memory_info().rss
    with dial(server) as line:
        send(line, endless(first, then))
        said = answer(line)
    assert not said or said.split(b" ")[1] in {b"431", b"400"}, said[:200]
    # Up to 64 MB were sent on each connection.
    assert psutil.Process(server.pid).memory_info().rss - before < 16 * 2**20


def test_a_head_that_is_too_large_is_refused_with_the_limit(server: Server) -> None:
    for head, limit in (
        (b"X-A: %s\r\n" % (b"a" * MAX_HEAD_BYTES), str(MAX_HEAD_BYTES)),
        (b"X-A: a\r\n" * (MAX_HEADERS + 1), str(MAX_HEADERS)),
    ):
        with dial(server) as line:
            line.sendall(b"GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
            said = answer(line)
        assert said.startswith(b"HTTP/1.1 431 ")
        assert limit.encode() in said


def test_pipelined_requests_are_limited(server: Server) -> None:
    asked = b"GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n"
    with dial(server) as line:
        line.sendall(
            asked * (MAX_PIPELINED // 2)
            + asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
        assert answer(line).count(b"HTTP/1.1 401") == MAX_PIPELINED // 2 + 1
    with dial(server) as line:
        send(line, endless(asked * 1_000, asked * 1_000, 2**22))
        assert answer(line).count(b"HTTP/1.1 401") < MAX_PIPELINED * 2


def test_the_largest_allowed_head_is_read(server: Server) -> None:
    found = server.get("/qsession", headers={"X-A": "a" * (MAX_HEAD_BYTES - 2_000)})
    assert found.status_code == 200


def test_idle_connections_keep_no_user_out(server: Server) -> None:
    users = requests.Session()
    head = {"Authorization": f"Bearer {server.token}"}
    assert users.get(f"{server.url}/qsession", headers=head, timeout=30).status_code == 200
    (owned,) = [
        each
        for each in psutil.Process(server.pid).net_connections()
        if each.status == "ESTABLISHED"
    ][-1:]
    with contextlib.ExitStack() as stack:
        lines = [
            stack.enter_context(dial(server)) for _ in range(connection_pool.MOST_STRANGERS + 60)
        ]
        # The oldest connections made room for newer ones, and all of them for users.
        assert answer(lines[0]) == b""
        assert server.get("/qsession").status_code == 200
        assert users.get(f"{server.url}/qsession", headers=head, timeout=30).status_code == 200
        held = [
            each
            for each in psutil.Process(server.pid).net_connections()
            if each.status == "ESTABLISHED"
        ]
        assert len(held) <= connection_pool.MOST_STRANGERS + 8
        assert owned in held, "the connection of the user was closed"
    log = eventually(
        lambda: "without a token" in (text := (server.folder / "runtime.log").read_text()) and text,
        "a line of the log",
    )
    assert "the last from 127.0.0.1: too many connections without a token" in log
    assert log.count("without a token") < 5


def test_a_connection_without_a_tls_handshake_ends_too(tmp_path: Path) -> None:
    paths = certificates.write(tmp_path, "127.0.0.1")
    options = ("--host", "127.0.0.1", "--tls-cert", str(paths[0]), "--tls-key", str(paths[1]))
    with running(tmp_path / "home", "--workers", "1", *options) as folder:
        found = reached(folder)
        said = Discovery.read(folder)
        assert said is not None
        outer = urlsplit(said.public_url)
        with contextlib.ExitStack() as stack:
            lines = [
                stack.enter_context(
                    socket.create_connection(("127.0.0.1", int(outer.port or 0)), DEADLINE_SECONDS)
                )
                for _ in range(connection_pool.MOST_STRANGERS + 20)
            ]
            assert answer(lines[0]) == b""
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(lines[-1]) as secured:
                secured.sendall(
                    b"GET /api/v1/qsession HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                    b"Authorization: Bearer %s\r\n\r\n" % found.token.encode()
                )
                assert answer_of(secured).startswith(b"HTTP/1.1 200")


def answer_of(line: ssl.SSLSocket) -> bytes:
    found = bytearray()
    with contextlib.suppress(ssl.SSLError, OSError):
        while part := line.recv(65_536):
            found += part
    return bytes(found)


def test_a_user_with_too_many_connections_is_refused(server: Server) -> None:
    eve = add(server, "eve")
    share = ConnectionPool(connection_pool.MOST_CONNECTIONS).user_most
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4 * share:
        pytest.skip("too few descriptors here")
    head = f"Host: x\r\nAuthorization: Bearer {eve.token}\r\n"
    unfinished = f"POST /api/v1/jobs HTTP/1.1\r\n{head}Content-Length: 9\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        for _ in range(share):
            stack.enter_context(dial(server)).sendall(unfinished)
        said = eventually(
            lambda: (found := eve.get("/qsession")).status_code == 429 and found.json(), "a refusal"
        )
        assert "too many connections" in said["errors"][0]["message"]
        assert server.get("/qsession").status_code == 200
    eventually(lambda: eve.get("/qsession").status_code == 200, "a place for the user")


@contextlib.contextmanager
def quick_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, ConnectionPool]]:
    """Serve with the real protocol and short timeouts."""
    monkeypatch.setattr(connection_guard, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connection_guard, "BODY_SECONDS", 0.3)
    all_of_them = ConnectionPool(64)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = Response(bytes(2**25) if scope["path"] == "/large" else await request.body())
        await answer(scope, receive, send)

    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(GuardedProtocol, all_of_them)),
        log_config=None,
        lifespan="off",
    )
    served = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=served.run, args=([listener],))
        thread.start()
        try:
            eventually(lambda: served.started, "a server")
            yield port, all_of_them
        finally:
            served.should_exit = True
            thread.join(DEADLINE_SECONDS)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["nothing", "line", "header", "body", "chunk", "an answer that is not read"],
)
def test_stalled_requests_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    with (
        quick_server(monkeypatch) as (port, all_of_them),
        socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS) as line,
    ):
        line.sendall(sent)
        eventually(lambda: all_of_them.count == 1, "a connection")
        eventually(lambda: all_of_them.count == 0, "its end")
    assert "closed 1 connections, the last from 127.0.0.1" in caplog.text


def test_a_slow_body_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        quick_server(monkeypatch) as (port, _),
        socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS) as line,
    ):
        part = b"x" * connection_guard.BODY_BYTES
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {8 * len(part)}\r\n"
        line.sendall(f"{head}Connection: close\r\n\r\n".encode())
        for _ in range(8):
            # Longer than one window in all, with some bytes in each window.
            threading.Event().wait(connection_guard.BODY_SECONDS / 4)
            line.sendall(part)
        assert answer(line).endswith(8 * part)
