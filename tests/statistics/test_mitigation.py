"""Error mitigation without an account: the official client's Estimator in sessions of the runtime.

The mean of many runs lies at the exact value, as far as its standard error says. A mean of fresh
runs would be further away than two standard errors in 6 of 100 cases, so the runs have seeds: with
the same releases of Aer and of IBM's packages they have the same outcome everywhere. `make soak`
takes four times as many shots, without a seed, and judges with the rate of false alarms of
`judging`.

IBM's TREX takes the probability p of a flipped bit for the rate of its Pauli-Lindblad model, and so
is off by 2 p**2. The qubits here are read well, so that this is 0.002.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import NoiseLearnerV3, Session
from qiskit_ibm_runtime.executor_estimator import Estimator

from qsession_widget.local import process
from tests.statistics import judging

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT_LENGTH = os.environ.get("QSESSION_ALL_SIZES") == "1"
PRECISION = 0.01 if AT_LENGTH else 0.02
DEVICE, QUBITS = "fake_athens", [2, 3]
"""Its gate errs in 2.5 % of the cases, and each bit in 1.5 and 2.4 %."""
GATES = 6
RUNS = 20
EXACT = 1.0
MOST_STANDARD_ERRORS = 2.0

MEASURED = {"measure_mitigation": True}
"""TREX."""


class Mean(NamedTuple):
    """The mean of an expectation value over runs, and its standard error."""

    value: float
    error: float

    @property
    def off(self) -> float:
        """How far it is from the exact value."""
        return abs(self.value - EXACT)


def echo(gates: int) -> QuantumCircuit:
    """Return a circuit that does nothing, in several steps: both bits are 0 in the end."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    for _ in range(gates):
        circuit.cx(0, 1)
        circuit.barrier()
    circuit.h(0)
    return circuit


def mean(
    session: Session, gates: int, resilience: dict[str, Any], runs: int = RUNS, **options: Any
) -> Mean:
    """Return the mean of <ZZ> after an echo, each run a job of its own."""
    backend = session._backend
    circuit = generate_preset_pass_manager(0, backend=backend, initial_layout=QUBITS).run(
        echo(gates)
    )
    observable = SparsePauliOp("ZZ").apply_layout(circuit.layout)
    estimator = Estimator(
        mode=session, options={"resilience_level": 0, "resilience": resilience, **options}
    )
    jobs = []
    for seed in range(runs):
        if not AT_LENGTH:
            estimator.options.experimental = {"seed_simulator": seed}
        jobs.append(estimator.run([(circuit, observable)], precision=PRECISION))
    values = np.array([float(job.result()[0].data.evs) for job in jobs])
    return Mean(float(values.mean()), float(values.std(ddof=1) / np.sqrt(runs)))


def learned(session: Session) -> list[tuple[Any, Any]]:
    """Return the layers of the circuit with the noise that the runtime's learner tells."""
    circuit = generate_preset_pass_manager(0, backend=session._backend, initial_layout=QUBITS).run(
        echo(GATES)
    )
    cancelling = Estimator(
        mode=session, options={"resilience_level": 0, "resilience": {"pec_mitigation": True}}
    )
    observable = SparsePauliOp("ZZ").apply_layout(circuit.layout)
    layers = cancelling.find_unique_layers([(circuit, observable)])
    found = NoiseLearnerV3(mode=session).run(layers).result().to_pauli_lindblad_maps()
    return list(zip(layers, found, strict=True))


@pytest.fixture(scope="module")
def session(runtime_home: Path) -> Iterator[Session]:
    service = process.official_service(folder=runtime_home)
    with Session(service.backend(DEVICE)) as opened:
        yield opened


@pytest.fixture(scope="module")
def plain(session: Session) -> Mean:
    return mean(session, GATES, {}, RUNS // 2)


def test_trex_at_least_halves_the_error_of_reading(session: Session) -> None:
    read, mitigated = (mean(session, 0, each, RUNS // 2) for each in ({}, MEASURED))
    assert read.off > 10 * read.error
    assert mitigated.off <= read.off / 2


def test_zne_at_least_halves_the_error_of_gates(session: Session, plain: Mean) -> None:
    folded = mean(session, GATES, {"zne_mitigation": True}, runs=RUNS // 2)
    assert folded.off <= plain.off / 2
    # What is left is mostly the readout's, which TREX takes away.
    both = mean(session, GATES, {"zne_mitigation": True, **MEASURED}, runs=RUNS // 2)
    assert both.off <= folded.off / 2


def test_pec_finds_the_exact_value(session: Session, plain: Mean) -> None:
    known = {"pec_mitigation": True, **MEASURED, "layer_noise_model": learned(session)}
    cancelled = mean(session, GATES, known)
    if AT_LENGTH:
        judging.judge_mean(cancelled.value, EXACT, cancelled.error, "PEC")
    else:
        assert cancelled.off <= MOST_STANDARD_ERRORS * cancelled.error
    assert cancelled.off <= plain.off / 5
    assert plain.off > 10 * cancelled.error, "less noise than the runs could tell"


def test_pea_at_least_halves_the_error_of_gates(session: Session, plain: Mean) -> None:
    known = {
        "zne_mitigation": True,
        "zne": {"amplifier": "pea", "noise_factors": [1, 2, 4], "extrapolator": "exponential"},
        "layer_noise_model": learned(session),
        **MEASURED,
    }
    shots = round(1 / PRECISION**2)
    twirling = {"num_randomizations": 40, "shots_per_randomization": shots // 40}
    amplified = mean(session, GATES, known, runs=RUNS // 2, twirling=twirling)
    if AT_LENGTH:
        judging.judge_mean(amplified.value, EXACT, amplified.error, "PEA")
    assert amplified.off <= plain.off / 2
