"""Waiting in a thread for what an asyncio task awaits."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from qsession_widget.support import forking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_HELD = 24
"""How many awaited jobs have a held request each; there are 32 connections to a service."""

_T = TypeVar("_T")


def in_thread(work: Callable[[], _T], name: str) -> asyncio.Future[_T]:
    """Run a function on a thread of its own, and give its result to the running loop.

    Unlike `asyncio.to_thread`, neither the end of the loop nor that of the interpreter waits for
    the thread, and however many there are, they take no place in the loop's own few.

    Args:
        work: the function. It goes on when the future is cancelled.
        name: the thread's.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def run() -> None:
        try:
            found = work()
        except StopIteration as error:
            # A future takes none: in a coroutine it would look like its end.
            wrapped = RuntimeError(f"StopIteration was raised: {error}")
            wrapped.__cause__ = error
            hand_over(future.set_exception, wrapped)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            hand_over(future.set_exception, error)
        else:
            hand_over(future.set_result, found)

    def hand_over(put: Callable[[Any], None], what: object) -> None:
        # A loop that is closed has no one who awaits it any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if future.done() else put(what))

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name=name, daemon=True).start()
    return future


class Places:
    """A number of places, of which one is taken or not, without waiting. For all threads."""

    def __init__(self, most: int) -> None:
        self._lock = forking.Lock()
        self._most = most
        self._taken = 0
        forking.heed(self)

    def after_fork(self) -> None:
        """Have all free: those who have taken them are the parent's threads."""
        self._taken = 0

    def take(self) -> bool:
        """Take a place; False where there is none."""
        with self._lock:
            free = self._taken < self._most
            self._taken += free
            return free

    @contextmanager
    def given_back(self) -> Iterator[None]:
        """Give a place back at the end of a block."""
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1


held = Places(MOST_HELD)
"""This process's held requests of awaited jobs."""
