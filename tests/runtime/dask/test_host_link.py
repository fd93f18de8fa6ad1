"""A link and a host with real worker processes, and calls that fail as those of a network do."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget.runtime.dask import frames, worker_host
from qsession_widget.runtime.dask.host_link import HostLink
from qsession_widget.runtime.dask.lease import Lease, LeaseEndedError
from qsession_widget.runtime.dask.worker_host import WorkerHost
from qsession_widget.runtime.worker.messages import (
    GOES_ON,
    Done,
    Event,
    HostLost,
    Interim,
    Lost,
    Task,
)
from tests.conftest import DEADLINE_SECONDS, eventually, gone
from tests.runtime.bench import COIN, FOR_EVER, settles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from qsession_widget.runtime.dask.frames import Frames

LEASE = Lease("k")
SHORT = Lease("k", 2.0)


def task(job_id: str, *, attempt: int = 1, lasts: float = 0.0) -> Task:
    return Task(job_id, job_id, "sampler", COIN, "fake_manila", 1, lasts, attempt=attempt)


class Network:
    """Calls to a host, of which answers may be lost, or everything."""

    def __init__(self, host: WorkerHost) -> None:
        self.host = host
        self.loses_answers = False
        self.cut = False
        self.lost = 0
        self.left: str | None = None
        self._fails_next = True

    async def open(self) -> Frames:
        return await self.host.open()

    async def take(self, number: int, commands: list[Frames]) -> None:
        await self._out()
        await self.host.take(number, commands)
        await self._back()

    async def tell(self, beat: int, after: int) -> list[Frames]:
        await self._out()
        told = await self.host.tell(beat, after)
        await self._back()
        return told

    async def leave(self, reason: str) -> None:
        await self._out()
        self.left = reason
        await self.host.leave(reason)

    async def _out(self) -> None:
        if self.cut:
            await asyncio.sleep(FOR_EVER)

    async def _back(self) -> None:
        if self.cut:
            await asyncio.sleep(FOR_EVER)
        self._fails_next = not self._fails_next
        if self.loses_answers and not self._fails_next:
            self.lost += 1
            raise OSError("reset by peer")


class Bench:
    """A host, its link, and what the link has told."""

    def __init__(self, host: WorkerHost, about: dict[str, Any], lease: Lease) -> None:
        self.host, self.network = host, Network(host)
        self.said: list[tuple[str, int, Event]] = []
        self.changes = 0
        self.link = HostLink(
            "tcp://here",
            about,
            lease=lease,
            calls=self.network,
            on_event=self.hear,
            on_change=self.change,
        )

    def hear(self, job_id: str, attempt: int, event: Event) -> None:
        self.said.append((job_id, attempt, event))

    def change(self) -> None:
        self.changes += 1

    def ends(self, job_id: str) -> list[Event]:
        return [
            event
            for name, _, event in self.said
            if name == job_id and not isinstance(event, GOES_ON)
        ]

    async def end_of(self, job_id: str) -> Event:
        await settles(lambda: bool(self.ends(job_id)))
        (event,) = self.ends(job_id)
        return event

    async def begun(self, job_id: str) -> int:
        """Wait until a job has a part of its result; return its process."""
        await settles(
            lambda: any(name == job_id and isinstance(e, Interim) for name, _, e in self.said)
        )
        (slot,) = (each for each in self.link.slots if each.task and each.task.job_id == job_id)
        pid = self.host._slots[slot.index].places()[0].pid
        assert pid is not None
        return pid


@asynccontextmanager
async def a_bench(
    monkeypatch: pytest.MonkeyPatch, slots: int = 1, lease: Lease = LEASE
) -> AsyncIterator[Bench]:
    monkeypatch.setenv(worker_host.SLOTS, str(slots))
    host = WorkerHost("server", lease)
    about = frames.decode(await host.open())
    assert (about["slots"], about["process"]) == (slots, worker_host.PROCESS)
    bench = Bench(host, about, lease)
    try:
        yield bench
    finally:
        bench.link._end()
        host.end()


async def test_each_event_comes_once_though_every_second_answer_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_bench(monkeypatch) as bench:
        bench.network.loses_answers = True
        (slot,) = bench.link.slots
        for number in range(3):
            job_id = f"j{number}"
            bench.link.submit(slot, task(job_id, attempt=number + 5))
            assert (bench.link.busy, slot.affinity, slot.device) == (1, job_id, "fake_manila")
            assert isinstance(await bench.end_of(job_id), Done)
            assert bench.link.busy == 0
        kinds = [(name, attempt, type(event).__name__) for name, attempt, event in bench.said]
        assert kinds == [
            (f"j{number}", number + 5, kind)
            for number in range(3)
            for kind in ("Reached", "Interim", "Reached", "Done")
        ]
        assert bench.network.lost > 3


async def test_a_host_that_hears_nothing_ends_its_processes_before_its_jobs_run_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_bench(monkeypatch, lease=SHORT) as bench:
        (slot,) = bench.link.slots
        bench.link.submit(slot, task("j", attempt=2, lasts=FOR_EVER))
        pid = await bench.begun("j")
        bench.network.cut = True
        assert await bench.end_of("j") == HostLost(bench.link.host)
        assert gone(pid)
        assert (bench.link.over, bench.link.ready, slot.task) == (True, False, None)
        assert bench.said[-1][1] == 2
        assert bench.changes == 1
        assert bench.host not in worker_host.hosts()
        with pytest.raises(LeaseEndedError):
            await bench.host.take(99, [])
        with pytest.raises(LeaseEndedError):
            await bench.host.tell(99, 0)


async def test_a_host_that_is_abandoned_is_lost_when_its_lease_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_bench(monkeypatch, lease=SHORT) as bench:
        (slot,) = bench.link.slots
        bench.link.submit(slot, task("j", lasts=FOR_EVER))
        pid = await bench.begun("j")
        bench.link.abandon()
        assert not bench.ends("j")
        assert await bench.end_of("j") == HostLost(bench.link.host)
        assert gone(pid)


async def test_a_lease_goes_on_as_long_as_the_calls_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_bench(monkeypatch, lease=SHORT) as bench:
        renewed = bench.host._renewed_at
        await settles(lambda: bench.host._renewed_at > renewed + 2 * SHORT.seconds)
        assert bench.link.ready
        assert worker_host.hosts() == [bench.host]


async def test_calls_whose_answers_never_arrive_do_not_renew_a_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_bench(monkeypatch, lease=SHORT) as bench:
        bench.link._end()

        async def ask_without_end() -> None:
            while True:
                await bench.host.tell(1, 0)

        async with asyncio.timeout(DEADLINE_SECONDS):
            with pytest.raises(LeaseEndedError):
                await ask_without_end()


async def test_a_new_host_of_a_server_ends_its_last_one_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_bench(monkeypatch) as bench:
        (slot,) = bench.link.slots
        bench.link.submit(slot, task("j", lasts=FOR_EVER))
        pid = await bench.begun("j")
        other, next_one = WorkerHost("another server", LEASE), WorkerHost("server", LEASE)
        await other.open()
        assert not gone(pid), "each server has its own"
        opened = await next_one.open()
        assert await next_one.open() == opened, "also if the first answer was lost"
        await asyncio.to_thread(eventually, lambda: gone(pid), "the end of the process")
        assert worker_host.hosts() == [other, next_one]
        assert await bench.end_of("j") == HostLost(bench.link.host)
        assert "Lost" not in {type(event).__name__ for _, _, event in bench.said}
        worker_host.end_all()
        assert worker_host.hosts() == []


async def test_a_cancelled_task_tells_nothing_more_and_its_slot_is_free_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_bench(monkeypatch) as bench:
        (slot,) = bench.link.slots
        bench.link.submit(slot, task("j", lasts=FOR_EVER))
        await bench.begun("j")
        said = len(bench.said)
        bench.link.cancel(slot)
        assert (bench.link.busy, slot.given_up) == (1, True)
        await settles(lambda: bench.changes == 1)
        assert (bench.link.busy, slot.given_up) == (0, False)
        assert len(bench.said) == said
        # This one comes too late: the end of the task is on its way.
        bench.link.submit(slot, task("k"))
        await settles(lambda: not bench.host._tasks and bench.host._told > 0)
        bench.link.cancel(slot)
        await settles(lambda: bench.changes == 2)
        assert (bench.link.busy, slot.given_up) == (0, False)
        bench.link.submit(slot, task("l"))
        assert isinstance(await bench.end_of("l"), Done)
        assert bench.link.busy == 0


async def test_the_death_of_a_process_is_told_and_the_slot_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_bench(monkeypatch) as bench:
        (slot,) = bench.link.slots
        bench.link.submit(slot, task("j", lasts=FOR_EVER))
        await bench.begun("j")
        bench.host._slots[0].kill("j")
        assert await bench.end_of("j") == Lost(-9)
        bench.link.submit(slot, task("k"))
        assert isinstance(await bench.end_of("k"), Done)


async def test_a_host_that_wants_to_leave_finishes_its_jobs_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    departed: list[str] = []
    worker_host.on_departure(departed.append)
    try:
        async with a_bench(monkeypatch, slots=2) as bench:
            slot = bench.link.slots[1]
            # It goes on only when the device is granted.
            bench.link.submit(slot, replace(task("j"), asks=True))
            await settles(lambda: bool(bench.said))
            bench.host.ask_to_leave()
            await settles(lambda: bench.link.state == "draining")
            assert (bench.link.ready, bench.network.left) == (False, None)
            bench.link.grant_device(slot)
            assert isinstance(await bench.end_of("j"), Done)
            await settles(lambda: bench.network.left is not None)
            assert bench.link.state == "drained"
            assert departed == [""]
            bench.link.lose("it has left the cluster")
            assert [type(event) for _, _, event in bench.said][-1] is Done
    finally:
        worker_host.on_departure(worker_host._stay)


async def test_a_host_may_be_let_go_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    departed: list[str] = []
    worker_host.on_departure(departed.append)
    try:
        async with a_bench(monkeypatch) as bench:
            await bench.link.close(DEADLINE_SECONDS, "It is too old.")
            assert departed == ["It is too old."]
            assert not bench.link.ready
    finally:
        worker_host.on_departure(worker_host._stay)
