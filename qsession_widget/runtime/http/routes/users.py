"""Routes that add, list and remove users."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.auth.user_registry import UserRegistry, hash_of
from qsession_widget.runtime.http import errors, parsing, serializers
from qsession_widget.runtime.http.requester import require_administrator
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.runtime.model.user import User
from qsession_widget.runtime.store.writes import AddUser, RemoveUser

if TYPE_CHECKING:
    from starlette.requests import Request

    from qsession_widget.runtime.control.coordinator import Coordinator
    from qsession_widget.runtime.http.kept_answers import AnswersByKey
    from qsession_widget.runtime.store.store import Store

log = logging.getLogger(__name__)

NAME_PATTERN = "[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"


@dataclass(frozen=True)
class UserRoutes:
    """The endpoints below `/qsession/users`, for the administrator only.

    Attributes:
        acts: answers to actions that a client may request again.
        changing: is held while a user is added or removed.
    """

    registry: UserRegistry
    store: Store
    coordinator: Coordinator
    acts: AnswersByKey
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def routes(self) -> list[Route]:
        """Return every route, relative to the API's prefix."""
        return [
            Route("/qsession/users", self.list_users),
            Route("/qsession/users", self.add_user, methods=["POST"]),
            Route("/qsession/users/{name}", self.remove_user, methods=["DELETE"]),
        ]

    async def list_users(self, request: Request) -> Response:
        """GET /qsession/users: list the users that were added."""
        require_administrator(request)
        return JsonAnswer(
            {
                "users": [
                    {"name": user.name, "created_at": serializers.instant(user.created_at)}
                    for user in self.registry.users
                ]
            }
        )

    async def add_user(self, request: Request) -> Response:
        """POST /qsession/users: add a user, and return their token, once only."""
        require_administrator(request)
        body = await parsing.body(request, bounds.SMALL_BODY_BYTES)
        name = parsing.required_text(body, "name")
        if not re.fullmatch(NAME_PATTERN, name):
            raise errors.bad_request(
                f"name is {name!r:.80}.",
                "Allowed are 1 to 64 letters, digits, '.', '_', '@' and '-', the first of them a "
                "letter or digit.",
            )
        token = await self.acts.once(
            parsing.owner(request),
            parsing.idempotency_key(request),
            f"adding user {name}",
            partial(self._add, name),
        )
        return JsonAnswer({"name": name, "token": token})

    async def _add(self, name: str) -> str:
        """Add a user, and return their token."""
        async with self.changing:
            if self.registry.hash_for(name) is not None:
                raise errors.user_exists(name)
            token = secrets.token_urlsafe(32)
            user = User(name, self.coordinator.now, hash_of(token))
            await self.store.write(AddUser(user))
            self.registry.add(user)
        log.info("user %s was added", name)
        return token

    async def remove_user(self, request: Request) -> Response:
        """DELETE /qsession/users/{name}: void a user's token, and cancel their unfinished work."""
        require_administrator(request)
        name = request.path_params["name"]
        async with self.changing:
            if name not in {user.name for user in self.registry.users}:
                raise errors.user_not_found(name)
            await self.store.write(RemoveUser(name))
            self.registry.remove(name)
        self.coordinator.notifier.wake()
        await self.coordinator.cancel_all(name)
        log.info("user %s was removed", name)
        return Response(status_code=204)
