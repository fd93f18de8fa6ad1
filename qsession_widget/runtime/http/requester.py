"""The user who sends a request, and whether they are the administrator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.authentication import BaseUser, has_required_scope

from qsession_widget.runtime.http import errors, parsing
from qsession_widget.wire.fields import ADMINISTRATOR

if TYPE_CHECKING:
    from starlette.requests import Request

    from qsession_widget.runtime.auth.user_registry import UserRegistry


class Requester(BaseUser):
    """The user who sends a request. They are authenticated for as long as their token is valid."""

    def __init__(self, name: str, registry: UserRegistry) -> None:
        self._name, self._registry = name, registry
        self._hash = registry.hash_for(name)

    @property
    def is_authenticated(self) -> bool:
        """Whether the user still exists, with the same token."""
        return self._hash is not None and self._registry.hash_for(self._name) == self._hash

    @property
    def display_name(self) -> str:
        """The user's name."""
        return self._name

    @property
    def username(self) -> str:
        """The user's name, as the owner of resources."""
        return self._name


def is_administrator(request: Request) -> bool:
    """Whether the administrator sent the request."""
    return has_required_scope(request, [ADMINISTRATOR])


def require_administrator(request: Request) -> None:
    """Refuse everyone but the administrator.

    Raises:
        errors.Problem: 403.
    """
    parsing.owner(request)
    if not is_administrator(request):
        raise errors.forbidden(f"{request.method} {request.url.path}")
