"""Runs the server: takes the lock, the port and a token, publishes its address, and serves."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import ssl
import sys
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from filelock import FileLock, Timeout
from sqlalchemy.exc import DBAPIError

from qsession_widget.runtime import clock, kept_settings
from qsession_widget.runtime.http.app import create_app
from qsession_widget.runtime.http.middleware.access_log import AccessLogMiddleware
from qsession_widget.runtime.http.middleware.connection_guard import GuardedProtocol, accept_tls
from qsession_widget.runtime.http.middleware.connection_pool import (
    ConnectionPool,
    raise_descriptor_limit,
)
from qsession_widget.runtime.local_disk import Machine, NoLocalDiskError
from qsession_widget.runtime.settings import LOCAL_EXECUTOR
from qsession_widget.runtime.store import places
from qsession_widget.runtime.store.database import NotAStoreError, Sqlite
from qsession_widget.runtime.store.store import StoreUnreadableError
from qsession_widget.wire import private_files
from qsession_widget.wire.discovery import RENEWED_SECONDS, Discovery, this_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qsession_widget.runtime.control.executor import MakeExecutor
    from qsession_widget.runtime.settings import Settings
    from qsession_widget.runtime.store.database import Database

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_ELSEWHERE = "192.0.2.1"
"""An address of documentation (RFC 5737), which no machine has."""
KEEP_ALIVE_SECONDS = 120
"""Longer than the pool of a client keeps an idle connection."""


_PRIVATE_FILES = (
    *("runtime.db", "runtime.db-wal", "runtime.db-shm"),
    *("runtime.log", "runtime.log.1", "start.lock", "server.lock"),
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StartError(RuntimeError):
    """The runtime cannot start."""


class AlreadyRunningError(StartError):
    """Another runtime holds this home folder."""


class MissingExtraError(StartError):
    """An optional part of the package is not installed."""


def serve(
    settings: Settings,
    on_ready: Callable[[Discovery], None] | None = None,
    *,
    revive: bool = False,
    machine: Machine | None = None,
) -> None:
    """Serve until a signal or a request ends the server.

    Args:
        settings: the settings of the runtime.
        on_ready: called with the runtime's address and token once it serves.
        revive: whether to take the settings of the runtime that died in this folder, if one did.
        machine: what is known of this machine's disks; None looks at them.

    Raises:
        AlreadyRunningError: another runtime holds the home folder.
        MissingExtraError: the executor needs packages that are not installed.
        StartError: the port is taken, or the store cannot be opened, or kept on a local disk.
    """
    home = settings.home
    private_files.make_folder(home)
    with _locked(home / "server.lock", home):
        previous = Discovery.read(home)
        if previous is not None and previous.elsewhere and previous.is_renewed(home):
            # A file server need not tell this machine of a lock that another one has.
            raise AlreadyRunningError(previous.sentence(home))
        for name in _PRIVATE_FILES:
            # Older releases let other users read some of them.
            private_files.close_to_others(home / name)
        settings = _as_before(settings) if revive else settings
        try:
            # A store that is no file needs no disk.
            store_home = home if settings.store else (machine or Machine()).store_home(home)
        except NoLocalDiskError as error:
            raise StartError(str(error)) from error
        if store_home == home:
            _serve(settings, home, on_ready)
            return
        with _locked(store_home / "store.lock", home):
            log.warning(
                "%s is on a network file system: sessions and jobs are kept in %s, on this machine "
                "only, and are lost when that is cleared%s",
                *(home, store_home),
                "; the runtime.db in the folder is left alone"
                if (home / "runtime.db").exists()
                else "",
            )
            _serve(settings, store_home, on_ready)


@contextmanager
def _locked(path: Path, home: Path) -> Iterator[None]:
    """Hold a lock during a block.

    Raises:
        AlreadyRunningError: another runtime holds it.
    """
    lock = FileLock(path, mode=private_files.FILE_MODE)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        other = Discovery.read(home)
        raise AlreadyRunningError(
            other.sentence(home)
            if other is not None and other.elsewhere
            else f"another runtime runs in {home}; stop it with `qsession stop`, or choose "
            "another folder with QSESSION_HOME or --home"
        ) from None
    with lock:
        yield


def _as_before(settings: Settings) -> Settings:
    """Return the settings of the runtime that died here, or the given ones if none did."""
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
        # It was an older release, which kept no settings, and served this machine only.
        return settings
    log.info("the runtime that served here died; this one takes its settings")
    # Clients on this machine find any port.
    return replace(before, port=0) if before.host is None else before


def _executor(settings: Settings) -> MakeExecutor | None:
    """Return what makes the executor; None for worker processes on this machine."""
    if settings.executor == LOCAL_EXECUTOR:
        return None
    try:
        # Half a second and 40 MB that only this needs.
        from qsession_widget.runtime.dask.executor import DaskExecutor  # noqa: PLC0415 - see above
    except ImportError as error:
        raise MissingExtraError(
            f"--executor {settings.executor} needs Dask ({error}): install it with "
            "`pip install 'qsession-widget[dask]'`"
        ) from error
    return partial(DaskExecutor, settings)


def _serve(
    settings: Settings, store_home: Path, on_ready: Callable[[Discovery], None] | None
) -> None:
    database = _database(settings, store_home)
    # A runtime that waits for its turn has no port yet: a load balancer finds the one that serves,
    # and on one machine both may be given the same port.
    if not _leads(database):
        return
    # We hold the lock, so a discovery file was left by a runtime that was killed. Its clients know
    # its port, so this one takes it if it is free. The token is a new one: another program that had
    # the port meanwhile may have received the old one.
    previous = Discovery.read(settings.home)
    # Other machines get a listener of their own: HTTP stays plain on this machine, and certificates
    # need not be valid for 127.0.0.1.
    outer = None if settings.host is None else _Outer.open(settings.host, settings)
    with closing(outer) if outer else nullcontext():
        listener = _listen(0 if outer else settings.port, previous)
        with listener:
            _serve_at(
                listener, outer, settings, database, on_ready, shared=store_home != settings.home
            )


def _database(settings: Settings, store_home: Path) -> Database:
    try:
        if settings.store is None:
            return Sqlite(settings.store_folder(store_home) / places.FILE)
        return places.at(settings.store)
    except NotAStoreError as error:
        raise StartError(str(error)) from error


def _leads(database: Database) -> bool:
    """Wait until no other runtime writes to the store; returns False if Ctrl-C ends the wait."""

    def waits() -> None:
        log.info("another runtime serves the store %s; this one takes over when it ends", database)
        # The log buffers its lines, and there is no event loop yet that would write them.
        sys.stderr.flush()

    try:
        database.lead(waits)
    except (DBAPIError, NotAStoreError) as error:
        detail = getattr(error, "orig", error)
        raise StartError(f"the store {database} cannot be opened: {detail}") from error
    except KeyboardInterrupt:
        log.info("ended")
        return False
    return True


def _serve_at(
    listener: socket.socket,
    outer: _Outer | None,
    settings: Settings,
    database: Database,
    on_ready: Callable[[Discovery], None] | None,
    *,
    shared: bool,
) -> None:
    url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    token = secrets.token_urlsafe(32)
    discovery = Discovery(
        url=url,
        pid=os.getpid(),
        version=_version(),
        token=token,
        public_url="" if outer is None else outer.url,
        certificate=""
        if outer is None or outer.certificate is None
        else str(outer.certificate.absolute()),
        host=this_host(),
        shared=shared,
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
            database,
            on_ready=ready,
            shut_down=shut_down,
            make_executor=_executor(settings),
        )
    except StoreUnreadableError as error:
        raise StartError(str(error)) from error
    connections = ConnectionPool(raise_descriptor_limit(settings.workers))
    server = _Server(
        _config(AccessLogMiddleware(app), connections),
        connections,
        outer,
        app.state.release,
        partial(discovery.renew, settings.home) if discovery.shared else None,
    )
    try:
        server.run(sockets=[listener])
    except SystemExit:
        raise StartError(
            f"the runtime could not start in {settings.home}; its log says why"
        ) from None
    if Discovery.read(settings.home) in {None, discovery}:
        Discovery.path(settings.home).unlink(missing_ok=True)
        kept_settings.path(settings.home).unlink(missing_ok=True)
    log.info("ended")
    if database.superseded:
        raise StartError(f"another runtime has taken over the store {database}; this one has ended")


class _Server(uvicorn.Server):
    """Uvicorn's server, with a graceful shutdown of both listeners."""

    def __init__(
        self,
        config: uvicorn.Config,
        connections: ConnectionPool,
        outer: _Outer | None,
        release: Callable[[], None],
        renew: Callable[[], bool] | None,
    ) -> None:
        super().__init__(config)
        self._connections = connections
        self._outer = outer
        self._release = release
        self._renew = renew
        self._renewing: asyncio.Task[None] | None = None
        self._second: _Second | None = None
        self._serving: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the listener for other machines after the local one."""
        await super().startup(sockets)
        if self._renew is not None:
            self._renewing = asyncio.create_task(self._keep_renewing(self._renew))
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
        """Shut down on a signal; uvicorn's own method would then raise the signal again."""
        handlers = {each: signal.signal(each, self.handle_exit) for each in _SIGNALS}
        try:
            yield
        finally:
            for each, handler in handlers.items():
                signal.signal(each, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Release the held requests, then shut down."""
        self._release()
        if self._renewing is not None:
            self._renewing.cancel()
        if self._second is not None and self._serving is not None:
            self._second.should_exit = True
            await self._serving
        await super().shutdown(sockets)

    async def _keep_renewing(self, renew: Callable[[], bool]) -> None:
        """Show other machines that the runtime lives, until the folder is another runtime's."""
        while True:
            await asyncio.sleep(RENEWED_SECONDS)
            # While the file server does not answer, the runtime goes on.
            with suppress(OSError):
                if not await asyncio.to_thread(renew):
                    log.error("the folder is another runtime's now: this one ends")
                    self.should_exit = True
                    return


class _Second(uvicorn.Server):
    """The server for other machines; the first one handles signals for both."""

    def __init__(self, config: uvicorn.Config, connections: ConnectionPool) -> None:
        super().__init__(config)
        self._connections = connections
        self._accepting: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen; TLS handshakes count as connections, and time out like them."""
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
        """Stop accepting, then shut down."""
        for each in self._accepting:
            each.cancel()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: the first server handles signals."""
        yield


def _config(app: Any, connections: ConnectionPool, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(GuardedProtocol, connections)),
        log_config=None,
        access_log=False,
        # Our own lines say when it serves and when it has ended.
        log_level="warning",
        # The headers of proxies are not trusted.
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
        """Load the certificate, and start to listen.

        Raises:
            StartError: either fails.
        """
        certificate, key = settings.tls_cert, settings.tls_key
        name = host if _names_one(host) else _name_elsewhere()
        if settings.self_signed:
            # 40 ms that only this needs.
            from qsession_widget.runtime import self_signed  # noqa: PLC0415 - see above

            try:
                names = self_signed.names_of(host, name)
                certificate, key = self_signed.ensure(settings.home, names)
            except (OSError, ValueError) as error:
                raise StartError(f"a certificate for {host} cannot be made: {error}") from error
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            try:
                # With an empty password, an encrypted key is an error, not a prompt.
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
        port = listener.getsockname()[1]
        scheme = "http" if certificate is None else "https"
        url = f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}"
        return cls(listener, url, certificate, key)

    def in_settings(self, settings: Settings) -> Settings:
        """Return the settings with the actual port, for a runtime that takes over."""
        return replace(settings, port=int(self.listener.getsockname()[1]))

    def close(self) -> None:
        """Close the listener."""
        self.listener.close()

    def announce(self) -> None:
        """Log the address, with a warning if it is not encrypted."""
        log.info("serving others at %s", self.url)
        if self.certificate is None:
            log.warning(
                "%s is not encrypted: others on the network can read tokens and jobs; use "
                "--self-signed, or --tls-cert and --tls-key",
                self.url,
            )


def _names_one(host: str) -> bool:
    """Whether a host is one name or address, and not all addresses of this machine."""
    try:
        return not ip_address(host).is_unspecified
    except ValueError:
        return True


def _name_elsewhere() -> str:
    """Return the name, or else the address, by which other machines reach this one.

    A name without a domain is known to this machine alone, or stands for its loopback address.
    """
    name = socket.getfqdn()
    if "." in name and not name.startswith("localhost"):
        return name
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: it only chooses the interface that leads to other machines.
            probe.connect((_ELSEWHERE, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _listen(port: int, previous: Discovery | None) -> socket.socket:
    """Bind the given port, else the previous one if it is free, else any.

    Args:
        port: the given port; 0 means none.
        previous: the address of the runtime that died.
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
    # asyncio sets TCP_NODELAY only if a socket names its protocol. Without it, the second half of
    # each response waits for the client's delayed acknowledgement of the first, 40 ms.
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
