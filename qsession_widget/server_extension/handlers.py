"""The addresses below `/qsession-widget/api`, behind Jupyter's own authentication and XSRF check.

The runtime is asked in threads, a few at a time. Pages that ask for the same share one answer.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from qsession_widget.errors import (
    NotAuthorizedError,
    QSessionError,
    ServiceError,
    ServiceUnavailableError,
)
from qsession_widget.monitoring.redaction import without_secrets
from qsession_widget.server_extension.local_sessions import LocalSessions

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "qsession-widget/api"
PATIENCE_SECONDS = 6.0
"""How long a page waits at most."""

MOST_WAITING = 32
"""How many different requests may wait for the runtime."""

_THREADS = 4
_UNAVAILABLE = 503
_NO_CONTENT = 204


class Desk:
    """Asks the runtime in threads, without blocking the server's event loop."""

    def __init__(self) -> None:
        self._sessions = LocalSessions()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="qsession-server")
        self._waiting: dict[tuple[str, ...], asyncio.Future[Any]] = {}

    async def ask(self, *question: str) -> Any:
        """Call a method of `LocalSessions`: its name, then its arguments.

        Raises:
            QSessionError: as the method does.
            ServiceUnavailableError: if too many requests wait, or if it takes longer than a page
                waits; it goes on nevertheless.
        """
        asked = self._waiting.get(question)
        if asked is None:
            if len(self._waiting) >= MOST_WAITING:
                raise ServiceUnavailableError("Too many requests wait for the local runtime.")
            method: Callable[..., Any] = getattr(self._sessions, question[0])
            loop = asyncio.get_running_loop()
            asked = loop.run_in_executor(self._threads, method, *question[1:])
            self._waiting[question] = asked
            asked.add_done_callback(lambda done: self._forget(question, done))
        done, _ = await asyncio.wait([asked], timeout=PATIENCE_SECONDS)
        if not done:
            self._sessions.hang_up()
            raise ServiceUnavailableError(
                f"The local runtime has not answered for {PATIENCE_SECONDS:.0f} s."
            )
        return asked.result()

    def _forget(self, question: tuple[str, ...], done: asyncio.Future[Any]) -> None:
        del self._waiting[question]
        if not done.cancelled():
            # Marks an error as seen, where every page has stopped waiting.
            done.exception()


class _Handler(APIHandler):
    """Passes a request to the runtime, and its answer or its refusal to the page."""

    auth_resource = "qsession"

    def initialize(self, desk: Desk) -> None:
        """Take what asks the runtime."""
        self._desk = desk

    async def answer(self, *question: str) -> None:
        """Answer with what a method of `LocalSessions` returns."""
        try:
            found = await self._desk.ask(*question)
        except QSessionError as error:
            refused = isinstance(error, ServiceError) and error.status_code
            # Jupyter's token was right: that the runtime refuses its own is not the page's fault.
            own = isinstance(error, NotAuthorizedError)
            self._refuse(_UNAVAILABLE if own or not refused else refused, str(error))
        else:
            self.set_header("Cache-Control", "no-store")
            if found is None:
                self.set_status(_NO_CONTENT)
                await self.finish()
            else:
                await self.finish(json.dumps(found))

    def _refuse(self, status: int, text: str) -> None:
        self.set_status(status)
        self.finish(json.dumps({"message": without_secrets(text.splitlines()[0])}))


class SessionsHandler(_Handler):
    """`GET sessions`: the runtime's clock and its open sessions."""

    # A page that polls does not keep an unused server from being stopped.
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List the sessions."""
        await self.answer("list")


class SessionHandler(_Handler):
    """`GET sessions/ID`: a session with its newest jobs."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, session_id: str) -> None:
        """Describe a session."""
        await self.answer("details", session_id)


class CloseHandler(_Handler):
    """`POST sessions/ID/close`."""

    @web.authenticated
    @authorized
    async def post(self, session_id: str) -> None:
        """Close a session."""
        await self.answer("close", session_id)


class CancelQueuedHandler(_Handler):
    """`POST sessions/ID/cancel-queued`."""

    @web.authenticated
    @authorized
    async def post(self, session_id: str) -> None:
        """Cancel the queued jobs of a session."""
        await self.answer("cancel_queued", session_id)


class CancelJobHandler(_Handler):
    """`POST jobs/ID/cancel`."""

    @web.authenticated
    @authorized
    async def post(self, job_id: str) -> None:
        """Cancel a job."""
        await self.answer("cancel_job", job_id)


def routes(base_url: str) -> list[tuple[str, type[_Handler], dict[str, Any]]]:
    """Return the handlers, each with its address as a regular expression."""
    root, part, desk = f"{base_url.rstrip('/')}/{PREFIX}", "([^/]{1,200})", Desk()
    return [
        (f"{root}/sessions", SessionsHandler, {"desk": desk}),
        (f"{root}/sessions/{part}", SessionHandler, {"desk": desk}),
        (f"{root}/sessions/{part}/close", CloseHandler, {"desk": desk}),
        (f"{root}/sessions/{part}/cancel-queued", CancelQueuedHandler, {"desk": desk}),
        (f"{root}/jobs/{part}/cancel", CancelJobHandler, {"desk": desk}),
    ]
