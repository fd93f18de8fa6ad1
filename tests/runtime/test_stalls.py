"""A long simulation holds up neither the server nor the kernel: it runs in a process of its own."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from qsession_widget import Sampler
from qsession_widget.errors import QSessionError
from tests.client.circuits import heavy
from tests.conftest import DEADLINE_SECONDS, eventually
from tests.runtime.server import reached, worker_of

if TYPE_CHECKING:
    from pathlib import Path

    from qsession_widget import QiskitRuntimeService

REQUESTS = 50
TICK_SECONDS = 0.001


def test_a_job_of_20_qubits_stalls_neither_the_server_nor_the_kernel(
    service: QiskitRuntimeService, runtime: Path
) -> None:
    """By counts: of requests that are answered meanwhile, and of turns of a thread here."""
    ticks = [0]
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            time.sleep(TICK_SECONDS)
            ticks[0] += 1

    def wait() -> None:
        with pytest.raises(QSessionError):
            job.result()

    job = Sampler(mode=service.backend("aer_simulator")).run([heavy()])
    threads = [threading.Thread(target=tick), threading.Thread(target=wait)]
    for each in threads:
        each.start()
    try:
        server = reached(runtime)
        server.running(job.job_id())
        pid = worker_of(server, job.job_id())
        assert pid not in (os.getpid(), server.pid)
        worker = psutil.Process(pid)

        def worked() -> float:
            times = worker.cpu_times()
            return float(times.user + times.system)

        before = worked()
        eventually(lambda: worked() > before + 0.5, "the middle of the simulation")
        before, ticked = worked(), ticks[0]
        for _ in range(REQUESTS):
            assert server.status(job.job_id()) == "Running"
        eventually(lambda: worked() > before, "more of the simulation")
        assert ticks[0] - ticked >= REQUESTS / 2, "a request takes longer than a turn"
        assert server.status(job.job_id()) == "Running"
    finally:
        job.cancel()
        done.set()
        for each in threads:
            each.join(DEADLINE_SECONDS)
    assert not any(each.is_alive() for each in threads)
