"""Renews, after a fork, what a child must not share with its parent: sockets, threads, held locks.

A child of `os.fork` (`multiprocessing` on Linux, joblib, PyTorch's loaders) has copies of the
parent's sockets, on which both would read each other's responses. It has none of the parent's
threads, and locks that those threads held stay held forever.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType


class Forkable(Protocol):
    """An object with something to renew in a forked child."""

    def after_fork(self) -> None:
        """Renew it. Called in the child before any other code of ours runs there."""


_known: weakref.WeakSet[Forkable] = weakref.WeakSet()


def heed(thing: Forkable) -> None:
    """Register an object, held weakly, whose `after_fork` is called in a forked child."""
    _known.add(thing)


class Lock:
    """A lock that is free in a forked child, whichever thread of the parent held it.

    It is for short changes of memory: no requests are sent and no user's code runs under it.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self.after_fork()
        heed(self)

    def after_fork(self) -> None:
        """Replace the lock by a free one."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()


class Turn(Lock):
    """A lock under which requests may be sent, for work that only one thread should do at a time.

    Examples are starting a process and renewing a token: a thread that waits for it would have to
    do the same work. No user's code runs under it.
    """

    __slots__ = ()


def _tell_all() -> None:
    for each in list(_known):
        each.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell_all)
