"""A coordinator with a real store and real workers, and a clock that tests set."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from qiskit import QuantumCircuit

from qsession_widget.runtime.control.admission import NewSession
from qsession_widget.runtime.control.coordinator import Coordinator
from qsession_widget.runtime.control.state import Phase
from qsession_widget.runtime.control.worker_pool import WorkerPool
from qsession_widget.runtime.model.job import Job
from qsession_widget.runtime.settings import Settings
from qsession_widget.runtime.store.store import Store
from qsession_widget.wire import codec
from qsession_widget.wire.states import (
    JobState,
    Mode,
)
from tests.conftest import DEADLINE_SECONDS
from tests.runtime import stores

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from qsession_widget.runtime.control.executor import MakeExecutor
    from qsession_widget.runtime.model.lifecycle import Session

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FOR_EVER = 3_600.0


def coin() -> str:
    """Return two pubs: the first one's interim result shows that the worker has begun."""
    circuit = QuantumCircuit(1)
    circuit.x(0)
    circuit.measure_all()
    return codec.dumps({"pubs": [[circuit, [], 10]] * 2})


COIN = coin()


class HandClock:
    """A clock that moves only when a test sets it."""

    kind = "by hand"
    rate = 1.0

    def __init__(self) -> None:
        self.time = NOON

    def go_on_from(self, newest: datetime) -> None:
        self.time = max(self.time, newest)

    def free(self) -> None:
        """Stay where it is: only a test moves it."""

    def now(self) -> datetime:
        return self.time

    def moves(self, **by: float) -> None:
        self.time += timedelta(**by)


class Bench:
    """A coordinator on a store of its own."""

    def __init__(
        self,
        folder: Path,
        is_known: Callable[[str], bool] = lambda _owner: True,
        make_executor: MakeExecutor | None = None,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self.clock = HandClock()
        self.owners = 1
        self.store = Store(stores.database(folder))
        self.coordinator = Coordinator(
            self.store,
            self.clock,
            Settings(home=folder, **{"workers": 2, **settings}),
            several_owners=lambda: self.owners > 1,
            is_known=is_known,
            make_executor=make_executor,
        )

    async def opens(self, mode: Mode = Mode.DEDICATED, seconds: int = 3_600) -> str:
        wanted = NewSession("o", "fake_manila", mode, seconds)
        return await self.coordinator.create_session(wanted, None)

    async def submits(self, session_id: str | None = None, **fields: Any) -> str:
        given: dict[str, Any] = {
            "id": "",
            "owner": "o",
            "backend": "fake_manila",
            "program_id": "sampler",
            "created_at": NOON,
            "session_id": session_id,
        }
        params, process = fields.pop("params", COIN), fields.pop("process", "")
        return await self.coordinator.submit(Job(**(given | fields)), params, None, process)

    async def job(self, job_id: str, owner: str = "o") -> Job:
        found = await self.store.job(owner, job_id)
        assert found is not None
        return found

    async def session(self, session_id: str) -> Session:
        found = await self.store.session("o", session_id)
        assert found is not None
        return found

    async def until(self, job_id: str, condition: Callable[[Job], bool], owner: str = "o") -> Job:
        async with asyncio.timeout(DEADLINE_SECONDS):
            with self.coordinator.notifier.watch(job_id) as changed:
                while not condition(job := await self.job(job_id, owner)):
                    await changed.wait()
                    changed.clear()
        return job

    async def closed(self, session_id: str) -> Session:
        async with asyncio.timeout(DEADLINE_SECONDS):
            with self.coordinator.notifier.watch(session_id) as changed:
                while (session := await self.session(session_id)).closed_at is None:
                    await changed.wait()
                    changed.clear()
        return session

    async def ended(self, job_id: str) -> Job:
        job = await self.until(job_id, lambda job: job.state.final)
        async with asyncio.timeout(DEADLINE_SECONDS):
            with self.coordinator.notifier.watch(job_id) as changed:
                # What is on disk can be read a moment before the event loop hears that it is.
                while self.coordinator._state.phase(job_id) is Phase.ENDING:
                    await changed.wait()
                    changed.clear()
        return job

    async def running(self, job_id: str, attempt: int = 1) -> int:
        """Wait until only a job's time runs in this attempt, and return the worker's pid."""
        await self.until(
            job_id, lambda job: job.state is JobState.RUNNING and job.attempts == attempt
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            with self.coordinator.notifier.watch(job_id) as changed:
                while not self.coordinator.interim(job_id):
                    await changed.wait()
                    changed.clear()
        return self.pid(job_id)

    @property
    def pool(self) -> WorkerPool:
        executor = self.coordinator._executor
        assert isinstance(executor, WorkerPool)
        return executor

    def pid(self, job_id: str) -> int:
        link = self.pool._by_job[job_id]._link
        assert link is not None
        assert link.process.pid is not None
        return link.process.pid

    async def nothing_left(self) -> None:
        """Wait until nothing of a final job is left in memory; fail with what stays."""
        with contextlib.suppress(TimeoutError):
            await settles(lambda: not self._left())
        left = self._left()
        assert not left, left

    def _left(self) -> dict[str, object]:
        inside = self.coordinator
        state = inside._state
        timer = None if state.sessions() else state.timers.next()
        found = {
            "jobs": state._jobs,
            "scheduled": inside._scheduler._jobs,
            "timer": [] if timer is None else [timer],
            "arriving": state.arriving,
            "ending": state._ending,
            "creating": inside._admission._creating,
            "opening": inside._admission._opening,
            "pending": state._pending,
            "counts": state._counts,
            "handing over": inside._dispatcher._handing_over,
            "waiting": inside.notifier._waiting,
        }
        return {name: each for name, each in found.items() if each}


async def settles(condition: Callable[[], bool]) -> None:
    """Let the event loop run until a condition holds."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.005)


@asynccontextmanager
async def going(bench: Bench) -> AsyncIterator[Bench]:
    bench.coordinator.start()
    try:
        yield bench
    finally:
        bench.coordinator.stop()
        await asyncio.to_thread(bench.store.close)
