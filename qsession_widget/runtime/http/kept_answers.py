"""What is kept a while for clients that did not get it: results given once, what one act did."""

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
"""Clients try again for half a minute."""

HANG_UP_SECONDS = 0.5
"""How soon a client hangs up whose connection broke in the middle of an answer."""

_MOST = 256


class _Given(NamedTuple):
    key: str | None
    at: float
    lost: bool


class GivenOnce:
    """Who was given the result of a private job, and may have it again for a while.

    Those are a client that asks with the same key, and, where the first one sent none, whoever
    asks after a connection that ended as soon as the answer was on its way.
    """

    def __init__(self) -> None:
        self._given: OrderedDict[str, _Given] = OrderedDict()

    def may_have(self, job_id: str, key: str | None) -> bool:
        """Whether a job's result may be given now to who asks with a key, or without one."""
        found = self._given.get(job_id)
        if found is None:
            return True
        fresh = time.monotonic() - found.at < KEPT_SECONDS
        return fresh and (found.lost or (key is not None and key == found.key))

    def give(self, job_id: str, key: str | None, *, lost: bool = False) -> bool:
        """Note that it was given, and whether the connection ended with it; True for once."""
        before = self._given.get(job_id)
        at = before.at if before else time.monotonic()
        self._given[job_id] = _Given(key, at, lost)
        return before is None

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._given

    def forget(self, job_id: str) -> None:
        """Forget a job whose result is gone."""
        self._given.pop(job_id, None)

    @property
    def jobs(self) -> list[str]:
        """Ids of the jobs whose results are kept, the first one first."""
        return list(self._given)


class _Act(NamedTuple):
    what: str
    task: asyncio.Task[Any]


class AnswersByKey:
    """Does each act once for an owner's key, and keeps for a while what came of it."""

    def __init__(self) -> None:
        self._acts: dict[tuple[str, str], _Act] = {}

    async def once(
        self, owner: str, key: str | None, what: str, act: Callable[[], Coroutine[Any, Any, T]]
    ) -> T:
        """Act, or return what came, or is about to come, of it when it was asked for before.

        Args:
            owner: who asks.
            key: the request's idempotency key; None where every request is one of its own.
            what: is asked for, in words that tell it from everything else.
            act: does it. An act that fails may be tried again.

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
        # A client that hangs up must not undo what it will ask for again.
        return cast("T", await asyncio.shield(known.task))

    def _keep(self, place: tuple[str, str], done: asyncio.Task[Any]) -> None:
        if done.cancelled() or done.exception() is not None:
            del self._acts[place]
            return
        done.get_loop().call_later(KEPT_SECONDS, self._acts.pop, place)


class Removed:
    """Jobs that were deleted, by session, for who knows them still."""

    def __init__(self) -> None:
        self._of_session: OrderedDict[str, OrderedDict[int, str]] = OrderedDict()

    def add(self, session_id: str, revision: int, job_id: str) -> None:
        """Note that a job of a session was deleted."""
        gone = self._of_session.setdefault(session_id, OrderedDict())
        gone[revision] = job_id
        self._of_session.move_to_end(session_id)
        if len(gone) > _MOST:
            gone.popitem(last=False)
        if len(self._of_session) > _MOST:
            self._of_session.popitem(last=False)

    def since(self, session_id: str, revision: int) -> dict[int, str]:
        """Give the jobs that were deleted after a revision, by the revisions of that."""
        gone: Mapping[int, str] = self._of_session.get(session_id, {})
        # Who knows nothing yet need not be told what there is not.
        return {at: job for at, job in gone.items() if at > revision} if revision else {}


class AttentiveAnswer(PlainTextResponse):
    """A text, and afterwards word of whether the client hung up as soon as it was sent.

    Args:
        text: the text.
        heard: is awaited with True where the client hung up, with False where it did not.
    """

    def __init__(self, text: str, heard: Callable[[bool], Awaitable[None]]) -> None:
        super().__init__(text)
        self._heard = heard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it (ASGI)."""
        del scope
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        # The length is known, so that the client has all of it before the answer is ended here.
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        lost = True
        try:
            async with asyncio.timeout(HANG_UP_SECONDS):
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            lost = False
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        await self._heard(lost)
