"""Real worker processes, really killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from qiskit import QuantumCircuit

from qsession_widget.runtime.control import worker_pool
from qsession_widget.runtime.control.worker_pool import WorkerPool
from qsession_widget.runtime.worker.messages import (
    Done,
    Event,
    Failed,
    Interim,
    Lost,
    Reached,
    Task,
)
from qsession_widget.wire import codec
from qsession_widget.wire.states import Stage
from tests.conftest import DEADLINE_SECONDS, eventually, gone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

POLL_SECONDS = 0.05

FOR_EVER = 3_600.0

ATTEMPT = 7
"""Which attempt all tasks are of; so are their events."""


def coin(shots: int = 10) -> str:
    """Return two pubs: the first one's interim result shows that the worker has begun."""
    circuit = QuantumCircuit(1)
    circuit.h(0)
    circuit.measure_all()
    return codec.dumps({"pubs": [[circuit, [], shots]] * 2})


def heavy() -> str:
    """Keep Aer busy for minutes, in C++ and with the interpreter's lock."""
    circuit = QuantumCircuit(22)
    for _ in range(400):
        circuit.ry(0.3, range(22))
        for qubit in range(21):
            circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return codec.dumps({"pubs": [[circuit, [], 10]]})


def task(
    job_id: str,
    *,
    params: str | None = None,
    lasts: float = 0.0,
    affinity: str = "",
    backend: str = "aer_simulator",
) -> Task:
    return Task(
        job_id=job_id,
        affinity=affinity or job_id,
        program_id="sampler",
        params=params or coin(),
        backend=backend,
        optimization_level=1,
        min_seconds=lasts,
        attempt=ATTEMPT,
    )


class Bench:
    """A worker pool in an event loop, and its events."""

    def __init__(self, workers: int) -> None:
        self.said: list[tuple[str, Event]] = []
        self._changed = asyncio.Event()
        self.freed = 0
        self.executor = WorkerPool(workers, self._receive, self._is_free)
        self.executor.start()

    def _receive(self, job_id: str, attempt: int, event: Event) -> None:
        assert attempt == ATTEMPT
        self.said.append((job_id, event))
        self._changed.set()

    def _is_free(self) -> None:
        self.freed += 1
        self._changed.set()

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():
                self._changed.clear()
                # The end of a preparation is not notified.
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), POLL_SECONDS)

    async def end_of(self, job_id: str) -> Event:
        def ends() -> list[Event]:
            return [
                event
                for name, event in self.said
                if name == job_id and not isinstance(event, (Interim, Reached))
            ]

        await self.until(ends)
        (event,) = ends()
        return event

    async def begun(self, job_id: str) -> int:
        """Wait until a job has a part of its result; return its worker's pid."""
        await self.until(
            lambda: any(name == job_id and isinstance(event, Interim) for name, event in self.said)
        )
        return self.pid_of(job_id)

    def pid_of(self, job_id: str) -> int:
        link = self.executor._by_job[job_id]._link
        assert link is not None
        assert link.process.pid is not None
        return link.process.pid


@asynccontextmanager
async def a_bench(workers: int) -> AsyncIterator[Bench]:
    """Yield a bench, and stop its workers at the end."""
    bench = Bench(workers)
    try:
        yield bench
    finally:
        bench.executor.stop()


async def test_a_task_returns_interim_results_and_then_its_result() -> None:
    async with a_bench(1) as bench:
        bench.executor.submit(task("a"))
        assert bench.executor.free == 0
        event = await bench.end_of("a")
        assert isinstance(event, Done)
        assert bench.executor.free == 1
        said = [each for _, each in bench.said]
        assert [type(each) for each in said] == [Reached, Interim, Reached, Done]
        assert said[0::2] == [Reached(Stage.ON_DEVICE), Reached(Stage.POST_PROCESSING)]
        assert isinstance(event.result, str)
        assert codec.loads(event.result)[0].data.meas.num_shots == 10
        assert event.busy_seconds > 0


async def test_a_job_stays_on_the_device_from_its_first_circuit_to_its_last() -> None:
    async with a_bench(1) as bench:
        pub = json.loads(coin())["pubs"][0]
        bench.executor.submit(task("a", params=json.dumps({"pubs": [pub] * 3})))
        await bench.end_of("a")
        said = [each for _, each in bench.said]
        # The first circuit runs alone; the others may run together.
        assert [type(each) for each in said[:2]] == [Reached, Interim]
        stages = [each for each in said if isinstance(each, Reached)]
        assert stages == [Reached(Stage.ON_DEVICE), Reached(Stage.POST_PROCESSING)]
        assert sum(isinstance(each, Interim) for each in said) == 2, "the last part is in the end"
        assert isinstance(said[-1], Done)


async def test_a_job_that_lasts_longer_lasts_on_the_device() -> None:
    async with a_bench(1) as bench:
        bench.executor.submit(task("a", lasts=0.2))
        await bench.end_of("a")
        assert [type(each) for _, each in bench.said] == [Reached, Interim, Reached, Done]


async def test_a_worker_waits_until_the_device_is_granted() -> None:
    async with a_bench(1) as bench:
        bench.executor.submit(replace(task("a"), asks=True))
        await bench.until(lambda: bench.said)
        first, again = bench.executor._by_job["a"], "b"
        assert bench.said == [("a", Reached(Stage.ON_DEVICE))]
        bench.executor.grant_device("a")
        assert isinstance(await bench.end_of("a"), Done)
        bench.executor.grant_device("a")
        first.grant_device()
        bench.executor.submit(replace(task(again), asks=True))
        await bench.until(lambda: (again, Reached(Stage.ON_DEVICE)) in bench.said)
        bench.executor.kill(again)
        assert isinstance(await bench.end_of(again), Lost)
        bench.executor.grant_device(again)
        bench.executor.submit(task("c"))
        assert isinstance(await bench.end_of("c"), Done), "no message was left in a pipe"


async def test_a_failing_task_gives_a_reason_and_leaves_the_worker_usable() -> None:
    async with a_bench(1) as bench:
        bench.executor.submit(task("bad", params='{"pubs": [[1]]}'))
        event = await bench.end_of("bad")
        assert isinstance(event, Failed)
        assert "circuit" in event.reason
        surrogate = json.dumps({"pubs": [[{"__type__": "\ud800", "__value__": 1}]]})
        bench.executor.submit(task("worse", params=surrogate))
        event = await bench.end_of("worse")
        assert isinstance(event, Failed)
        event.reason.encode()
        pid = bench.executor._workers[0]._link
        bench.executor.submit(task("good"))
        assert isinstance(await bench.end_of("good"), Done)
        assert bench.executor._workers[0]._link is pid, "no worker was replaced"


async def test_killing_a_job_leaves_other_jobs_and_its_worker_slot_intact() -> None:
    async with a_bench(2) as bench:
        bench.executor.submit(task("victim", lasts=FOR_EVER))
        bench.executor.submit(task("other", lasts=FOR_EVER))
        victim, other = await bench.begun("victim"), await bench.begun("other")
        bench.executor.kill("victim")
        assert await bench.end_of("victim") == Lost(-signal.SIGKILL)
        assert gone(victim)
        assert not gone(other)
        assert bench.executor.free == 1
        bench.executor.submit(task("next"))
        assert isinstance(await bench.end_of("next"), Done)
        assert not gone(other)
        bench.executor.kill("unknown")


async def test_a_job_that_is_killed_before_its_process_is_up_does_not_run() -> None:
    async with a_bench(1) as bench:
        bench.executor.submit(task("early", lasts=FOR_EVER))
        bench.executor.kill("early")
        assert isinstance(await bench.end_of("early"), Lost)
        bench.executor.submit(task("next"))
        assert isinstance(await bench.end_of("next"), Done)


async def test_a_late_kill_does_not_affect_the_next_job() -> None:
    """The job is done but its end not yet processed; the kill hits an idle process."""

    def idle(place: Any) -> bool:
        """Whether the worker's thread waits for its next task."""
        frame = sys._current_frames().get(threads()[place._name])
        waits = frame is not None and frame.f_code.co_name == "_serve"
        return waits and place._tasks.empty()

    def threads() -> dict[str, int]:
        return {each.name: each.ident or 0 for each in threading.enumerate()}

    async with a_bench(1) as bench:
        for number in range(5):
            done, after = f"done-{number}", f"after-{number}"
            place = bench.executor._workers[0]
            bench.executor.submit(task(done))
            # The loop does not process the end before the kill.
            eventually(partial(idle, place), "an end")
            bench.executor.kill(done)
            await bench.end_of(done)
            bench.executor.submit(task(after))
            assert isinstance(await bench.end_of(after), Done)


async def test_a_crashed_worker_is_reported_and_replaced() -> None:
    async with a_bench(1) as bench:
        bench.executor.submit(task("a", lasts=FOR_EVER))
        os.kill(await bench.begun("a"), signal.SIGSEGV)
        assert await bench.end_of("a") == Lost(-signal.SIGSEGV)
        bench.executor.submit(task("b"))
        assert isinstance(await bench.end_of("b"), Done)


async def test_a_worker_that_died_idle_does_not_affect_the_next_job() -> None:
    async with a_bench(1) as bench:
        bench.executor.submit(task("a"))
        assert isinstance(await bench.end_of("a"), Done)
        link = bench.executor._workers[0]._link
        assert link is not None
        pid = link.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        # A zombie's other threads may hold its pipe for a moment.
        await asyncio.to_thread(eventually, lambda: not psutil.pid_exists(pid), "its end")
        bench.executor.submit(task("b"))
        assert isinstance(await bench.end_of("b"), Done)


async def test_the_fork_server_may_die() -> None:
    async with a_bench(1) as bench:
        bench.executor.submit(task("a", lasts=FOR_EVER))
        worker = psutil.Process(await bench.begun("a"))
        parent = worker.parent()
        assert parent is not None
        parent.kill()
        # Not psutil's wait, which would reap multiprocessing's child.
        await asyncio.to_thread(eventually, partial(gone, parent.pid), "the end of the parent")
        worker.kill()
        assert isinstance(await bench.end_of("a"), Lost)
        bench.executor.submit(task("b"))
        assert isinstance(await bench.end_of("b"), Done)


async def test_jobs_of_a_session_stay_with_their_worker() -> None:
    async with a_bench(2) as bench:
        places: dict[str, set[int]] = {"s": set(), "t": set()}
        for number in range(6):
            for session, found in places.items():
                name = f"{session}{number}"
                bench.executor.submit(task(name, affinity=session))
                found.add(id(bench.executor._by_job[name]))
                await bench.end_of(name)
        assert [len(each) for each in places.values()] == [1, 1]
        assert places["s"] != places["t"]


# A script of its own, which runs its own loop.
SERVER = """
import asyncio, sys
from qsession_widget.runtime.control.worker_pool import WorkerPool
from qsession_widget.runtime.worker.messages import Task

async def main():
    executor = WorkerPool(2, lambda *event: None)
    executor.start()
    executor.submit(Task("a", "a", "sampler", sys.stdin.read(), "aer_simulator", 0, 0.0))
    while any(each._link is None for each in executor._workers):
        await asyncio.sleep(0.01)
    print(*[each._link.process.pid for each in executor._workers], flush=True)
    await asyncio.sleep(3600)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_workers_die_with_their_server_even_while_aer_computes(tmp_path: Any) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    with subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(heavy())
            server.stdin.close()
            workers = [psutil.Process(int(each)) for each in server.stdout.readline().split()]
            assert len(workers) == 2
            # Only Aer takes this long; decoding takes a fraction of it.
            eventually(lambda: any(each.cpu_times().user > 2 for each in workers), "a computation")
            assert not any(gone(each.pid) for each in workers)
        finally:
            server.kill()
    for each in workers:
        eventually(partial(gone, each.pid), "the end of a worker")


@pytest.mark.parametrize("count", [1, 3])
async def test_stopping_ends_every_process_without_output(count: int) -> None:
    pids: list[int] = []

    async with a_bench(count) as bench:
        for number in range(count):
            bench.executor.submit(task(str(number), lasts=FOR_EVER))
        pids.extend([await bench.begun(str(number)) for number in range(count)])
        bench.executor.stop()
        heard = list(bench.said)
        for pid in pids:
            await asyncio.to_thread(eventually, partial(gone, pid), "the end of a worker")
        assert bench.said == heard
    assert len(pids) == count


# -- prepared workers --------------------------------------------------------


def measured() -> str:
    circuit = QuantumCircuit(1, 1)
    circuit.sx(0)
    circuit.measure(0, 0)
    return codec.dumps({"pubs": [[circuit, [], 10]]})


MEASURED = measured()


async def misses(bench: Bench, job_id: str, affinity: str) -> int:
    given = task(job_id, params=MEASURED, affinity=affinity, backend="fake_manila")
    bench.executor.submit(given)
    event = await bench.end_of(job_id)
    assert isinstance(event, Done)
    return event.cache.misses


async def test_a_prepared_worker_has_fewer_cache_misses_in_its_first_task() -> None:
    async with a_bench(2) as bench:
        bench.executor.warm("told", "fake_manila")
        assert bench.executor.free == 2
        first = await misses(bench, "a", "told")
        assert 0 < first < await misses(bench, "b", "untold")


def has_loaded(pid: int | None, library: str) -> bool:
    return library in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists what a process has loaded")
async def test_a_prepared_worker_imports_what_executor_jobs_need() -> None:
    async with a_bench(1) as bench:
        bench.executor.submit(task("a"))
        await bench.end_of("a")
        (worker,) = bench.executor._workers
        assert worker._link is not None
        pid = worker._link.process.pid
        assert not has_loaded(pid, "pydantic_core")
        bench.executor.warm("s", "fake_manila")
        imported = partial(has_loaded, pid, "pydantic_core")
        await asyncio.to_thread(eventually, imported, "the import")
        bench.executor.submit(task("b", affinity="s"))
        assert isinstance(await bench.end_of("b"), Done)
        assert worker._link.process.pid == pid, "the worker goes on"


async def test_tasks_stay_with_the_worker_that_prepared_their_session() -> None:
    async with a_bench(2) as bench:
        made = [await misses(bench, f"{place}", name) for place, name in enumerate("abba")]
        assert made[0] == made[1] > 0
        assert made[2:] == [0, 0]


async def test_a_worker_whose_preparation_fails_still_works() -> None:
    async with a_bench(1) as bench:
        bench.executor.warm("a", "no such device")
        bench.executor.submit(task("a"))
        assert isinstance(await bench.end_of("a"), Done)


async def test_a_preparation_request_is_not_taken_for_a_granted_device() -> None:
    async with a_bench(1) as bench:
        bench.executor.submit(task("first"))
        await bench.end_of("first")
        for name in ("a", "b"):
            bench.executor.warm(name, "fake_manila")
            bench.executor.submit(replace(task(name), asks=True))
            on_device = (name, Reached(Stage.ON_DEVICE))
            await bench.until(partial(bench.said.__contains__, on_device))
            assert bench.said[-1] == on_device, "it waits"
            bench.executor.grant_device(name)
            assert isinstance(await bench.end_of(name), Done)


async def test_no_worker_prepares_while_all_are_busy() -> None:
    async with a_bench(1) as bench:
        bench.executor.submit(task("a", lasts=FOR_EVER))
        await bench.begun("a")
        bench.executor.warm("b", "fake_manila")
        bench.executor.kill("a")
        assert isinstance(await bench.end_of("a"), Lost)
        (only,) = bench.executor._workers
        assert only.affinity == "a"


# -- cancelled -----------------------------------------------------------------------------


@pytest.mark.parametrize("asks", [False, True])
async def test_a_cancelled_task_stops_by_itself_and_keeps_the_workers_caches(
    asks: bool,
) -> None:
    """Between pubs, while only its time runs, and while it waits for its device."""

    async with a_bench(1) as bench:
        made = await misses(bench, "first", "a")
        assert made > 0
        (only,) = bench.executor._workers
        assert only._link is not None
        process = only._link.process.pid
        given = task("long", params=MEASURED, affinity="a", backend="fake_manila", lasts=FOR_EVER)
        bench.executor.submit(replace(given, asks=asks))
        await bench.until(
            partial(bench.said.__contains__, ("long", Reached(Stage.ON_DEVICE)))
            if asks
            else lambda: not only.warming and only.job_id == "long"
        )
        bench.executor.cancel("long")
        bench.executor.grant_device("long")
        await bench.until(lambda: bench.freed == 1)
        assert not bench.executor.giving_up
        said = [event for name, event in bench.said if name == "long"]
        assert not any(isinstance(event, (Done, Lost, Failed)) for event in said)
        assert await misses(bench, "next", "a") == 0
        assert only._link.process.pid == process
        # The same job again, like a requeued one.
        bench.executor.submit(replace(given, min_seconds=0.0))
        assert isinstance(await bench.end_of("long"), Done)
        bench.executor.cancel("unknown")


async def test_a_task_that_does_not_stop_loses_its_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_pool, "STOP_SECONDS", 0.05)

    async with a_bench(1) as bench:
        bench.executor.submit(task("first", backend="fake_manila"))
        await bench.end_of("first")
        (only,) = bench.executor._workers
        assert only._link is not None
        before = only._link.process.pid
        bench.executor.submit(task("heavy", params=heavy()))
        bench.executor.cancel("heavy")
        await bench.until(lambda: bench.freed == 1)
        bench.executor.submit(task("next"))
        assert isinstance(await bench.end_of("next"), Done)
        assert only._link.process.pid != before
        assert "heavy" not in {name for name, event in bench.said if not isinstance(event, Reached)}


async def test_a_worker_prepares_one_session_at_a_time_and_each_device_once() -> None:
    """A job that follows the opening of 68 sessions waits for one preparation at most."""

    async with a_bench(2) as bench:
        for number in range(68):
            bench.executor.warm(f"s{number}", "fake_manila")
        workers = bench.executor._workers
        assert sorted(each.affinity for each in workers) == ["s0", "s1"]
        assert [each._tasks.qsize() <= 1 for each in workers] == [True, True]
        bench.executor.submit(task("a", affinity="s1", backend="fake_manila"))
        assert isinstance(await bench.end_of("a"), Done)
        await bench.until(lambda: not any(each.warming for each in workers))
        for number in range(68):
            bench.executor.warm(f"t{number}", "fake_manila")
        assert not any(each.warming for each in workers), "both have prepared it"
