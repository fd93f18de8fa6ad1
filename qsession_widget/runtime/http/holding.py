"""Holds requests until there is something to answer (long polling)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from qsession_widget.runtime.http import parsing
from qsession_widget.wire.fields import PREFER, PREFERENCE_APPLIED, wait_preference

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from qsession_widget.runtime.control.notifier import Notifier

T = TypeVar("T")


async def hold(
    notifier: Notifier,
    request: Request,
    key: str,
    look: Callable[[], Awaitable[T | None]],
    seconds: float,
) -> T | None:
    """Hold a request until `look` returns something.

    Args:
        notifier: wakes the request.
        request: the request.
        key: id of the session or job whose changes wake it.
        look: returns the answer, or None while there is none yet.
        seconds: the longest time that the request is held.

    Returns:
        What `look` returned; None when the time is up.
    """
    with notifier.watch(key) as changed:
        try:
            async with asyncio.timeout(seconds):
                while (found := await look()) is None and not notifier.closed:
                    await changed.wait()
                    changed.clear()
                    # The user may have been removed meanwhile.
                    parsing.owner(request)
        except TimeoutError:
            return None
    return found


async def hold_as_preferred(
    notifier: Notifier, request: Request, key: str, look: Callable[[], Awaitable[T | None]]
) -> tuple[T | None, dict[str, str]]:
    """Hold a request for as long as its `Prefer: wait` header allows.

    Returns:
        What `look` returned, and the headers that tell the client whether the request was held.
    """
    seconds = wait_preference(request.headers.get(PREFER))
    if not seconds:
        return await look(), {}
    return await hold(notifier, request, key, look, seconds), {PREFERENCE_APPLIED: "wait"}
