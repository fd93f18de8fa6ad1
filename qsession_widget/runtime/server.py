"""Runs the runtime: takes its lock, its port and its token, serves, and leaves its address."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import uvicorn
from filelock import FileLock, Timeout

from qsession_widget.runtime import clock
from qsession_widget.runtime.app import create_app
from qsession_widget.runtime.store import StoreUnreadableError
from qsession_widget.wire.discovery import Discovery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qsession_widget.runtime.settings import Settings

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
KEEP_ALIVE_SECONDS = 120
"""Longer than a client's pool keeps a connection that it does not use."""


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StartError(RuntimeError):
    """The runtime cannot start."""


class AlreadyRunningError(StartError):
    """Another runtime holds this home folder."""


def serve(settings: Settings, on_ready: Callable[[Discovery], None] | None = None) -> None:
    """Serve until asked to end, by a signal or by a request.

    Args:
        settings: of the runtime.
        on_ready: is told how to reach the runtime once it can be reached.

    Raises:
        AlreadyRunningError: another runtime holds the home folder.
        StartError: the port is taken, or the store cannot be opened.
    """
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(settings.home / "server.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise AlreadyRunningError(
            f"another runtime runs in {settings.home}; stop it with `qsession stop`, or choose "
            "another folder with QSESSION_HOME or --home"
        ) from None
    with lock:
        _serve(settings, on_ready)


def _serve(settings: Settings, on_ready: Callable[[Discovery], None] | None) -> None:
    # A file that is there although we hold the lock was left by a runtime that was killed: its
    # clients know its port and token, so this one takes over both.
    previous = Discovery.read(settings.home)
    listener = _listen(settings.port, previous)
    url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    # On another port the old one may be somebody else's by now, whom clients have shown the token.
    same = previous is not None and previous.url == url
    token = previous.token if previous and same else secrets.token_urlsafe(32)
    discovery = Discovery(
        url=url,
        pid=os.getpid(),
        version=_version(),
        token=token,
    )

    def ready() -> None:
        discovery.write(settings.home)
        log.info("serving at %s", discovery.url)
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
        listener.close()
        raise StartError(str(error)) from error
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=3,
        ),
        release=app.state.release,
    )
    with listener:
        try:
            server.run(sockets=[listener])
        except SystemExit:
            raise StartError(
                f"the runtime could not start in {settings.home}; its log says why"
            ) from None
    Discovery.path(settings.home).unlink(missing_ok=True)
    log.info("ended")


class _Server(uvicorn.Server):
    """Uvicorn's server, with an end that leaves nothing undone."""

    def __init__(self, config: uvicorn.Config, release: Callable[[], None]) -> None:
        super().__init__(config)
        self._release = release

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
        await super().shutdown(sockets)


def _listen(port: int, previous: Discovery | None) -> socket.socket:
    """Take the port that was asked for, else the previous one if it is free, else any."""
    if port == 0 and previous is not None:
        try:
            return _bind(int(previous.url.rpartition(":")[2]))
        except (OSError, ValueError, OverflowError):
            log.info("the previous port is taken; another one will do")
    try:
        return _bind(port)
    except (OSError, OverflowError) as error:
        raise StartError(f"cannot serve on port {port}: {error}") from error


def _bind(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
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
