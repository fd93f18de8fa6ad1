"""Summaries of results: sent with a job by the local runtime, otherwise made here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.primitives import DataBin, PrimitiveResult, PubResult
from qiskit.quantum_info import SparsePauliOp

from qsession_widget import Estimator, QiskitRuntimeService, Sampler, Session
from qsession_widget.client.jobs.result_summary import Summaries
from qsession_widget.wire.documents import (
    JobDocument,
    JobExtrasDocument,
    ResultSummaryDocument,
)
from qsession_widget.wire.results.outcomes import summary_of
from qsession_widget.wire.results.summary import MOST_BYTES, Summary

if TYPE_CHECKING:
    from pathlib import Path

    from qsession_widget import RuntimeJob


def value(number: float) -> PrimitiveResult[Any]:
    return PrimitiveResult([PubResult(DataBin(evs=np.asarray(number)))])


def plain(job_id: str) -> JobDocument:
    """Return a job as a service sends it that makes no summaries."""
    return JobDocument(job_id)


def test_a_reader_gets_what_is_new_and_old_ones_are_forgotten() -> None:
    kept = Summaries()
    kept.note(plain("a"), value(1.0))
    kept.note(plain("none"), None)
    seen, fresh = kept.since(0)
    assert (seen, fresh) == (1, {"a": Summary(1.0)})
    kept.note(plain("b"), value(2.0))
    kept.note(plain("a"), value(1.0))
    assert kept.since(seen) == (2, {"b": Summary(2.0)})
    for number in range(10_000):
        kept.note(plain(str(number)), value(number))
    assert kept.of(plain("a")) is None
    assert kept.of(plain("9999")) == Summary(9999.0)
    assert len(kept.since(0)[1]) == 10_000


def test_what_the_service_has_sent_is_not_made_again() -> None:
    kept = Summaries()
    extras = JobExtrasDocument(result_summary=ResultSummaryDocument(value=3.0))
    job = JobDocument("a", qsession=extras)
    kept.note(job, value(1.0))
    assert kept.since(0) == (0, {})
    assert kept.of(job) == Summary(3.0)
    assert kept.of(plain("a")) is None


def measured(qubits: int = 1) -> QuantumCircuit:
    circuit = QuantumCircuit(qubits)
    circuit.x(range(0, qubits, 2))
    circuit.measure_all()
    return circuit


@pytest.fixture
def jobs(runtime: Path) -> dict[str, RuntimeJob]:
    """Return final jobs whose results were not fetched."""
    del runtime
    bare = QuantumCircuit(1)
    with Session(backend="aer_simulator") as session:
        sampler, estimator = Sampler(mode=session), Estimator(mode=session)
        private = Sampler(mode=session)
        private.options.environment.private = True
        observable = SparsePauliOp("Z")
        found = {
            "value": estimator.run([(bare, observable)]),
            "shots": sampler.run([measured()], shots=10),
            "wide": sampler.run([measured(20)], shots=10),
            "values": estimator.run([(bare, [observable, observable])]),
            "private": private.run([measured()], shots=10),
        }
        for job in found.values():
            job.wait_for_final_state()
    return found


def test_the_runtime_sends_those_of_jobs_from_anywhere(
    jobs: dict[str, RuntimeJob], runtime: Path
) -> None:
    # Another program knows nothing of them but their ids.
    with QiskitRuntimeService("local") as service:
        again = {name: service.job(job.job_id()) for name, job in jobs.items()}
        summaries = {name: service.summaries.of(job.document) for name, job in again.items()}
        assert summaries["shots"] == Summary(outcomes=(("1", 1.0),))
        assert summaries["wide"] == Summary(outcomes=(("01" * 10, 1.0),))
        found = summaries["value"]
        assert found is not None
        assert found == summary_of(again["value"].result())
        assert summaries["values"] is None
        listed = {job.job_id(): str(service.summaries.of(job.document)) for job in service.jobs()}
        assert listed[jobs["shots"].job_id()] == "1: 100 %"
        # Fetching a result adds nothing.
        assert again["shots"].result()[0].data.meas.num_shots == 10
        assert service.summaries.since(0) == (0, {})
    assert runtime


def test_nothing_is_kept_of_a_private_result(jobs: dict[str, RuntimeJob]) -> None:
    with QiskitRuntimeService("local") as service:
        job = service.job(jobs["private"].job_id())
        assert job.private
        assert service.summaries.of(job.document) is None
        assert "result_summary" not in job.data["qsession"]
        assert jobs["private"].result()[0].data.meas.num_shots == 10
        assert service.summaries.of(jobs["private"].document) is None


def test_a_summary_is_short(jobs: dict[str, RuntimeJob]) -> None:
    for job in jobs.values():
        sent = job.data["qsession"].get("result_summary", {})
        assert len(json.dumps(sent, separators=(",", ":"))) <= MOST_BYTES
