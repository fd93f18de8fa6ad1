"""What a forked child must not share with its parent: sockets, threads, and locks that are held.

A child of `os.fork` (`multiprocessing` on Linux, joblib, PyTorch's loaders) has copies of the
parent's sockets, of which both would read each other's answers; it has none of the parent's
threads, and locks that those held at that moment stay held for ever.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType


class Forkable(Protocol):
    """What has something to make anew in a forked child."""

    def after_fork(self) -> None:
        """Make it anew. Called in the child, before anything else of ours runs there."""


_known: weakref.WeakSet[Forkable] = weakref.WeakSet()


def heed(thing: Forkable) -> None:
    """Have something told when it finds itself in a forked child. It is held weakly."""
    _known.add(thing)


class Lock:
    """A lock that is open in a forked child, whichever thread of the parent held it.

    It is for short changes of memory: no requests and no code of users under it.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self.after_fork()
        heed(self)

    def after_fork(self) -> None:
        """Make it anew."""
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
    """A lock for what only one thread may do at a time although it asks others and waits.

    Such are starting a process and renewing a token: whoever waits for it would have to do it
    itself. No code of users runs under it.
    """

    __slots__ = ()


def _tell_all() -> None:
    for each in list(_known):
        each.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell_all)
