"""The interface of executors, and that the one of this machine has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qsession_widget.runtime.control.worker_pool import WorkerPool
from tests.runtime.bench import FOR_EVER, Bench, going, settles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qsession_widget.runtime.control.executor import Executor, OnEvent


async def test_the_coordinator_takes_the_executor_that_it_is_given(tmp_path: Path) -> None:
    made: list[Executor] = []

    def make(on_event: OnEvent, on_free: Callable[[], None]) -> Executor:
        made.append(WorkerPool(1, on_event, on_free))
        return made[0]

    async with going(Bench(tmp_path, make_executor=make, min_job_seconds=FOR_EVER)) as bench:
        (executor,) = made
        assert (executor.free, executor.busy, executor.giving_up) == (1, False, False)
        job_id = await bench.submits()
        pid = await bench.running(job_id)
        assert (executor.free, executor.busy) == (0, True)
        (place,) = executor.places()
        assert (place.state, place.job_id, place.pid) == ("busy", job_id, pid)
        await bench.coordinator.cancel_job(job_id)
        await settles(lambda: not executor.busy)
        assert not executor.giving_up
