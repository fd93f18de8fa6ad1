"""A repeated POST gets the first response if that was not delivered, and only then."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from starlette.authentication import SimpleUser
from starlette.requests import Request
from starlette.responses import JSONResponse

from qsession_widget.runtime.http.middleware import replay
from qsession_widget.runtime.http.middleware.replay import ReplayMiddleware

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

LIMIT = 1000


@dataclass
class Runtime:
    """An app behind the middleware that counts what it creates, like POST /jobs."""

    created: list[bytes] = field(default_factory=list)
    status: int = 200

    def __post_init__(self) -> None:
        self.outside = ReplayMiddleware(self.answer, LIMIT)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.created.append(await Request(scope, receive).body())
        response = JSONResponse({"id": len(self.created)}, self.status)
        await response(scope, receive, send)

    async def post(
        self,
        body: bytes = b"job",
        *,
        stays: bool = True,
        path: str = "/jobs",
        owner: str = "me",
        key: str | None = None,
    ) -> bytes:
        """Send a request in two parts, and return the response's body."""
        middle = len(body) // 2
        messages: list[Message] = [
            {"type": "http.request", "body": body[:middle], "more_body": True},
            {"type": "http.request", "body": body[middle:], "more_body": False},
        ]
        if not stays:
            messages.append({"type": "http.disconnect"})
        sent: list[Message] = []

        async def receive() -> Message:
            if not messages:
                await asyncio.Event().wait()
            return messages.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [] if key is None else [(b"idempotency-key", key.encode())]
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path}
        scope |= {"headers": headers, "user": SimpleUser(owner)}
        await self.outside(scope, receive, send)
        assert sent[0]["status"] == self.status
        return b"".join(message["body"] for message in sent[1:])


async def test_an_undelivered_response_is_returned_to_a_repeated_request() -> None:
    runtime = Runtime()
    await runtime.post(stays=False)
    assert await runtime.post() == b'{"id":1}'
    assert await runtime.post() == b'{"id":2}', "it was returned once"
    assert runtime.created == [b"job", b"job"]


async def test_an_answered_request_is_processed_again() -> None:
    runtime = Runtime()
    assert [await runtime.post(), await runtime.post()] == [b'{"id":1}', b'{"id":2}']


@pytest.mark.parametrize(
    "other",
    [
        {"body": b"jot"},
        {"path": "/sessions"},
        {"owner": "you"},
        {"key": "1"},
        {"body": b"x" * 3000},
    ],
    ids=["body", "path", "owner", "key", "long"],
)
async def test_a_different_request_is_not_a_repetition(other: dict[str, Any]) -> None:
    runtime = Runtime()
    await runtime.post(stays=False)
    assert await runtime.post(**other) == b'{"id":2}'
    assert runtime.created[1] == other.get("body", b"job"), "it arrived completely"
    assert await runtime.post() == b'{"id":1}'


async def test_requests_with_a_key_are_matched_by_it() -> None:
    runtime = Runtime()
    await runtime.post(stays=False, key="1")
    assert await runtime.post() == b'{"id":2}'


async def test_a_refusal_is_not_kept() -> None:
    runtime = Runtime(status=400)
    await runtime.post(stays=False)
    assert await runtime.post() == b'{"id":2}'


async def test_other_requests_are_passed_through() -> None:
    runtime = Runtime()
    await runtime.post(stays=False, path="/jobs/x/cancel")
    assert await runtime.post(path="/jobs/x/cancel") == b'{"id":2}'


async def test_a_kept_response_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime()
    monkeypatch.setattr(replay, "KEPT_SECONDS", 0.0)
    await runtime.post(stays=False)
    assert await runtime.post() == b'{"id":2}'
    monkeypatch.setattr(replay, "_MOST", 2)
    for number in range(5):
        await runtime.post(str(number).encode(), stays=False)
    assert len(runtime.outside._unsent) == 2
