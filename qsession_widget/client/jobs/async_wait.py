"""Threads that wait for what an asyncio task awaits."""

from __future__ import annotations

import contextvars
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from qsession_widget.support import forking

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

MOST_HELD = 24
"""How many awaited jobs may each have a held request; a service has 32 connections."""

_T = TypeVar("_T")


def in_thread(work: Callable[[], _T], name: str) -> asyncio.Future[_T]:
    """Run a function on a thread of its own, and pass its result to the running loop.

    Unlike with `asyncio.to_thread`, neither the end of the loop nor that of the interpreter waits
    for the thread, and any number of them leaves the loop's own few threads free.

    Args:
        work: the function. It goes on when the future is cancelled.
        name: the thread's.
    """
    import asyncio  # noqa: PLC0415 - 30 ms, and only who awaits needs it

    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def run() -> None:
        try:
            found = work()
        except StopIteration as error:
            # A future refuses it: in a coroutine it would look like the end.
            wrapped = RuntimeError(f"StopIteration was raised: {error}")
            wrapped.__cause__ = error
            hand_over(future.set_exception, wrapped)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            hand_over(future.set_exception, error)
        else:
            hand_over(future.set_result, found)

    def hand_over(put: Callable[[Any], None], what: object) -> None:
        # If the loop is closed, nothing awaits the result.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if future.done() else put(what))

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name=name, daemon=True).start()
    return future


class Places:
    """A thread-safe counting semaphore that never blocks: a place is free or not."""

    def __init__(self, most: int) -> None:
        self._lock = forking.Lock()
        self._most = most
        self._taken = 0
        forking.heed(self)

    def after_fork(self) -> None:
        """Free all places: they were taken by threads of the parent process."""
        self._taken = 0

    def take(self) -> bool:
        """Take a place, and return whether one was free."""
        with self._lock:
            free = self._taken < self._most
            self._taken += free
            return free

    @contextmanager
    def given_back(self) -> Iterator[None]:
        """Release a place at the end of a block."""
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1


held = Places(MOST_HELD)
"""The places of this process for held requests of awaited jobs."""
