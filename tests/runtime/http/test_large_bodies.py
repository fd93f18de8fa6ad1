"""A limited number of one user's large bodies is in memory at once."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from qsession_widget.runtime.http import large_bodies, parsing
from tests.runtime.http.test_parsing import SETTINGS


async def test_large_bodies_of_a_user_are_limited() -> None:
    """One for each connection would be hundreds of gigabytes."""
    first = b'{"params": {"pubs": [["' + b"x" * 2**20
    read_on: list[str] = []

    bodies = large_bodies.LargeBodies()
    go_on = asyncio.Event()

    async def bring(owner: str) -> None:
        chunks = [b" ", first, b'"]]}}']

        async def receive() -> dict[str, Any]:
            chunk = chunks.pop(0)
            if chunk is not first and not chunks:
                read_on.append(owner)
                await go_on.wait()
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

        request = Request({"type": "http", "method": "POST", "headers": []}, receive)
        async with bodies.room(owner) as room:
            await parsing.job_body(request, SETTINGS, room)

    async with asyncio.TaskGroup() as group:
        for owner in ("ada", "ada", "ada", "ada", "bob"):
            group.create_task(bring(owner))
        for _ in range(50):
            await asyncio.sleep(0)
        assert sorted(read_on) == ["ada", "ada", "bob"]
        go_on.set()
    assert sorted(read_on) == ["ada"] * 4 + ["bob"]
