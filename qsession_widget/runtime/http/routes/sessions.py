"""Routes of sessions: open, read, close and cancel them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.control.admission import NewSession
from qsession_widget.runtime.http import errors, parsing
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.wire.states import Mode

if TYPE_CHECKING:
    from starlette.requests import Request

    from qsession_widget.runtime.control.coordinator import Coordinator
    from qsession_widget.runtime.http.kept_answers import AnswersByKey
    from qsession_widget.runtime.http.resources import Resources
    from qsession_widget.runtime.http.serializers import Serializer
    from qsession_widget.runtime.settings import Settings

FIXED_TTLS = ("max_ttl", "interactive_ttl", "active_ttl")
"""Limits that a session gets when it is opened, and that cannot be changed afterwards."""


@dataclass(frozen=True)
class SessionRoutes:
    """The endpoints below `/sessions`.

    Attributes:
        acts: answers to actions that a client may request again.
    """

    settings: Settings
    coordinator: Coordinator
    resources: Resources
    serializer: Serializer
    acts: AnswersByKey

    def routes(self) -> list[Route]:
        """Return every route, relative to the API's prefix."""
        return [
            Route("/sessions", self.create_session, methods=["POST"]),
            Route("/sessions/{session_id}", self.read_session),
            Route("/sessions/{session_id}", self.patch_session, methods=["PATCH"]),
            Route("/sessions/{session_id}/close", self.cancel_session, methods=["DELETE"]),
            Route(
                "/qsession/sessions/{session_id}/cancel_queued",
                self.cancel_queued,
                methods=["POST"],
            ),
        ]

    async def create_session(self, request: Request) -> Response:
        """POST /sessions: open a session or a batch."""
        body = await parsing.body(request, bounds.SMALL_BODY_BYTES)
        device = self.resources.backend(
            parsing.required_text(body, "backend", body.get("backend_name"))
        )
        if device.simulator:
            raise errors.bad_request(
                f"{device.name} is a simulator; simulators have no sessions.",
                "Send its jobs without a session.",
            )
        mode = parsing.required_text(body, "mode", Mode.DEDICATED.value)
        if mode not in set(Mode):
            raise errors.bad_request(
                f"mode is {mode!r:.80}.",
                f"Allowed are {', '.join(repr(each.value) for each in Mode)}.",
            )
        # There is only one instance; its name is checked like other names.
        parsing.optional_text(body, "instance")
        extra = parsing.extras(body)
        max_seconds = self._max_seconds(body)
        idle_limit = self.settings.interactive_limit(Mode(mode))
        wanted = NewSession(
            parsing.owner(request),
            device.name,
            Mode(mode),
            max_seconds,
            parsing.seconds_up_to(body, "interactive_ttl", idle_limit),
            parsing.seconds_up_to(body, "active_ttl", max_seconds),
            parsing.optional_text(extra, "name") or "",
            parsing.optional_text(extra, "place") or "",
            parsing.process(extra),
        )
        key = parsing.idempotency_key(request)
        session_id = await self.coordinator.create_session(wanted, key)
        session = await self.resources.session(request, session_id)
        return JsonAnswer(self.serializer.session(session))

    async def read_session(self, request: Request) -> Response:
        """GET /sessions/{id}: read a session."""
        return JsonAnswer(self.serializer.session(await self.resources.session(request)))

    async def patch_session(self, request: Request) -> Response:
        """PATCH /sessions/{id}: close a session; its jobs finish."""
        session = await self.resources.session(request)
        body = await parsing.body(request, bounds.SMALL_BODY_BYTES)
        if body.get("accepting_jobs") is not False:
            raise errors.bad_request(
                f"accepting_jobs is {body.get('accepting_jobs')!r:.80}.",
                "Only false is allowed: a session cannot be opened again.",
            )
        fixed = [name for name in FIXED_TTLS if name in body]
        if fixed:
            raise errors.bad_request(
                f"{', '.join(fixed)} of a session cannot be changed.",
                "Open a session with other times, or leave them out.",
            )
        await self.coordinator.close_session(session.id)
        return Response(status_code=204)

    async def cancel_session(self, request: Request) -> Response:
        """DELETE /sessions/{id}/close: cancel a session; running jobs finish."""
        session = await self.resources.session(request)
        await self.coordinator.cancel_session(session.id)
        return Response(status_code=204)

    async def cancel_queued(self, request: Request) -> Response:
        """POST /qsession/sessions/{id}/cancel_queued: cancel a session's queued jobs only."""
        session = await self.resources.session(request)
        key = parsing.idempotency_key(request)
        act = partial(self.coordinator.cancel_queued, session.id)
        what = f"cancelling what is queued in session {session.id}"
        return JsonAnswer({"cancelled": await self.acts.once(session.owner, key, what, act)})

    def _max_seconds(self, body: dict[str, Any]) -> int:
        limit = self.settings.max_session_seconds
        seconds = parsing.seconds_up_to(body, "max_ttl", limit)
        return limit if seconds is None else seconds
