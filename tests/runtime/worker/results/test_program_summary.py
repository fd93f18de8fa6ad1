"""What a quantum program's summary says is what the official client reads in its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_ibm_runtime import executor_estimator, executor_sampler, options_models
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from qiskit_ibm_runtime.quantum_program import QuantumProgram

from qsession_widget.client.jobs.result_decoder import decode_result
from qsession_widget.runtime.worker import executor_program
from qsession_widget.runtime.worker.results import program_summary
from qsession_widget.wire.fields import EXECUTOR
from qsession_widget.wire.results.outcomes import summary_of
from tests.runtime.worker.jobs import ghz
from tests.runtime.worker.test_executor_program import params, rotations

if TYPE_CHECKING:
    from qsession_widget.runtime.worker.outcome import Outcome

DEVICE = FakeManilaV2()


def run(program: QuantumProgram, role: str) -> Outcome:
    program._semantic_role = role
    return executor_program.run(params(program), "fake_manila")


def sampler(*, twirled: bool) -> QuantumProgram:
    circuit = generate_preset_pass_manager(1, backend=DEVICE, seed_transpiler=0).run(ghz())
    options = options_models.SamplerOptions()
    options.twirling.enable_gates = options.twirling.enable_measure = twirled
    pub = SamplerPub.coerce((circuit,), 200)
    return executor_sampler.prepare.prepare([pub], options, backend=DEVICE)[0]


def estimator(level: int, *observables: Any) -> QuantumProgram:
    circuit = QuantumCircuit(5)
    circuit.sx(0)
    circuit.cx(0, 1)
    given = observables[0] if len(observables) == 1 else list(observables)
    pubs = [EstimatorPub.coerce((circuit, given), 0.03)] * 2
    options = options_models.EstimatorOptions(resilience_level=level)
    return executor_estimator.prepare.prepare(pubs, options, backend=DEVICE)[0]


@pytest.mark.parametrize("twirled", [False, True])
def test_a_sampler_has_its_outcomes(twirled: bool) -> None:
    outcome = run(sampler(twirled=twirled), "sampler_v2")
    assert outcome.summary is not None
    assert outcome.summary == summary_of(decode_result(outcome.result, EXECUTOR))
    assert {bits for bits, _ in outcome.summary.outcomes[:2]} == {"0000", "1111"}


@pytest.mark.parametrize("level", [0, 1, 2])
def test_an_estimator_has_its_mitigated_value(level: int) -> None:
    outcome = run(estimator(level, "IIIZZ"), "estimator_v2")
    assert outcome.summary is not None
    assert outcome.summary == summary_of(decode_result(outcome.result, EXECUTOR))
    assert abs((outcome.summary.value or 0) - 1) < 0.5
    assert outcome.summary.error is not None


def test_several_values_have_no_short_form() -> None:
    assert run(estimator(0, "IIIZZ", "IIIIZ"), "estimator_v2").summary is None


@pytest.mark.parametrize("role", ["sampler_v2", "estimator_v2", "noise_learner_v3", "mine"])
def test_a_program_may_claim_any_role(role: str) -> None:
    program = QuantumProgram(20, passthrough_data={"post_processor": {"version": "v0.1"}})
    program.append_circuit_item(rotations(), circuit_arguments=np.array([0.0]))
    outcome = run(program, role)
    assert (outcome.summary is None) == (role != "sampler_v2")
    assert len(outcome.result) > 100


def test_arrays_that_do_not_fit_or_are_large_have_no_short_form() -> None:
    bits = np.zeros((4, 2), dtype=bool)
    flips = {"measurement_flips.meas": np.zeros((3, 3), dtype=bool), "meas": bits}
    assert program_summary.of_program("sampler_v2", [flips], "") is None
    assert program_summary.of_program("sampler_v2", [{}], "") is None
    assert program_summary.of_program("sampler_v2", [], "") is None
    large = {"meas": np.zeros((2**23 + 1, 2), dtype=bool)}
    assert program_summary.of_program("sampler_v2", [large], "") is None
