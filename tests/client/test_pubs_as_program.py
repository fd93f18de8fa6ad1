"""Sampler and Estimator on services that take their jobs as quantum programs only."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import BitArray, PrimitiveResult, SamplerPubResult
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_ibm_runtime.execution_span import ExecutionSpans

from qsession_widget import (
    Batch,
    Estimator,
    InvalidInputError,
    QiskitRuntimeService,
    Sampler,
    Session,
)
from qsession_widget.errors import NotFoundError, UnsupportedError
from qsession_widget.local import process
from tests.client.circuits import bell
from tests.conftest import running
from tests.statistics import judging
from tests.statistics.jobs import NOISY, counts_of, exact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHOTS = 20_000
ANGLES = [0.3, 1.1]


def joined(folder: Path) -> QiskitRuntimeService:
    found = process.endpoint(start=False, folder=folder)
    return QiskitRuntimeService("local", found.token, found.url)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QiskitRuntimeService]:
    """Yield a runtime without the programs of server-side primitives, as IBM announces it."""
    folder = tmp_path_factory.mktemp("programs")
    with running(folder, "--programs", "executor,noise-learner"), joined(folder) as found:
        yield found


def as_at_ibm(service: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_features", frozenset())
    monkeypatch.setattr(service, "_programs", None)
    monkeypatch.setattr(service, "_missing_programs", set())


@pytest.fixture
def silent(service: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch) -> QiskitRuntimeService:
    """Return the same, which does not say what it runs until it is sent a job."""
    as_at_ibm(service, monkeypatch)
    return service


def turned(*, measured: bool) -> QuantumCircuit:
    """Return a circuit in the device's instruction set, with a parameter."""
    circuit = QuantumCircuit(5, 5)
    circuit.rz(np.pi / 2, 1)
    circuit.sx(1)
    circuit.rz(Parameter("angle"), 1)
    circuit.sx(1)
    circuit.cx(1, 2)
    circuit.sx(3)
    if measured:
        circuit.measure(range(5), range(5))
    return circuit


def test_a_service_says_which_programs_it_runs(service: QiskitRuntimeService) -> None:
    wanted = {"sampler": False, "estimator": False, "executor": True, "noise-learner": True}
    assert {name: service.runs(name) for name in wanted} == wanted


@pytest.mark.parametrize("kind", [Session, Batch])
def test_a_samplers_job_in_a_session(service: QiskitRuntimeService, kind: type[Session]) -> None:
    circuit = turned(measured=True)
    circuit.metadata = {"mine": 1}
    with kind(service, NOISY) as session:
        sampler = Sampler(mode=session, options={"environment": {"job_tags": ["a"]}})
        job = sampler.run([(circuit, [[each] for each in ANGLES]), bell()], shots=SHOTS)
        assert (job.session_id, job.program_id) == (session.session_id, "executor")
        assert job.tags == ["a"]
        result = job.result()
    assert isinstance(result, PrimitiveResult)
    first, second = result
    assert isinstance(first, SamplerPubResult)
    assert first.metadata["circuit_metadata"] == {"mine": 1}
    assert isinstance(first.data.c, BitArray)
    assert (first.data.c.shape, first.data.c.num_shots) == ((2,), SHOTS)
    assert second.data.cr.num_shots == SHOTS
    for index, angle in enumerate(ANGLES):
        probabilities = exact(NOISY, circuit.assign_parameters([angle]))
        judging.judge_distribution(counts_of(first.data.c[index]), probabilities)
    spans = result.metadata["execution"]["execution_spans"]
    assert isinstance(spans, ExecutionSpans)
    assert [span.pub_idxs for span in spans] == [[0], [1]]
    assert [span.mask(index).all() for index, span in enumerate(spans)] == [True, True]
    (second_span,) = [span for span in spans if span.pub_idxs == [1]]
    assert job.creation_date <= spans.start <= second_span.start <= spans.stop
    # The header with the server's time has whole seconds.
    assert spans.stop <= service.server_time() + timedelta(seconds=1)


@pytest.mark.parametrize("level", [None, 0, 1])
def test_an_estimators_job_estimates_and_mitigates(
    service: QiskitRuntimeService, level: int | None
) -> None:
    circuit = turned(measured=False)
    bound = circuit.assign_parameters([ANGLES[0]])
    observable = SparsePauliOp(["IIIZZ", "IIZZI"], [1.0, 0.5])
    measured = bound.copy()
    measured.measure(range(5), range(5))
    signs = {
        label: np.array([(-1) ** (outcome & mask).bit_count() for outcome in range(32)])
        for label, mask in {"IIIZZ": 0b00011, "IIZZI": 0b00110}.items()
    }
    probabilities = exact(NOISY, measured)
    unmitigated = sum(
        coefficient.real * float(probabilities @ signs[label])
        for label, coefficient in zip(observable.paulis.to_labels(), observable.coeffs, strict=True)
    )
    ideal = float(Statevector(bound).expectation_value(observable).real)
    estimator = Estimator(mode=service.backend(NOISY), options={"resilience_level": level})
    job = estimator.run([(circuit, observable, [ANGLES[0]])], precision=0.005)
    (result,) = job.result()
    assert job.program_id == "executor"
    assert (result.data.evs.shape, result.data.stds.shape) == ((), ())
    value, error = float(result.data.evs), float(result.data.stds)
    if level == 1:
        assert abs(value - ideal) < abs(unmitigated - ideal) / 2, "readout errors are mitigated"
    else:
        judging.judge_mean(value, unmitigated, error, "estimate")


def test_circuits_of_any_kind_run_on_a_simulator(service: QiskitRuntimeService) -> None:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.crx(np.pi, 0, 1)
    circuit.ry(Parameter("angle"), 0)
    values = [0.7]
    backend = service.backend("aer_simulator")
    observables = ["ZI", "IX"]
    pub = (circuit, observables, values)
    (result,) = Estimator(mode=backend).run([pub], precision=0.01).result()
    state = Statevector(circuit.assign_parameters(values))
    for found, error, label in zip(result.data.evs, result.data.stds, observables, strict=True):
        value = float(state.expectation_value(SparsePauliOp(label)).real)
        judging.judge_mean(float(found), value, float(error), label)
    circuit.measure_all()
    twirled = Sampler(mode=backend, options={"twirling": {"enable_measure": True}})
    (sampled,) = twirled.run([(circuit, values)], shots=SHOTS).result()
    judging.judge_distribution(counts_of(sampled.data.meas), state.probabilities())


def test_a_seed_gives_the_same_shots_again(service: QiskitRuntimeService) -> None:
    sampler = Sampler(mode=service.backend(NOISY), options={"seed": 5})
    one, other = (sampler.run([bell()], shots=100).result()[0].data.cr for _ in range(2))
    assert np.array_equal(one.array, other.array)


def test_a_dry_run_goes_to_the_mock(service: QiskitRuntimeService) -> None:
    with Session(service, NOISY) as session:
        job = Sampler(mode=session).run([bell()], shots=5, dry_run=True)
        assert (job.backend().name, job.session_id) == ("mock_manila", None)
        assert job.result()[0].data.cr.num_shots == 5


@pytest.mark.parametrize(
    ("options", "pubs", "said"),
    [
        ({}, [(bell(), None, 10), (bell(), None, 20)], "different shots: 10, 20"),
        ({}, [(bell(), None, 10), bell()], "different shots: 10, none"),
        (
            {"simulator": {"noise_model": {"errors": []}}},
            [bell()],
            r"do not take simulator\.noise_model=\{'errors': \[\]\}: leave it out$",
        ),
        ({"execution": {"meas_type": "kerneled"}}, [bell()], "meas_type='kerneled'"),
    ],
)
def test_a_sampler_says_what_a_program_cannot_be(
    service: QiskitRuntimeService, options: dict[str, Any], pubs: list[Any], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        Sampler(mode=service.backend(NOISY), options=options).run(pubs)


@pytest.mark.parametrize(
    ("options", "precisions", "said"),
    [
        ({}, [0.1, 0.2], r"different precision: 0\.1, 0\.2"),
        ({"resilience": {"pec_mitigation": True}}, [0.1], "requires a noise model"),
        (
            {
                "resilience": {"layer_noise_learning": {"max_layers_to_learn": 3}},
                "simulator": {"basis_gates": ["cx"]},
            },
            [0.1],
            r"not take simulator\.basis_gates=\['cx'\] or resilience\.layer_noise_learning=\{",
        ),
    ],
)
def test_an_estimator_says_what_a_program_cannot_be(
    service: QiskitRuntimeService, options: dict[str, Any], precisions: list[float], said: str
) -> None:
    circuit = turned(measured=False)
    pubs = [(circuit, "ZZIII", [0.1], precision) for precision in precisions]
    with pytest.raises(InvalidInputError, match=said):
        Estimator(mode=service.backend(NOISY), options=options).run(pubs)


def test_without_ibms_package_a_sentence_says_what_to_install(
    service: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "qiskit_ibm_runtime.options_models", None)
    monkeypatch.delattr("qiskit_ibm_runtime.options_models")
    with pytest.raises(UnsupportedError, match=r"runs no 'sampler' jobs, needs qiskit-ibm-runtime"):
        Sampler(mode=service.backend(NOISY)).run([bell()])


def test_a_service_that_refuses_a_program_is_sent_the_other_form(
    silent: QiskitRuntimeService,
) -> None:
    assert silent.runs("sampler")
    sampler = Sampler(mode=silent.backend(NOISY))
    for _ in range(2):
        job = sampler.run([bell()], shots=5)
        assert not silent.runs("sampler"), "it is not asked again"
        assert job.program_id == "executor"
        assert job.result()[0].data.cr.num_shots == 5


def test_another_refusal_is_not_about_the_program(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runtime
    with QiskitRuntimeService("local") as whole, Session(whole, NOISY) as session:
        as_at_ibm(whole, monkeypatch)
        sampler = Sampler(mode=session)
        monkeypatch.setattr(session, "_session_id", "there-is-none")
        with pytest.raises(NotFoundError, match="Session not found"):
            sampler.run([bell()])
        assert whole.runs("sampler")
        monkeypatch.undo()


def test_a_service_without_either_program_is_named(tmp_path: Path) -> None:
    with running(tmp_path, "--programs", "noise-learner"), joined(tmp_path) as bare:
        with pytest.raises(UnsupportedError, match="runs neither 'sampler' nor 'executor' jobs"):
            Sampler(mode=bare.backend(NOISY)).run([bell()])
        with pytest.raises(NotFoundError, match="Program not found: executor"):
            bare.run("executor", {}, {"backend": NOISY})
