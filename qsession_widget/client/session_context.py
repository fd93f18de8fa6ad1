"""The current session: that of the innermost `with` block around the running code."""

from __future__ import annotations

import contextvars
import functools
import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qsession_widget.client.protocols import OpenSession

_P = ParamSpec("_P")
_R = TypeVar("_R")

_stack: contextvars.ContextVar[tuple[OpenSession, ...]] = contextvars.ContextVar(
    "qsession_widget_sessions", default=()
)
"""The sessions of the `with` blocks that this code runs in, the innermost last."""


def innermost_session() -> OpenSession | None:
    """Return the session of the innermost `with` block that this code runs in."""
    return next(reversed(_stack.get()), None)


def enter(session: OpenSession) -> None:
    """Begin a session's block."""
    _stack.set((*_stack.get(), session))


def leave(session: OpenSession) -> None:
    """End a session's block: the one around it is the innermost again."""
    stack = _stack.get()
    if session in stack:
        # Its own innermost entry: a generator's block may end after that of its caller.
        place = len(stack) - 1 - stack[::-1].index(session)
        _stack.set((*stack[:place], *stack[place + 1 :]))


@contextmanager
def inside(session: OpenSession) -> Iterator[None]:
    """Run a block as if in the session's own, without ending the session."""
    token = _stack.set((*_stack.get(), session))
    try:
        yield
    finally:
        _stack.reset(token)


def bound(session: OpenSession, function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function that runs as if in the session's block, on any thread.

    Args:
        session: the session.
        function: a function or a coroutine function.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def bound_coroutine(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            with inside(session):
                return await function(*args, **kwargs)

        return cast("Callable[_P, _R]", bound_coroutine)

    @functools.wraps(function)
    def bound_function(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with inside(session):
            return function(*args, **kwargs)

    return bound_function
