"""The ASGI application: puts routes, middlewares and the runtime's parts together."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from qsession_widget.runtime.auth.tokens import Tokens
from qsession_widget.runtime.auth.user_registry import UserRegistry
from qsession_widget.runtime.control.admission import (
    KeyReusedError,
    TooManyError,
    UnknownOwnerError,
)
from qsession_widget.runtime.control.coordinator import Coordinator
from qsession_widget.runtime.device_catalog import Catalog
from qsession_widget.runtime.http import errors, openapi
from qsession_widget.runtime.http.authentication import TokenAuthentication
from qsession_widget.runtime.http.kept_answers import AnswersByKey, DeletedJobs
from qsession_widget.runtime.http.large_texts import LargeTexts
from qsession_widget.runtime.http.middleware import access_log
from qsession_widget.runtime.http.middleware.answer_identity import AnswerIdentityMiddleware
from qsession_widget.runtime.http.middleware.connection_pool import CrowdedError
from qsession_widget.runtime.http.middleware.prefix import PrefixMiddleware
from qsession_widget.runtime.http.middleware.replay import ReplayMiddleware
from qsession_widget.runtime.http.resources import Resources
from qsession_widget.runtime.http.routes.backends import BackendRoutes
from qsession_widget.runtime.http.routes.beats import BeatRoutes
from qsession_widget.runtime.http.routes.clock import ClockRoutes
from qsession_widget.runtime.http.routes.gc import CollectionRoutes
from qsession_widget.runtime.http.routes.hosts import HostRoutes
from qsession_widget.runtime.http.routes.ibm_cloud import IbmCloudRoutes
from qsession_widget.runtime.http.routes.ids import IdRoutes
from qsession_widget.runtime.http.routes.jobs import JobRoutes
from qsession_widget.runtime.http.routes.proof import ProofRoutes
from qsession_widget.runtime.http.routes.results import ResultRoutes
from qsession_widget.runtime.http.routes.runtime import RuntimeRoutes
from qsession_widget.runtime.http.routes.sessions import SessionRoutes
from qsession_widget.runtime.http.routes.status import StatusRoutes
from qsession_widget.runtime.http.routes.users import UserRoutes
from qsession_widget.runtime.http.routes.watch import WatchRoutes
from qsession_widget.runtime.http.routes.workloads import WorkloadRoutes
from qsession_widget.runtime.http.serializers import Serializer
from qsession_widget.runtime.store.retention import Retention
from qsession_widget.runtime.store.store import Store, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.authentication import AuthenticationError
    from starlette.requests import HTTPConnection, Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.control.executor import MakeExecutor
    from qsession_widget.runtime.settings import Settings
    from qsession_widget.runtime.store.database import Database

log = logging.getLogger(__name__)

HUNG_UP = 499
"""Status in the log, as in nginx, of a request whose client has closed the connection."""


def create_app(
    settings: Settings,
    clock: Clock,
    token: str,
    version: str,
    database: Database,
    *,
    on_ready: Callable[[], None],
    shut_down: Callable[[], None],
    make_executor: MakeExecutor | None = None,
) -> Starlette:
    """Build the application.

    Args:
        settings: of the runtime.
        clock: for the times of sessions and jobs.
        token: the administrator's bearer token.
        version: of the package; clients are told.
        database: keeps the store.
        on_ready: is called as soon as requests can be answered.
        shut_down: ends the server.
        make_executor: makes what runs the jobs; None takes worker processes on this machine.
    """
    catalog = Catalog(settings.copies, settings.aliases, settings.devices)
    store = Store(database)
    store.superseded = shut_down
    registry = UserRegistry(token, store.users())
    coordinator = Coordinator(
        store,
        clock,
        settings,
        several_owners=lambda: registry.several,
        is_known=lambda owner: registry.hash_for(owner) is not None,
        make_executor=make_executor,
    )
    resources = Resources(catalog, store)
    serializer = Serializer(clock, coordinator)
    removed = DeletedJobs()
    large = LargeTexts()
    tokens = Tokens(token, registry)
    acts = AnswersByKey()
    results = ResultRoutes(store, coordinator, resources, serializer, large)
    retention = Retention(store, clock, settings)
    routes = [
        # Starlette tries them in turn: those that are requested most come first.
        *results.routes(),
        *IdRoutes(store).routes(),
        *WatchRoutes(clock, store, coordinator, serializer, removed).routes(),
        *JobRoutes(
            settings, clock, store, coordinator, resources, serializer, removed, acts, large
        ).routes(),
        *SessionRoutes(settings, coordinator, resources, serializer, acts).routes(),
        *BackendRoutes(resources, coordinator).routes(),
        *RuntimeRoutes(settings, clock, catalog, coordinator, version, shut_down).routes(),
        *WorkloadRoutes(store, coordinator).routes(),
        *IbmCloudRoutes(registry, tokens).routes(),
        *ProofRoutes(token).routes(),
        *CollectionRoutes(store, retention, acts).routes(),
        *StatusRoutes(clock, store, coordinator, version).routes(),
        *BeatRoutes(coordinator).routes(),
        *HostRoutes(coordinator).routes(),
        *UserRoutes(registry, store, coordinator, acts).routes(),
        *ClockRoutes(clock, coordinator, acts).routes(),
    ]
    routes.append(openapi.route(routes, settings.max_session_seconds))
    activity = _Activity()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            coordinator.start()
            background = [
                asyncio.create_task(_end_when_idle(settings, coordinator, activity, shut_down)),
                asyncio.create_task(retention.run()),
            ]
            on_ready()
            yield
            for each in background:
                each.cancel()
            await results.end()
        finally:
            coordinator.stop()
            await coordinator.close()
            await asyncio.to_thread(store.close)

    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(activity.middleware),
            Middleware(PrefixMiddleware, routes=routes),
            Middleware(AnswerIdentityMiddleware),
            Middleware(
                AuthenticationMiddleware,
                backend=TokenAuthentication(registry, tokens),
                on_error=_refuse,
            ),
            Middleware(ReplayMiddleware, max_body_bytes=settings.max_body_bytes),
        ],
        exception_handlers={
            errors.Problem: errors.answer,
            HTTPException: _no_such_route,
            TooManyError: _too_many,
            KeyReusedError: _key_reused,
            UnknownOwnerError: _removed,
            StoreUnavailableError: _unavailable,
            ClientDisconnect: _hung_up,
            Exception: _fault,
        },
        lifespan=lifespan,
    )
    app.state.release = coordinator.notifier.close
    return app


class _Activity:
    """Tracks when the last request came, and how many are being answered."""

    def __init__(self) -> None:
        self._running = 0
        self._last = time.monotonic()

    @property
    def quiet_seconds(self) -> float:
        """For how long there has been no request; 0 while one is being answered."""
        return 0.0 if self._running else time.monotonic() - self._last

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Wrap an application so that its requests are counted."""

        async def observed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                # It lasts as long as the runtime, and is not a request.
                await app(scope, receive, send)
                return
            self._running += 1
            try:
                await app(scope, receive, send)
            finally:
                self._running -= 1
                self._last = time.monotonic()

        return observed


async def _end_when_idle(
    settings: Settings,
    coordinator: Coordinator,
    activity: _Activity,
    shut_down: Callable[[], None],
) -> None:
    limit = settings.idle_exit_seconds
    while limit:
        await asyncio.sleep(min(limit, 60))
        if coordinator.idle and activity.quiet_seconds >= limit:
            log.info("nothing to do for %s s: the runtime ends", limit)
            shut_down()
            return


def _refuse(_connection: HTTPConnection, error: AuthenticationError) -> Response:
    if not isinstance(error, CrowdedError):
        return errors.as_response(errors.unauthorized())
    answer = errors.as_response(errors.too_many_connections())
    answer.headers["Connection"] = "close"
    return answer


async def _hung_up(request: Request, _error: Exception) -> Response:
    """Log that the client closed its connection before the whole body had come."""
    log.info(
        "%s %s %s: its client hung up before the whole body had arrived",
        access_log.request_id(),
        request.method,
        access_log.path_of(request.scope),
    )
    return Response(status_code=HUNG_UP)


async def _no_such_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    what = f"{request.method} {request.url.path}"
    missing = status == HTTPStatus.NOT_FOUND
    message = f"{what} does not exist." if missing else f"{what}: {error}"
    answer = errors.as_response(errors.Problem(status, 1200, message))
    methods = {
        method
        for route in request.app.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods
    }
    if methods:
        # Starlette names the methods of one route only.
        answer.headers["Allow"] = ", ".join(sorted(methods))
    return answer


async def _too_many(_request: Request, error: Exception) -> Response:
    if not isinstance(error, TooManyError):
        raise error
    return errors.as_response(errors.too_many(error.count, error.limit, error.what))


async def _key_reused(_request: Request, error: Exception) -> Response:
    return errors.as_response(errors.key_reused(str(error)))


async def _removed(_request: Request, _error: Exception) -> Response:
    return errors.as_response(errors.unauthorized())


async def _unavailable(_request: Request, error: Exception) -> Response:
    return errors.as_response(errors.store_unavailable(str(error)))


async def _fault(request: Request, error: Exception) -> Response:
    log.error(
        "%s %s %s failed",
        access_log.request_id(),
        request.method,
        access_log.path_of(request.scope),
        exc_info=error,
        extra={"fields": {"request_id": access_log.request_id()}},
    )
    message = f"The runtime failed: {type(error).__name__}. Its log says more."
    return errors.as_response(errors.Problem(500, 1000, message))
