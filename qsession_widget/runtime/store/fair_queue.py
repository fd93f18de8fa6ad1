"""A queue between threads in which users take turns, however many items each has."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """First in, first out for each user, and round-robin among users."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        self._lock = threading.Lock()
        self._signals: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def put(self, who: str, item: T) -> None:
        """Add an item of a user."""
        with self._lock:
            self._waiting.setdefault(who, deque()).append(item)
        self._signals.put(True)

    def end(self) -> None:
        """End one of the threads that take items, after all items that are there now."""
        self._signals.put(False)

    def get(self) -> T | None:
        """Wait for the next item and remove it; None is the end."""
        if not self._signals.get():
            return None
        with self._lock:
            who, items = self._waiting.popitem(last=False)
            item = items.popleft()
            if items:
                self._waiting[who] = items
        return item

    def drain(self) -> list[T]:
        """Remove and return all items that are left after the end."""
        with self._lock:
            left = [item for items in self._waiting.values() for item in items]
            self._waiting.clear()
        return left
