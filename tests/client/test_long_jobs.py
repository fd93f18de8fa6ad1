"""A job that will take long says so while it runs: on the wire, in a warning, and in the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qiskit import QuantumCircuit

from qsession_widget import JobTimeoutError, QiskitRuntimeService, Sampler
from qsession_widget.client.jobs import base_job
from qsession_widget.monitoring.job_row import JobRow
from tests.client.scripted_jobs import Service, job_json, job_of
from tests.client.throwaway import serving
from tests.conftest import eventually
from tests.faults.test_kill import rows

if TYPE_CHECKING:
    from pathlib import Path

SHOTS = 100_000


def endless() -> QuantumCircuit:
    """Return a circuit whose shots take a good part of a second each and run one by one."""
    circuit = QuantumCircuit(20, 20)
    for _ in range(4):
        circuit.rx(0.3, range(20))
        for qubit in range(19):
            circuit.cx(qubit, qubit + 1)
        circuit.measure(0, 0)
        circuit.reset(0)
    circuit.measure(range(20), range(20))
    return circuit


def test_a_job_that_will_take_hours_says_so_before_it_does(runtime: Path) -> None:
    service = QiskitRuntimeService(channel="local")
    job = Sampler(mode=service.backend("aer_simulator")).run([endless()], shots=SHOTS)
    try:
        eventually(lambda: job.status() and job.usage_estimation["quantum_seconds"], "an estimate")
        seconds = job.usage_estimation["quantum_seconds"]
        assert seconds is not None
        assert seconds > base_job.LONG_SECONDS
        (listed,) = (each for each in service.jobs(limit=5) if each.job_id() == job.job_id())
        assert listed.usage_estimation == job.usage_estimation
        with (
            pytest.warns(UserWarning, match=r"expected to run for about .* of 100,000 shots"),
            pytest.raises(JobTimeoutError),
        ):
            job.wait_for_final_state(timeout=2, poll_interval=0.2, callback=lambda *_: None)
        row = JobRow.of(job.document)
        assert row.expected_until is not None
        assert row.started_at is not None
        assert (row.expected_until - row.started_at).total_seconds() == pytest.approx(seconds)
        assert row.expected_by.endswith("of 100,000 shots")
    finally:
        job.cancel()
    kept = rows(runtime, f"select expected_seconds from jobs where id = '{job.job_id()}'")  # noqa: S608 - an id of ours
    assert kept == [(seconds,)]


def test_it_is_told_once_and_only_of_a_long_one(recwarn: pytest.WarningsRecorder) -> None:
    for seconds, told in ((30.0, []), (7_500.0, ["about 2 h"]), (900.0, ["about 15 min"])):
        states = [job_json("Running", estimated_running_time_seconds=seconds)] * 3
        with serving(Service(*states, job_json("Completed")).app) as url:
            job_of(url).wait_for_final_state(poll_interval=0.1)
        said = [str(each.message) for each in recwarn]
        recwarn.clear()
        assert len(said) == len(told)
        assert all(part in text for part, text in zip(told, said, strict=True))
