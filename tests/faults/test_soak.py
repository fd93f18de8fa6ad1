"""The server, a worker, or both are killed at random moments, again and again."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import psutil
from qiskit import QuantumCircuit

from qsession_widget import Batch, QiskitRuntimeService, Sampler, Session
from qsession_widget.local import process
from tests.conftest import DEADLINE_SECONDS, eventually, gone
from tests.runtime import stores
from tests.runtime.stores import on_both, rows

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

KILLS = int(os.environ.get("QSESSION_KILLS", "5"))
"""How many; `make soak` kills 200 times."""

JOBS = 6
"""Threads in each round that submit a job and wait for its result during the kill."""

LATEST_SECONDS = 0.6
"""How long the jobs of a round take if nothing is killed."""

SHOTS = 50


def circuit() -> QuantumCircuit:
    found = QuantumCircuit(3)
    found.h(0)
    found.cx(0, 1)
    found.cx(1, 2)
    found.measure_all()
    return found


def workers(server: int) -> list[int]:
    """Return the processes that run jobs; some may end during the search."""
    found: list[int] = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(server).children():
            found += [each.pid for each in child.children()]
    return found


class Reaper:
    """Kills processes, and counts them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._random = random.Random(seed)  # noqa: S311 - chooses a victim
        self.killed: Counter[str] = Counter()

    def wait(self) -> None:
        threading.Event().wait(self._random.uniform(0.0, LATEST_SECONDS))

    def strike(self) -> None:
        """Kill the server, one of its workers, or both, and wait until they are gone."""
        found = process.endpoint(start=False, folder=self._folder)
        victim = self._random.choice(("server", "worker", "both"))
        victims = []
        if victim != "server":
            victims += [self._random.choice(eventually(lambda: workers(found.pid), "workers"))]
        if victim != "worker":
            victims += [found.pid]
        for pid in victims:
            # A worker that is gone was just replaced.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.killed[victim] += 1
        for pid in victims:
            eventually(partial(gone, pid), "its end")


@on_both
def test_every_accepted_job_ends_once_whichever_process_is_killed(
    own_runtime: Path, each_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads wait in result() without new calls; no job is lost or duplicated."""
    kills = KILLS
    if each_store == "postgresql":
        monkeypatch.setenv("QSESSION_STORE", stores.place(own_runtime))
        kills = KILLS if "QSESSION_KILLS" in os.environ else 2
    service = QiskitRuntimeService(channel="local")
    reaper = Reaper(own_runtime, seed=kills)
    ended: dict[str, int] = {}
    submitted: list[str] = []
    with ThreadPoolExecutor(JOBS) as pool:
        for number in range(kills):
            kind = Batch if number % 3 == 2 else Session
            session = kind(service, "fake_manila")
            alone = service.backend("aer_simulator")
            primitives = [Sampler(mode=session)] * (JOBS - 2) + [Sampler(mode=alone)] * 2
            begin = threading.Barrier(JOBS + 1)
            waiting = [pool.submit(run, primitive, begin) for primitive in primitives]
            begin.wait(DEADLINE_SECONDS)
            reaper.wait()
            reaper.strike()
            for each in waiting:
                job_id, shots = each.result(2 * DEADLINE_SECONDS)
                submitted.append(job_id)
                assert shots == SHOTS
            session.close()
            eventually(partial(closed, session), "the end of its session")
            now = dict(rows(own_runtime, "select id, ended_at from jobs"))
            assert {job_id: now[job_id] for job_id in ended} == ended, "final jobs do not change"
            ended = now
    assert sorted(ended) == sorted(submitted), "each was accepted once"
    assert len(set(submitted)) == kills * JOBS
    assert rows(own_runtime, "select state, count(*) from jobs group by state") == [
        ("Completed", kills * JOBS)
    ]
    results = "select count(*), count(distinct job_id) from results"
    assert rows(own_runtime, results) == [(kills * JOBS, kills * JOBS)]
    again = rows(own_runtime, "select count(*) from jobs where attempts > 1")[0][0]
    # `pytest -s` shows it, for docs/soak.rst.
    sys.stdout.write(
        f"{each_store}: {kills} kills {dict(reaper.killed)}, {len(submitted)} jobs, "
        f"{again} of them run again after their worker was killed\n"
    )


def closed(session: Session) -> bool:
    return session.status() == "Closed"


def run(primitive: Sampler, begin: threading.Barrier) -> tuple[str, int]:
    begin.wait(DEADLINE_SECONDS)
    job = primitive.run([circuit()], shots=SHOTS)
    return job.job_id(), job.result()[0].data.meas.num_shots
