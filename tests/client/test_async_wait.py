"""Threads that wait on behalf of asyncio tasks."""

from __future__ import annotations

import threading

import pytest

from qsession_widget.client.jobs.async_wait import Places, in_thread


async def test_a_thread_of_its_own_does_the_work() -> None:
    worker = await in_thread(lambda: threading.current_thread().name, "worker")
    assert worker == "worker" != threading.current_thread().name


async def test_exceptions_are_raised_where_they_are_awaited() -> None:
    def fail(error: BaseException) -> None:
        raise error

    with pytest.raises(KeyboardInterrupt):
        await in_thread(lambda: fail(KeyboardInterrupt()), "worker")
    with pytest.raises(RuntimeError, match="StopIteration was raised: 7"):
        await in_thread(lambda: fail(StopIteration(7)), "worker")


def test_places_are_taken_and_released() -> None:
    places = Places(1)
    assert places.take()
    assert not places.take()
    with places.given_back():
        assert not places.take()
    assert places.take()
    places.after_fork()
    assert places.take(), "the parent's threads have taken none of the child's"
