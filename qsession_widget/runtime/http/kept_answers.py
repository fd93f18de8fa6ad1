"""Keeps answers for a while, for clients whose connection broke before they received them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from starlette.responses import PlainTextResponse

from qsession_widget.runtime.control.admission import KeyReusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from starlette.types import Receive, Scope, Send

T = TypeVar("T")

KEPT_SECONDS = 60.0
"""Clients retry for half a minute."""

HANG_UP_SECONDS = 0.5
"""Within this time a client closes a connection that broke in the middle of an answer."""

_MOST = 256


class _Given(NamedTuple):
    key: str | None
    at: float
    lost: bool


class GivenOnce:
    """Remembers which private results were returned, and which requests may have them again.

    Those are requests with the same key. If the first request sent none, it is the request that
    follows a connection which ended as soon as the answer was on its way.
    """

    def __init__(self) -> None:
        self._given: OrderedDict[str, _Given] = OrderedDict()

    def may_have(self, job_id: str, key: str | None) -> bool:
        """Whether a request with this key, or without one, may have a job's result now."""
        found = self._given.get(job_id)
        if found is None:
            return True
        fresh = time.monotonic() - found.at < KEPT_SECONDS
        return fresh and (found.lost or (key is not None and key == found.key))

    def give(self, job_id: str, key: str | None, *, lost: bool = False) -> bool:
        """Note that a result was returned, and whether its connection broke.

        Returns:
            Whether that was the first time.
        """
        before = self._given.get(job_id)
        at = before.at if before else time.monotonic()
        self._given[job_id] = _Given(key, at, lost)
        return before is None

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._given

    def forget(self, job_id: str) -> None:
        """Forget a job whose result was deleted."""
        self._given.pop(job_id, None)

    @property
    def jobs(self) -> list[str]:
        """Ids of the jobs whose results are kept, oldest first."""
        return list(self._given)


class _Act(NamedTuple):
    what: str
    task: asyncio.Task[Any]


class AnswersByKey:
    """Makes requests idempotent: acts once for each key of an owner, and keeps the answer."""

    def __init__(self) -> None:
        self._acts: dict[tuple[str, str], _Act] = {}

    async def once(
        self, owner: str, key: str | None, what: str, act: Callable[[], Coroutine[Any, Any, T]]
    ) -> T:
        """Act, or return the outcome of the same request if it came before.

        Args:
            owner: who asks.
            key: the request's idempotency key; None if each request is to act.
            what: describes the action, and distinguishes it from all others.
            act: performs the action. A failed one may be tried again.

        Raises:
            KeyReusedError: where the key came with another request.
        """
        if key is None:
            return await act()
        place = owner, key
        known = self._acts.get(place)
        if known is None:
            known = self._acts[place] = _Act(what, asyncio.create_task(act()))
            known.task.add_done_callback(partial(self._keep, place))
        elif known.what != what:
            raise KeyReusedError(key, known.what)
        # A client that hangs up will ask again, so the action goes on.
        return cast("T", await asyncio.shield(known.task))

    def _keep(self, place: tuple[str, str], done: asyncio.Task[Any]) -> None:
        if done.cancelled() or done.exception() is not None:
            del self._acts[place]
            return
        done.get_loop().call_later(KEPT_SECONDS, self._acts.pop, place)


class DeletedJobs:
    """Jobs that were deleted, by session, for clients that still show them."""

    def __init__(self) -> None:
        self._of_session: OrderedDict[str, OrderedDict[int, str]] = OrderedDict()

    def add(self, session_id: str, revision: int, job_id: str) -> None:
        """Add a job of a session that was deleted."""
        gone = self._of_session.setdefault(session_id, OrderedDict())
        gone[revision] = job_id
        self._of_session.move_to_end(session_id)
        if len(gone) > _MOST:
            gone.popitem(last=False)
        if len(self._of_session) > _MOST:
            self._of_session.popitem(last=False)

    def since(self, session_id: str, revision: int) -> dict[int, str]:
        """Return the jobs deleted after a revision, by the revision of their deletion."""
        gone: Mapping[int, str] = self._of_session.get(session_id, {})
        # A client that asks from revision 0 knows no jobs yet.
        return {at: job for at, job in gone.items() if at > revision} if revision else {}


async def end(receive: Receive, send: Send, heard: Callable[[bool], Awaitable[None]]) -> None:
    """End a response whose body was sent, once the client has had time to hang up.

    Args:
        receive: as ASGI has it.
        send: as ASGI has it.
        heard: is awaited with True if the client hung up, else with False.
    """
    lost = True
    try:
        async with asyncio.timeout(HANG_UP_SECONDS):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        lost = False
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    await heard(lost)


class AttentiveAnswer(PlainTextResponse):
    """A text response that reports whether the client hung up as soon as it was sent.

    Args:
        text: the text.
        heard: is awaited with True if the client hung up, else with False.
    """

    def __init__(self, text: str, heard: Callable[[bool], Awaitable[None]]) -> None:
        super().__init__(text)
        self._heard = heard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response (ASGI)."""
        del scope
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        # The client knows the length, and has all of the body before the response ends here.
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await end(receive, send, self._heard)
