"""Jobs of the official client's newer primitives are shown as what their user sent."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import BitArray
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import NoiseLearnerV3, QuantumProgram
from qiskit_ibm_runtime import Session as OfficialSession
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler

from qsession_widget import Executor, QiskitRuntimeService, Session
from qsession_widget.cli.main import main
from qsession_widget.local import process
from qsession_widget.monitoring.monitor import Monitor
from qsession_widget.monitoring.snapshot_sources import OnService
from qsession_widget.panel import job_columns, quantum_program
from qsession_widget.panel.html import as_html
from qsession_widget.panel.job_preview import peek

if TYPE_CHECKING:
    from pathlib import Path

    from qsession_widget.client.jobs.job import RuntimeJob

WORDS = ["sampler", "estimator", "noise learner", "executor"]


@cache
def ghz(backend: Any) -> QuantumCircuit:
    circuit = QuantumCircuit(2, name="pair")
    circuit.ry(Parameter("angle"), 0)
    circuit.cx(0, 1)
    found: QuantumCircuit = generate_preset_pass_manager(
        1, backend=backend, initial_layout=[0, 1]
    ).run(circuit)
    return found


@pytest.fixture
def sent(runtime: Path) -> tuple[Session, list[RuntimeJob]]:
    """Return a session with a finished job of each kind, in the order of `WORDS`."""
    official = process.official_service(folder=runtime).backend("fake_manila")
    circuit = ghz(official)
    measured = circuit.copy()
    measured.measure_all()
    values = np.array([[0.5], [1.0], [np.pi]])
    observable = SparsePauliOp("ZZ").apply_layout(circuit.layout)
    program = QuantumProgram(32)
    program.append_circuit_item(measured, circuit_arguments=values)
    service = QiskitRuntimeService("local")
    with OfficialSession(official) as theirs:
        session = Session.from_id(theirs.session_id, service)
        estimator = Estimator(mode=theirs, options={"resilience_level": 0})
        cancelling = Estimator(mode=theirs, options={"resilience": {"pec_mitigation": True}})
        layers = cancelling.find_unique_layers([(circuit, observable, [[1.0]])])
        done = [
            Sampler(mode=theirs).run([(measured, values)], shots=64),
            estimator.run([(circuit, observable, [[1.0]])] * 2, precision=0.1),
            NoiseLearnerV3(mode=theirs).run(layers),
            Executor(session=session).run(program),
        ]
        found = [service.job(job.job_id()) for job in done]
        for job in found:
            job.wait_for_final_state()
    return session, found


def test_each_job_is_named_by_what_it_stands_for(
    sent: tuple[Session, list[RuntimeJob]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, jobs = sent
    assert [job.program_id for job in jobs] == ["executor", "executor", "noise-learner", "executor"]
    listed = session.service.jobs(session_id=session.session_id, descending=False)
    table = [line.split("fake_manila")[1] for line in str(listed).splitlines()[1:]]
    for word, line in zip(WORDS, table, strict=True):
        assert line.strip().startswith(word)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["jobs", "--all", "--limit", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:5]
    for word, line in zip(WORDS, reversed(lines), strict=True):
        assert line.split("fake_manila")[1].strip().startswith(word)
    snapshot = OnService(session).look(Monitor(session).snapshot, hold=False)
    assert [row.program for row in snapshot.jobs] == WORDS
    assert [row.pubs for row in snapshot.jobs] == [1, 2, None, None]
    assert job_columns.page(snapshot.jobs.pages[0].rows)["roles"] == [[word, 1] for word in WORDS]
    markup = as_html(snapshot)
    assert 'title="executor">estimator</td>' in markup
    assert 'title="noise-learner">noise learner</td>' in markup


def test_each_job_is_decoded(sent: tuple[Session, list[RuntimeJob]]) -> None:
    _, jobs = sent
    sampler, estimator, learner, executor = map(peek, jobs)
    for each in (sampler, estimator, learner, executor):
        assert json.loads(json.dumps(each)) == each
        assert not each["notes"]
    asked = dict(sampler["options"])
    assert sampler["pubs"] == 1
    assert (asked["program"], asked["shots"], asked["runs"]) == ("executor", "192", "3")
    assert asked["parameter values"] == "3 \N{MULTIPLICATION SIGN} 1"
    (result,) = sampler["results"]
    assert (result["name"], result["shots"]) == ("meas", 192)
    assert sampler["circuit"]["two_qubit"] == 1
    assert sampler["circuit"]["drawing"]

    assert estimator["pubs"] == 2
    assert dict(estimator["options"])["parameter values"] == "1 \N{MULTIPLICATION SIGN} 1"
    assert [each["pub"] for each in estimator["results"] if each["name"] == "evs"] == [0, 1]
    value, error = estimator["results"][0]["values"][0][1:]
    assert abs(value - np.cos(1.0)) < 0.5
    assert error > 0

    (layer,) = learner["results"]
    assert layer["name"] == "rate"
    label, rate, _ = layer["values"][0]
    assert " on " in label
    assert rate > 0

    assert (executor["pubs"], dict(executor["options"])["shots"]) == (None, "96")
    (counts,) = executor["results"]
    assert (counts["name"], counts["shots"]) == ("meas", 96)


def test_the_result_column_has_their_results(sent: tuple[Session, list[RuntimeJob]]) -> None:
    session, jobs = sent
    for job in jobs:
        job.result()
    found = [session.service.summaries.of(job.document) for job in jobs]
    sampler, estimator, learner, executor = found
    assert sampler is not None
    assert {len(bits) for bits, _ in sampler.outcomes} == {5}
    assert estimator is not None
    assert estimator.value is not None
    assert abs(estimator.value - np.cos(1.0)) < 0.5
    assert (learner, executor) == (None, None), "they have no short form"


# -- anything may be sent ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [
        {},
        {"items": 3, "shots": "many", "circuits": 7},
        {"items": [4, {"shape": "x"}, {"shape": [2, "x"]}], "circuits": {"b64_data": 5}},
        {"items": [{"circuit_arguments": {"shape": 4}}], "circuits": {"b64_data": "no base64"}},
        {"passthrough_data": [1], "circuits": {"b64_data": "aGVsbG8="}},
        {"passthrough_data": {"post_processor": {"options": [1]}}},
    ],
)
def test_a_program_of_another_form_is_shown_as_far_as_it_can_be_read(
    program: dict[str, Any],
) -> None:
    assert quantum_program.facts("executor", program, {"a": 1})["program"] == "executor"
    assert quantum_program.first_circuit(program) is None


def test_only_measured_bits_are_counted() -> None:
    bits = np.zeros((3, 5, 2), dtype=bool)
    bits[..., 1] = True
    drawn = {"measurement_flips.c": bits, "pauli_signs": bits, "c": bits, "values": np.ones((2, 2))}
    (found,) = quantum_program.parts_of([drawn])
    assert list(found) == ["c"]
    assert isinstance(found["c"], BitArray)
    assert found["c"].get_counts() == {"10": 15}
    assert quantum_program.parts_of(None) == []
    assert quantum_program.parts_of([1]) == [{}]
