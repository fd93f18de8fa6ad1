"""Parses requests, and rejects what is not valid."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from qsession_widget.runtime import bounds, pieces
from qsession_widget.runtime.http import errors
from qsession_widget.runtime.http import job_body as job_body_reader
from qsession_widget.runtime.pieces import PIECE_BYTES, Content
from qsession_widget.wire import processes
from qsession_widget.wire.documents import LARGEST
from qsession_widget.wire.fields import EXTRA, IDEMPOTENCY_KEY

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from qsession_widget.runtime.bounds import Bound
    from qsession_widget.runtime.http.job_body import Body
    from qsession_widget.runtime.http.large_bodies import Room
    from qsession_widget.runtime.http.requested_shots import RequestedShots
    from qsession_widget.runtime.settings import Settings

MAX_PAGE = bounds.PAGE
DEFAULT_PAGE = 20
MAX_OPTIMIZATION_LEVEL = 3
LARGE_BYTES = 2**20
"""A larger body has to find room."""

ELSEWHERE_BYTES = 4 * 2**20
"""A larger body is parsed in a process of its own: here it would hold up all other requests."""

_readers = ThreadPoolExecutor(2, "job-reader")
"""Each waits for a process that parses a body."""


async def body(request: Request, limit: int) -> dict[str, Any]:
    """Parse a request's body, which must be a JSON object."""
    try:
        return job_body_reader.decode(await _read_body(request, limit), dict[str, Any])
    except job_body_reader.RefusedError as error:
        raise errors.bad_request(error.message, error.solution) from error


class Payload(NamedTuple):
    """The `params` of a new job.

    Attributes:
        text: the JSON object as it was received; a long one in pieces.
        pubs: how many pubs it has; None for a program without pubs.
        requested: how many shots it asks for, as far as that can be seen.
        role: what a quantum program stands for, such as "estimator"; None if it does not say.
    """

    text: str | Content
    pubs: int | None
    requested: list[RequestedShots]
    role: str | None


async def job_body(
    request: Request, limits: Settings, room: Room | None = None
) -> tuple[dict[str, Any], Payload]:
    """Parse the body of a new job, and its `params` apart from the rest.

    The params are validated as JSON but not decoded: for a large circuit that would delay all other
    requests, and the worker decodes them anyway.

    Args:
        request: the request.
        limits: of the runtime.
        room: is entered before more of a large body is kept.
    """
    raw = await _read_body(request, limits.max_body_bytes, room)
    try:
        if len(raw) > ELSEWHERE_BYTES:
            found, params = await asyncio.get_running_loop().run_in_executor(
                _readers, _read_elsewhere, raw, limits.max_circuits
            )
        else:
            found = job_body_reader.read(raw, limits.max_circuits)
            params = _params(raw, found)
    except job_body_reader.RefusedError as error:
        raise errors.bad_request(error.message, error.solution) from error
    return found.rest, Payload(params, found.pubs, found.requested, found.role)


def _read_elsewhere(raw: bytearray, max_circuits: int) -> tuple[Body, str | Content]:
    found = job_body_reader.read_elsewhere(raw, max_circuits)
    return found, _params(raw, found)


def _params(raw: bytearray, found: Body) -> str | Content:
    """Return the params of a body; long ones where they are, without a copy."""
    view = memoryview(raw)[found.start : found.start + found.size]
    if found.size <= PIECE_BYTES:
        return str(view, "utf-8")
    cut = pieces.cut(view)
    return Content(cut, pieces.digest(cut))


async def _read_body(request: Request, limit: int, room: Room | None = None) -> bytearray:
    raw = bytearray()
    async for chunk in request.stream():
        if room is not None and len(raw) <= LARGE_BYTES < len(raw) + len(chunk):
            # Until there is room, nothing more is read from the connection.
            await room.enter()
        raw += chunk
        if len(raw) > limit:
            raise errors.body_too_large(limit)
    return raw


def owner(request: Request) -> str:
    """Return the user who sent the request, who owns what it creates.

    Raises:
        errors.Problem: 401 if the user was removed while the request came in or was held.
    """
    if not request.user.is_authenticated:
        raise errors.unauthorized()
    return str(request.user.username)


def required_text(
    body: dict[str, Any], name: str, default: Any = None, bound: Bound = bounds.NAME
) -> str:
    """Parse a required text."""
    value = body.get(name, default)
    if not isinstance(value, str) or not value:
        raise errors.bad_request(f"{name} is {value!r:.80}.", "It must be a string.")
    return within(value, name, bound)


def optional_text(body: dict[str, Any], name: str, bound: Bound = bounds.NAME) -> str | None:
    """Parse an optional text."""
    return None if body.get(name) is None else required_text(body, name, bound=bound)


def within(value: str, name: str, bound: Bound) -> str:
    """Return a string if it is not too long, and has no NUL, which not every store can keep."""
    if "\0" in value:
        raise errors.bad_request(
            f"{name} has a NUL character: {value!r:.80}.", "Allowed are all other characters."
        )
    if len(value) > bound.most:
        raise errors.bad_request(
            f"{name} has {len(value)} characters: {value!r:.80}.", f"Allowed are at most {bound}."
        )
    return value


def query_text(query: QueryParams, name: str, bound: Bound = bounds.NAME) -> str | None:
    """Parse an optional text of a query."""
    value = query.get(name)
    return None if value is None else within(value, name, bound)


def query_list(query: QueryParams, name: str, bound: Bound, each: Bound) -> list[str]:
    """Parse a parameter that may be repeated in a query, without duplicates."""
    values = list(dict.fromkeys(query.getlist(name)))
    if len(values) > bound.most:
        raise errors.bad_request(
            f"{name} is given {len(values)} times.", f"Allowed are at most {bound}."
        )
    return [within(value, name, each) for value in values]


def query_tags(query: QueryParams) -> tuple[str, ...]:
    """Parse the tags by which a list is filtered."""
    return tuple(query_list(query, "tags", bounds.TAGS, bounds.TAG))


def idempotency_key(request: Request) -> str | None:
    """Parse the idempotency key."""
    key = request.headers.get(IDEMPOTENCY_KEY)
    return None if key is None else within(key, IDEMPOTENCY_KEY, bounds.KEY)


def seconds_up_to(body: dict[str, Any], name: str, limit: int) -> int | None:
    """Parse optional whole seconds up to a limit. null is not allowed."""
    if name not in body:
        return None
    value = body[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= limit:
        raise errors.bad_request(
            f"{name} is {value!r:.80}.", f"Allowed are whole seconds from 1 to {limit}."
        )
    return value


def optional_seconds(body: dict[str, Any], name: str) -> int | None:
    """Parse optional whole seconds. null means none."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        raise errors.bad_request(
            f"{name} is {value!r:.80}.", f"Allowed are whole seconds from 1 to {LARGEST}."
        )
    return value


def extras(body: dict[str, Any]) -> dict[str, Any]:
    """Parse our own additions to a job or a session."""
    extra = body.get(EXTRA, {})
    if not isinstance(extra, dict):
        raise errors.bad_request(
            f"{EXTRA} is {extra!r:.80}.", "It has to be an object, such as with process."
        )
    return extra


def process(extra: dict[str, Any]) -> str:
    """Parse the name of the process that sends a request; empty if it is not given."""
    name = optional_text(extra, "process") or ""
    if name and not processes.is_name(name):
        raise errors.bad_request(
            f"process is {name!r:.80}.", "It has to name a machine, a process and its start."
        )
    return name


def optimization_level(extra: dict[str, Any]) -> int:
    """Parse the level at which bare circuits are transpiled."""
    level = extra.get("optimization_level", 1)
    if type(level) is not int or not 0 <= level <= MAX_OPTIMIZATION_LEVEL:
        raise errors.bad_request(
            f"optimization_level is {level!r:.80}.", f"Allowed are 0 to {MAX_OPTIMIZATION_LEVEL}."
        )
    return level


def tags(body: dict[str, Any]) -> tuple[str, ...]:
    """Parse a list of tags."""
    found = body.get("tags") or []
    if not isinstance(found, list) or not all(isinstance(tag, str) for tag in found):
        raise errors.bad_request(f"tags is {found!r:.80}.", "It has to be a list of texts.")
    if len(found) > bounds.TAGS.most:
        raise errors.bad_request(
            f"tags has {len(found)} tags: {found!r:.80}.", f"Allowed are at most {bounds.TAGS}."
        )
    return tuple(within(tag, "A tag", bounds.TAG) for tag in found)


def count(text: str | None, name: str, default: int, limit: int) -> int:
    """Parse a number of a query. A number above the limit counts as the limit."""
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise errors.bad_request(f"{name} is {text!r:.80}.", "It has to be a whole number from 0.")
    return min(value, limit)


def time(text: str | None) -> datetime | None:
    """Parse a time of a query; without a time zone it is UTC."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise errors.bad_request(f"{text!r:.80} is no time.", "Use ISO 8601.") from error
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def flag(text: str | None, name: str) -> bool | None:
    """Parse "true" or "false" of a query, in any case; None if it is missing."""
    if text is None:
        return None
    value = {"true": True, "false": False}.get(text.lower())
    if value is None:
        raise errors.bad_request(f"{name} is {text!r:.80}.", "Allowed are 'true' and 'false'.")
    return value


def ascending(text: str | None) -> bool:
    """Parse the order of a list; without one, the newest comes first."""
    value = {"ASC": True, "DESC": False}.get("DESC" if text is None else text.upper())
    if value is None:
        raise errors.bad_request(f"sort is {text!r:.80}.", "Allowed are 'ASC' and 'DESC'.")
    return value
