"""The loop of a worker process."""

from __future__ import annotations

from multiprocessing import forkserver

from qsession_widget.runtime import bounds
from qsession_widget.runtime.control.worker_pool import WorkerPool
from qsession_widget.runtime.worker import main, primitives


def test_interim_results_are_kept_up_to_their_bound() -> None:
    sent: list[str] = []
    tell = main.InterimSender(sent.append)
    for size in (bounds.INTERIM_CHARACTERS - 1, 1, 1, 0):
        tell("x" * size)
    # After an interim result was left out, later ones are left out too.
    assert [len(each) for each in sent] == [bounds.INTERIM_CHARACTERS - 1, 1]


def test_the_pool_preloads_what_workers_run() -> None:
    """The fork server skips modules that it cannot import; then each worker would import Qiskit."""
    WorkerPool(1, on_event=lambda _job_id, _event: None)
    preloaded = forkserver._forkserver._preload_modules  # type: ignore[attr-defined] # no public way
    assert primitives.__name__ in preloaded
