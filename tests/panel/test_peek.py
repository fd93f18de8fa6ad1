from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray
from qiskit.quantum_info import SparsePauliOp

from qsession_widget import Estimator, RuntimeJob, Sampler, Session
from qsession_widget.panel import job_preview as module
from qsession_widget.panel.job_preview import peek

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_expectation_values_with_their_errors(runtime: Path) -> None:
    del runtime
    with Session(backend="fake_manila") as session:
        circuit = QuantumCircuit(1)
        circuit.h(0)
        job = Estimator(mode=session).run(
            [(circuit, [SparsePauliOp("X"), SparsePauliOp("Z")])], precision=0.1
        )
        job.result()
        found = peek(RuntimeJob(session.service, job.job_id()))
    (result,) = found["results"]
    assert result["name"] == "evs"
    assert [at for at, _, _ in result["values"]] == ["0", "1"]
    assert abs(result["values"][0][1]) > 0.5
    assert all(error >= 0 for _, _, error in result["values"])
    assert json.loads(json.dumps(found)) == found


def test_a_small_circuit_is_drawn_and_a_large_one_described(runtime: Path) -> None:
    del runtime
    small, large = QuantumCircuit(2, name="bell"), QuantumCircuit(5, name="deep")
    small.h(0)
    small.cx(0, 1)
    small.measure_all()
    for _ in range(20):
        large.cx(0, 1)
        large.h(0)
    large.measure_all()
    with Session(backend="fake_manila") as session:
        jobs = [Sampler(mode=session).run([each], shots=10) for each in (small, large)]
        found = [peek(RuntimeJob(session.service, job.job_id()))["circuit"] for job in jobs]
    drawing = found[0].pop("drawing")
    assert found[0] == {"name": "bell", "qubits": 2, "depth": 3, "two_qubit": 1}
    assert "H" in drawing
    assert len(drawing.splitlines()) >= 5
    assert found[1] == {"name": "deep", "qubits": 5, "depth": 41, "two_qubit": 20, "drawing": None}


def test_a_job_without_a_result_has_its_reason_and_options(slow_runtime: Path) -> None:
    del slow_runtime
    with Session(backend="fake_ourense") as session:
        circuit = QuantumCircuit(1)
        circuit.measure_all()
        job = Sampler(mode=session, options={"default_shots": 77}).run([circuit])
        job.cancel()
        job.wait_for_final_state()
        found = peek(RuntimeJob(session.service, job.job_id()))
    assert ["default_shots", "77"] in found["options"]
    assert found["reason"]
    assert found["results"] == []


def test_the_preview_is_small_for_any_job() -> None:
    bits = BitArray(np.arange(2**16, dtype=">u4").view(np.uint8).reshape(-1, 4), 32)
    counts = module._counts(bits)
    assert len(counts["counts"]) == module.MOST_ROWS
    assert counts["more"] == 2**16 - module.MOST_ROWS
    values = module._values(np.zeros((300, 300)), np.ones((300, 300)))
    assert values["values"][1] == ["0, 1", 0.0, 1.0]
    assert values["more"] == 90_000 - module.MOST_ROWS
    options = {"a": {"b" * 1000: "c" * 10_000}}
    assert [len(part) for part in next(module._flat(options))] == [40, 40]


def test_values_that_are_not_numbers_are_none() -> None:
    assert module._values(np.array(np.nan), None)["values"] == [["", None, None]]
    assert module._values(np.array([1.0]), np.array([np.inf]))["values"] == [["0", 1.0, None]]


def test_nothing_is_fetched_that_is_not_shown(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del runtime
    monkeypatch.setattr(module, "_LARGEST_INPUTS", 200)
    monkeypatch.setattr(module, "_LARGEST_RESULT", 200)
    with Session(backend="fake_manila") as session:
        circuit = QuantumCircuit(1)
        circuit.measure_all()
        job = Sampler(mode=session).run([circuit])
        job.result()
        found = peek(RuntimeJob(session.service, job.job_id()))
    assert found["notes"] == [
        "Its inputs are large, so its options are not fetched.",
        "Its result is large, so it is not fetched here.",
    ]
    assert (found["options"], found["results"]) == ([], [])
    assert found["pubs"] == 1, "this process knows it already"


def test_a_preview_does_not_consume_the_result_of_a_private_job(runtime: Path) -> None:
    del runtime
    options = {"environment": {"private": True}}
    with Session(backend="fake_manila") as session:
        circuit = QuantumCircuit(1)
        circuit.measure_all()
        job = Sampler(mode=session, options=options).run([circuit])
        job.wait_for_final_state()
        found = peek(RuntimeJob(session.service, job.job_id()))
        assert found["results"] == []
        assert found["notes"] == [
            "It is private: its result is given once, so it is not fetched here."
        ]
        assert job.result() is not None
