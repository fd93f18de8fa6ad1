"""The loop of a worker process."""

from __future__ import annotations

from multiprocessing import Pipe, forkserver

import pytest
from msgspec import msgpack

from qsession_widget.runtime import bounds
from qsession_widget.runtime.control.worker_pool import WorkerPool
from qsession_widget.runtime.worker import lru_cache, main, primitives
from qsession_widget.runtime.worker.device import SimulatedDevice, caches
from qsession_widget.runtime.worker.noise.aer_form import Shape


def test_interim_results_are_kept_up_to_their_bound() -> None:
    sent: list[str] = []
    tell = main.InterimSender(sent.append)
    for size in (bounds.INTERIM_CHARACTERS - 1, 1, 1, 0):
        tell("x" * size)
    # After an interim result was left out, later ones are left out too.
    assert [len(each) for each in sent] == [bounds.INTERIM_CHARACTERS - 1, 1]


def test_the_pool_preloads_what_workers_run() -> None:
    """The fork server skips modules that it cannot import; then each worker would import Qiskit."""
    WorkerPool(1, on_event=lambda _job_id, _attempt, _event: None)
    preloaded = forkserver._forkserver._preload_modules  # type: ignore[attr-defined] # no public way
    assert primitives.__name__ in preloaded


USES = [(name, (qubit,)) for name in ("rz", "sx", "measure") for qubit in range(27)]
"""Of a template on all of the device's qubits."""


@pytest.mark.parametrize("comes", [False, True], ids=["idle", "a task comes"])
def test_an_idle_worker_gets_ready_for_executor_jobs_until_a_task_comes(comes: bool) -> None:
    caches.forget_devices()
    server, pipe = Pipe()
    inbox = main._Inbox(pipe)
    if comes:
        server.send_bytes(msgpack.encode({"job_id": "mine"}))
    main._get_ready_for_executor("fake_algiers", inbox, lru_cache.Housekeeping())
    device = SimulatedDevice("fake_algiers", 0)
    lru_cache.start()
    found = device.errors_alone(USES)
    assert (lru_cache.figures.misses == 0) is not comes
    assert found.keys() >= {("sx", (26,)), (None, (26,))}
    assert device.noise_alone("sx", 0).of(USES, Shape.SUPEROP).items() <= found.items()
    if comes:
        assert inbox.next() == {"job_id": "mine"}
    server.close()
    pipe.close()
