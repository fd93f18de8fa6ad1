"""Runs the runtime: takes its lock, its port and its token, serves, and leaves its address."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import ssl
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from filelock import FileLock, Timeout

from qsession_widget.runtime import clock, kept_settings
from qsession_widget.runtime.http.app import create_app
from qsession_widget.runtime.http.middleware.access_log import AccessLogMiddleware
from qsession_widget.runtime.http.middleware.connection_guard import (
    ConnectionPool,
    GuardedProtocol,
    accept_tls,
    raise_descriptor_limit,
)
from qsession_widget.runtime.store.store import StoreUnreadableError
from qsession_widget.wire import private_files
from qsession_widget.wire.discovery import Discovery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qsession_widget.runtime.settings import Settings

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
KEEP_ALIVE_SECONDS = 120
"""Longer than a client's pool keeps a connection that it does not use."""


_PRIVATE_FILES = (
    *("runtime.db", "runtime.db-wal", "runtime.db-shm"),
    *("runtime.log", "runtime.log.1", "start.lock", "server.lock"),
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StartError(RuntimeError):
    """The runtime cannot start."""


class AlreadyRunningError(StartError):
    """Another runtime holds this home folder."""


def serve(
    settings: Settings,
    on_ready: Callable[[Discovery], None] | None = None,
    *,
    revive: bool = False,
) -> None:
    """Serve until asked to end, by a signal or by a request.

    Args:
        settings: of the runtime.
        on_ready: is told how to reach the runtime once it can be reached.
        revive: whether to take the settings of the runtime that died in this folder, if one did.

    Raises:
        AlreadyRunningError: another runtime holds the home folder.
        StartError: the port is taken, or the store cannot be opened.
    """
    private_files.make_folder(settings.home)
    lock = FileLock(settings.home / "server.lock", mode=private_files.FILE_MODE)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise AlreadyRunningError(
            f"another runtime runs in {settings.home}; stop it with `qsession stop`, or choose "
            "another folder with QSESSION_HOME or --home"
        ) from None
    with lock:
        for name in _PRIVATE_FILES:
            # Older releases left some to be read by others.
            private_files.close_to_others(settings.home / name)
        _serve(_as_before(settings) if revive else settings, on_ready)


def _as_before(settings: Settings) -> Settings:
    """Give the settings of the runtime that died here, or those given where none did."""
    previous = Discovery.read(settings.home)
    if previous is None:
        return settings
    try:
        before = kept_settings.read(settings.home, needed=bool(previous.public_url))
    except kept_settings.UnreadableError as error:
        raise StartError(
            f"the runtime that served in {settings.home} died, and its settings cannot be read: "
            f"{error}; `qsession serve` with its flags starts it again, and after `qsession stop` "
            "the next session starts one with default settings"
        ) from error
    if before is None:
        # An older release, which kept none, and served this machine alone.
        return settings
    log.info("the runtime that served here died; this one takes its settings")
    # On this machine alone clients find any port.
    return replace(before, port=0) if before.host is None else before


def _serve(settings: Settings, on_ready: Callable[[Discovery], None] | None) -> None:
    # A file that is there although we hold the lock was left by a runtime that was killed: its
    # clients know its port, so this one takes that if it is free. The token is a new one: whoever
    # had the port meanwhile may have been shown the old one.
    previous = Discovery.read(settings.home)
    # Others get a listener of their own: on this machine everything stays plain, and a certificate
    # need not be for 127.0.0.1.
    outer = None if settings.host is None else _Outer.open(settings.host, settings)
    with closing(outer) if outer else nullcontext():
        listener = _listen(0 if outer else settings.port, previous)
        with listener:
            _serve_at(listener, outer, settings, on_ready)


def _serve_at(
    listener: socket.socket,
    outer: _Outer | None,
    settings: Settings,
    on_ready: Callable[[Discovery], None] | None,
) -> None:
    url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    token = secrets.token_urlsafe(32)
    discovery = Discovery(
        url=url,
        pid=os.getpid(),
        version=_version(),
        token=token,
        public_url="" if outer is None else outer.url,
    )

    def ready() -> None:
        kept_settings.write(settings if outer is None else outer.in_settings(settings))
        discovery.write(settings.home)
        log.info("serving at %s", discovery.url)
        if outer is not None:
            outer.announce()
        if on_ready is not None:
            on_ready(discovery)

    def shut_down() -> None:
        server.should_exit = True

    try:
        app = create_app(
            settings,
            clock.make(settings.clock),
            token,
            discovery.version,
            on_ready=ready,
            shut_down=shut_down,
        )
    except StoreUnreadableError as error:
        raise StartError(str(error)) from error
    connections = ConnectionPool(raise_descriptor_limit(settings.workers))
    server = _Server(
        _config(AccessLogMiddleware(app), connections), connections, outer, app.state.release
    )
    try:
        server.run(sockets=[listener])
    except SystemExit:
        raise StartError(
            f"the runtime could not start in {settings.home}; its log says why"
        ) from None
    Discovery.path(settings.home).unlink(missing_ok=True)
    kept_settings.path(settings.home).unlink(missing_ok=True)
    log.info("ended")


class _Server(uvicorn.Server):
    """Uvicorn's server, with an end that leaves nothing undone."""

    def __init__(
        self,
        config: uvicorn.Config,
        connections: ConnectionPool,
        outer: _Outer | None,
        release: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._connections = connections
        self._outer = outer
        self._release = release
        self._second: _Second | None = None
        self._serving: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve other machines as well, once everything runs."""
        await super().startup(sockets)
        if self._outer is not None:
            certificate = {
                "ssl_certfile": self._outer.certificate,
                "ssl_keyfile": self._outer.key,
            }
            config = _config(self.config.app, self._connections, lifespan="off", **certificate)
            self._second = _Second(config, self._connections)
            self._serving = asyncio.create_task(self._second.serve([self._outer.listener]))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on a signal, and go on afterwards: uvicorn's own would have it kill the process."""
        handlers = {each: signal.signal(each, self.handle_exit) for each in _SIGNALS}
        try:
            yield
        finally:
            for each, handler in handlers.items():
                signal.signal(each, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests that are held, then end."""
        self._release()
        if self._second is not None and self._serving is not None:
            self._second.should_exit = True
            await self._serving
        await super().shutdown(sockets)


class _Second(uvicorn.Server):
    """A server beside another one, which takes the signals for both."""

    def __init__(self, config: uvicorn.Config, connections: ConnectionPool) -> None:
        super().__init__(config)
        self._connections = connections
        self._accepting: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; over TLS with handshakes that count, and end, as other connections do."""
        if not self.config.is_ssl or not sockets:
            await super().startup(sockets)
            return
        await super().startup([])
        context = cast("ssl.SSLContext", self.config.ssl)

        def make() -> GuardedProtocol:
            return GuardedProtocol(
                self._connections,
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
            )

        self._accepting = [
            asyncio.create_task(accept_tls(self._connections, each, make, context))
            for each in sockets
        ]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and end."""
        for each in self._accepting:
            each.cancel()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _config(app: Any, connections: ConnectionPool, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(GuardedProtocol, connections)),
        log_config=None,
        access_log=False,
        # Nothing is decided by what a proxy says of its clients.
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=3,
        **more,
    )


@dataclass(frozen=True)
class _Outer:
    """The listener for other machines."""

    listener: socket.socket
    url: str
    certificate: Path | None
    key: Path | None

    @classmethod
    def open(cls, host: str, settings: Settings) -> _Outer:
        """Listen, and see that the certificate can be used.

        Raises:
            StartError: where either fails.
        """
        certificate, key = settings.tls_cert, settings.tls_key
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            try:
                # An encrypted key would be asked for at the terminal; this says that it is one.
                context.load_cert_chain(certificate, key, password="")
            except (OSError, ValueError) as error:
                raise StartError(
                    f"the certificate {certificate} with the key {key or certificate} cannot be "
                    f"used: {error}"
                ) from error
        try:
            listener = _bind(host, settings.port)
        except (OSError, OverflowError) as error:
            raise StartError(f"cannot serve at {host} port {settings.port}: {error}") from error
        address, port = listener.getsockname()[:2]
        name = socket.gethostname() if ip_address(address).is_unspecified else host
        scheme = "http" if certificate is None else "https"
        url = f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}"
        return cls(listener, url, certificate, key)

    def in_settings(self, settings: Settings) -> Settings:
        """Give settings with the port that it has, so that others find the next runtime there."""
        return replace(settings, port=int(self.listener.getsockname()[1]))

    def close(self) -> None:
        """Close the listener."""
        self.listener.close()

    def announce(self) -> None:
        """Say where others find it, and what they risk."""
        log.info("serving others at %s", self.url)
        if self.certificate is None:
            log.warning(
                "%s is not encrypted: whoever is on the way can read tokens and jobs; give "
                "--tls-cert and --tls-key",
                self.url,
            )


def _listen(port: int, previous: Discovery | None) -> socket.socket:
    """Take the port that was asked for, else the previous one if it is free, else any.

    Args:
        port: what was asked for; 0 is nothing.
        previous: how the runtime that died was reached.
    """
    if port == 0 and previous is not None:
        try:
            return _bind(LOOPBACK, int(previous.url.rpartition(":")[2]))
        except (OSError, ValueError, OverflowError):
            log.info("the previous port is taken; another one will do")
    try:
        return _bind(LOOPBACK, port)
    except (OSError, OverflowError) as error:
        raise StartError(f"cannot serve on port {port}: {error}") from error


def _bind(host: str, port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only where a socket names its protocol. Without it the second half of
    # each answer waits for the client's delayed acknowledgement of the first, 40 ms.
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address[0], port, *address[2:]))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _version() -> str:
    try:
        return version("qsession-widget")
    except PackageNotFoundError:
        return "unknown"
