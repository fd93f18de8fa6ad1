"""Ids that are shortened to their first characters, as people type them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from qsession_widget.errors import AmbiguousIdError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.transport.rest import RuntimeApi

Kind = Literal["session", "job"]

_SHORTEST, _LONGEST = 4, 36
"""Characters of what is completed; the longest id is a session's."""

_SHOWN = 10

_T = TypeVar("_T")


class Completes(Protocol):
    """A service that may complete shortened ids."""

    @property
    def api(self) -> RuntimeApi:
        """The REST API."""

    @property
    def features(self) -> frozenset[str]:
        """What it can do beyond IBM's REST API."""


def ask_by_id(service: Completes, kind: Kind, text: str, ask: Callable[[str], _T]) -> _T:
    """Ask for something by its id, or by the first characters of its id.

    Args:
        service: whose ids they are; only local runtimes complete them.
        kind: whose id it is.
        text: an id, or at least its first four characters.
        ask: asks for it by its whole id.

    Raises:
        NotFoundError: if no id begins with it.
        AmbiguousIdError: if several do.
    """
    try:
        return ask(text)
    except NotFoundError:
        if not _SHORTEST <= len(text) <= _LONGEST or "ids" not in service.features:
            raise
        found = service.api.ids(kind, text)
        if not found:
            raise
    return ask(only_one(kind, text, found))


def only_one(kind: Kind, text: str, found: list[str]) -> str:
    """Return the only id of a list.

    Raises:
        AmbiguousIdError: if there are several.
    """
    if len(found) > 1:
        more = " and more" if len(found) > _SHOWN else ""
        raise AmbiguousIdError(
            f"{text!r} is the beginning of several {kind}s' ids: {', '.join(found[:_SHOWN])}{more}",
            candidates=tuple(found[:_SHOWN]),
        )
    return found[0]
