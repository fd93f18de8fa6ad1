"""The current session: in nested blocks, on other threads, in asyncio tasks."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from qsession_widget import Sampler, Session
from qsession_widget.client.session import current_session
from tests.client.circuits import bell


@pytest.mark.usefixtures("runtime")
def test_nested_blocks_restore_the_outer_session() -> None:
    assert current_session() is None
    with Session(backend="fake_manila") as outer:
        assert Sampler().mode is outer
        with Session(backend="aer_simulator") as inner:
            assert Sampler().mode is inner
            with outer:
                assert Sampler().mode is outer
            assert Sampler().mode is inner
        assert Sampler().mode is outer
    assert current_session() is None
    assert Sampler().mode is None


@pytest.mark.usefixtures("runtime")
def test_blocks_of_one_session_on_many_threads_keep_apart() -> None:
    with Session(backend="aer_simulator") as session:
        barrier = threading.Barrier(4, timeout=60)

        def work(number: int) -> list[Session | None]:
            seen = [current_session()]
            with Session(backend="aer_simulator", name=f"own {number}"), session:
                barrier.wait()
                seen.append(current_session())
                barrier.wait()
            seen.append(current_session())
            return seen

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(work, range(4))) == [[None, session, None]] * 4
        assert current_session() is session


@pytest.mark.usefixtures("runtime")
async def test_a_function_that_is_bound_sees_the_session() -> None:
    def place(number: int, *, more: int = 0) -> tuple[Any, int]:
        """Where am I."""
        return Sampler().mode, number + more

    async def place_later() -> Any:
        await asyncio.sleep(0)
        return Sampler().mode

    with Session(backend="aer_simulator") as session:
        bound = session.bind(place)
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(bound, [1, 2])) == [(session, 1), (session, 2)]
            assert pool.submit(place, 1).result() == (None, 1)
        assert (bound.__name__, bound.__doc__) == ("place", "Where am I.")
        with Session(backend="aer_simulator") as inner:
            assert bound(1, more=1) == (session, 2)
            assert current_session() is inner
    assert await session.bind(place_later)() is session
    assert current_session() is None


@pytest.mark.usefixtures("runtime")
async def test_async_with() -> None:
    async def elsewhere() -> Session | None:
        return current_session()

    async with Session(backend="fake_manila") as session:
        other = asyncio.create_task(elsewhere())
        assert current_session() is session
        result = await Sampler().run(bell(), shots=10)
        assert await other == session, "a task sees the block in which it was created"
    assert current_session() is None
    assert result[0].data.cr.num_shots == 10
    assert session.status() == "Closed"
