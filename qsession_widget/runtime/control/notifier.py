"""Wakes held requests when a session or a job that they watch has changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Notifier:
    """Events of held requests, by key: the id of a session or a job."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    @contextmanager
    def watch(self, key: str) -> Iterator[asyncio.Event]:
        """Return an event that is set at the next change of a key.

        Read the present state after entering, not before; to go on watching, clear the event
        before reading again.
        """
        event = asyncio.Event()
        if self._closed:
            event.set()
        self._waiting[key].add(event)
        try:
            yield event
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]

    def notify(self, keys: Iterable[str]) -> None:
        """Set the events of the keys that have changed."""
        for key in keys:
            for event in self._waiting.get(key, ()):
                event.set()

    def wake(self) -> None:
        """Set all events: every held request reads again."""
        self.notify(list(self._waiting))

    def close(self) -> None:
        """Set all events, and those of later watches at once: the runtime ends."""
        self._closed = True
        self.wake()

    @property
    def closed(self) -> bool:
        """Whether the runtime is ending."""
        return self._closed
