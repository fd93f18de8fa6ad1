"""Bounds how many large bodies of one user are in memory at once.

A user may have hundreds of connections, each of which may bring as much as `max_body_bytes`, or ask
for a result of `max_result_bytes` and read it slowly.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT_ONCE = 2
"""Large bodies of one user that are read or sent. Further ones wait."""


class Room:
    """The place that one request takes once its body turns out to be large."""

    def __init__(self, places: asyncio.Semaphore, held: AsyncExitStack) -> None:
        self._places = places
        self._held = held

    async def enter(self) -> None:
        """Wait for room, and hold it until the request is answered."""
        await self._held.enter_async_context(self._places)


class LargeBodies:
    """The room that each user has."""

    def __init__(self) -> None:
        self._places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, owner: str) -> asyncio.Semaphore:
        """Return a user's places."""
        return self._places.setdefault(owner, asyncio.Semaphore(AT_ONCE))

    @asynccontextmanager
    async def room(self, owner: str) -> AsyncIterator[Room]:
        """Yield a room for a request of a user; its places are free again at the end."""
        async with AsyncExitStack() as held:
            yield Room(self.of(owner), held)
