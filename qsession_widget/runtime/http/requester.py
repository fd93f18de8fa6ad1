"""Who sends a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.authentication import BaseUser, has_required_scope

from qsession_widget.runtime.auth.user_registry import ADMINISTRATOR
from qsession_widget.runtime.http import errors, parsing

if TYPE_CHECKING:
    from starlette.requests import Request

    from qsession_widget.runtime.auth.user_registry import UserRegistry


class Requester(BaseUser):
    """Who asks, for as long as the token that he has shown is good."""

    def __init__(self, name: str, registry: UserRegistry) -> None:
        self._name, self._registry = name, registry
        self._hash = registry.hash_for(name)

    @property
    def is_authenticated(self) -> bool:
        """Whether he is still known by the same token."""
        return self._hash is not None and self._registry.hash_for(self._name) == self._hash

    @property
    def display_name(self) -> str:
        """His name."""
        return self._name

    @property
    def username(self) -> str:
        """His name, as the owner of what is his."""
        return self._name


def is_administrator(request: Request) -> bool:
    """Whether the administrator asks."""
    return has_required_scope(request, [ADMINISTRATOR])


def require_administrator(request: Request) -> None:
    """Refuse everyone but the administrator.

    Raises:
        errors.Problem: 403.
    """
    parsing.owner(request)
    if not is_administrator(request):
        raise errors.forbidden(f"{request.method} {request.url.path}")
