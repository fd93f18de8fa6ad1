"""A queue of several users' wishes in which each has a turn, however many the others have."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """What each user puts in comes out in its order; among users, in turn. For threads."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        self._lock = threading.Lock()
        self._signals: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def put(self, who: str, item: T) -> None:
        """Add a user's wish."""
        with self._lock:
            self._waiting.setdefault(who, deque()).append(item)
        self._signals.put(True)

    def end(self) -> None:
        """Let one of those who take something go, once all that is there now has been taken."""
        self._signals.put(False)

    def get(self) -> T | None:
        """Wait for the next wish, and take it; None for the end."""
        if not self._signals.get():
            return None
        with self._lock:
            who, items = self._waiting.popitem(last=False)
            item = items.popleft()
            if items:
                self._waiting[who] = items
        return item

    def drain(self) -> list[T]:
        """Take all that is left, after the end."""
        with self._lock:
            left = [item for items in self._waiting.values() for item in items]
            self._waiting.clear()
        return left
