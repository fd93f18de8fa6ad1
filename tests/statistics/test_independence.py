"""Each job, pub, point of a sweep, item and estimate is an independent sample."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit_ibm_runtime import EstimatorV2, SamplerV2
from qiskit_ibm_runtime.decoders.executor.decoder import ExecutorResultDecoder
from qiskit_ibm_runtime.options_models import ExecutorOptions
from qiskit_ibm_runtime.quantum_program import QuantumProgram
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

from qsession_widget import Estimator, Executor, Sampler, Session
from qsession_widget.local import process
from qsession_widget.runtime.worker import aer, executor_program
from qsession_widget.runtime.worker.device import caches
from tests.statistics import judging
from tests.statistics.jobs import HALF, IDEAL, NOISY, TOSSES, ones, plain, run, seeded

if TYPE_CHECKING:
    from pathlib import Path

JOBS = 30
SHOTS = 400
MANY_SHOTS = 2500
"""More than the 2,113 by which Aer moves its seed from circuit to circuit."""

BOTH = pytest.mark.parametrize("backend", [IDEAL, NOISY])
ANY_TOSS = pytest.mark.parametrize("name", TOSSES)


def mean_of(backend: str) -> float:
    """Return the frequency of 1 in plain Aer's toss, exact enough for a variance."""
    circuit, values = TOSSES["toss"]()
    bound = circuit.assign_parameters(values)
    counts = plain(backend).run(bound, shots=100_000, seed_simulator=1).result().get_counts()
    return float(counts["1"] / 100_000)


# -- the sampler -----------------------------------------------------------------------------


@BOTH
@ANY_TOSS
def test_without_a_seed_no_shots_are_shared(backend: str, name: str) -> None:
    circuit, values = TOSSES[name]()
    sweep = [values, values] if values else []
    pubs = [[circuit, values, MANY_SHOTS], [circuit, values, MANY_SHOTS], [circuit, sweep, SHOTS]]
    if values:
        pubs.append([circuit, [values] * 3, MANY_SHOTS])
    samples = []
    for _ in range(3):
        for result in run("sampler", backend, pubs):
            # Each point of a sweep, one after the other.
            samples += np.array_split(ones(result.data.c), math.prod(result.data.shape))
    judging.judge_no_shared_shots(samples)  # type: ignore[arg-type] # arrays are sequences


@ANY_TOSS
def test_no_shots_are_shared_with_an_unknown_release_of_aer(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aer, "assembles", False)
    caches.executables.clear()
    circuit, values = TOSSES[name]()
    pubs = [[circuit, [values, values] if values else [], MANY_SHOTS]] * 2
    samples = [
        part
        for result in run("sampler", IDEAL, pubs)
        for part in np.array_split(ones(result.data.c), math.prod(result.data.shape))
    ]
    judging.judge_no_shared_shots(samples)  # type: ignore[arg-type] # arrays are sequences
    caches.executables.clear()


@BOTH
@ANY_TOSS
def test_with_a_seed_no_shots_are_shared_within_a_job(backend: str, name: str) -> None:
    circuit, values = TOSSES[name]()
    # Aer's own runs share shots beyond 2,113, and with a seed ours give the same shots.
    pubs = [[circuit, values, 700], [circuit, values, 700], [circuit, values, 701]]
    if values:
        pubs.append([circuit, [values] * 3, 700])
    jobs = [run("sampler", backend, pubs, **seeded(5)) for _ in range(2)]
    samples = [
        [
            part
            for result in job
            for part in np.array_split(ones(result.data.c), math.prod(result.data.shape))
        ]
        for job in jobs
    ]
    judging.judge_no_shared_shots(samples[0])  # type: ignore[arg-type] # arrays are sequences
    for one, again in zip(*samples, strict=True):
        assert one.tolist() == again.tolist()


@BOTH
def test_counts_of_jobs_pubs_and_sweeps_spread_as_their_shots_say(backend: str) -> None:
    circuit, values = TOSSES["toss"]()
    chance = mean_of(backend)
    variance = SHOTS * chance * (1 - chance)
    jobs = [
        sum(ones(run("sampler", backend, [[circuit, values, SHOTS]])[0].data.c))
        for _ in range(JOBS)
    ]
    judging.judge_spread(jobs, variance, "jobs")
    judging.judge_order(jobs)
    for seed in (None, 3):
        pubs = [[circuit, values, SHOTS]] * JOBS
        found = [sum(ones(each.data.c)) for each in run("sampler", backend, pubs, **seeded(seed))]
        judging.judge_spread(found, variance, f"pubs, seed {seed}")
        points = run("sampler", backend, [[circuit, [values] * JOBS, SHOTS]], **seeded(seed))
        swept = ones(points[0].data.c)
        found = [sum(each) for each in np.array_split(swept, JOBS)]
        judging.judge_spread(found, variance, f"sweep, seed {seed}")


def test_single_shots_are_independent() -> None:
    circuit, values = TOSSES["toss"]()
    for seed in (None, *range(5)):
        results = run("sampler", IDEAL, [[circuit, values, 1]] * 100, **seeded(seed))
        heads = sum(ones(each.data.c)[0] for each in results)
        judging.judge_mean(heads, 50, 5, f"heads of 100 tosses, seed {seed}")


# -- the estimator ---------------------------------------------------------------------------


def equator() -> QuantumCircuit:
    """Return a state whose X and Z are zero on average, with one standard deviation of 1 each."""
    angle = Parameter("angle")
    circuit = QuantumCircuit(1)
    circuit.sx(0)
    circuit.rz(angle, 0)
    return circuit


@BOTH
def test_estimates_spread_as_their_shots_say(backend: str) -> None:
    pub = [equator(), ["X", "Z"], [0.0], 1 / math.sqrt(SHOTS)]
    jobs = [run("estimator", backend, [pub])[0].data.evs for _ in range(JOBS)]
    series = {"jobs": jobs}
    for seed in (None, 3):
        results = run("estimator", backend, [pub] * JOBS, **seeded(seed))
        series[f"pubs, seed {seed}"] = [each.data.evs for each in results]
        swept = [equator(), [["X"], ["Z"]], [[0.0]] * JOBS, 1 / math.sqrt(SHOTS)]
        (result,) = run("estimator", backend, [swept], **seeded(seed))
        series[f"sweep, seed {seed}"] = list(result.data.evs.T)
    for what, found in series.items():
        x_values, z_values = np.asarray(found).T
        for name, values in (("X", x_values), ("Z", z_values)):
            # Readout errors of a few percent change a variance of 1 by less than 1 %.
            judging.judge_spread(list(values), 1 / SHOTS, f"{what}, {name}")
        judging.judge_unrelated(list(x_values), list(z_values), 1 / SHOTS, f"{what}, groups")


# -- the executor ----------------------------------------------------------------------------


def program(items: int, points: int, shots: int, name: str) -> str:
    circuit, values = TOSSES[name]()
    made = QuantumProgram(shots)
    for _ in range(items):
        made.append_circuit_item(circuit, circuit_arguments=np.array([values] * points))
    model = QUANTUM_PROGRAM_PARAMS_CONVERTERS["v2.0"].encoder(made, ExecutorOptions())
    return str(model.model_dump_json())


@BOTH
@pytest.mark.parametrize("name", ["toss", "tossed_midway"])
def test_items_and_points_of_the_executor_share_no_shots(backend: str, name: str) -> None:
    for seed, shots in ((None, MANY_SHOTS), (6, 700)):
        document = json.loads(program(2, 2, shots, name))
        if seed is not None:
            document["options"]["experimental"] = {"seed_simulator": seed}
        samples = []
        for _ in range(1 if seed else 2):
            text = executor_program.run(json.dumps(document), backend).result
            for item in ExecutorResultDecoder.decode(text):
                bits = item["c"]
                samples += list(bits.astype(int) @ (1 << np.arange(bits.shape[-1])))
        judging.judge_no_shared_shots(samples)


# -- over HTTP, by both clients --------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_both_clients_get_new_shots_in_each_job(runtime: Path) -> None:
    circuit, values = TOSSES["toss"]()
    pub = (circuit, values)
    samples: list[list[int]] = []
    estimates: list[float] = []
    state = (equator(), "Z", [0.0])
    for _ in range(2):
        with Session(backend=NOISY):
            sampler, estimator, executor = Sampler(), Estimator(), Executor()
            for _ in range(2):
                found = sampler.run([pub, pub], shots=SHOTS).result()
                samples += [ones(each.data.c) for each in found]
                estimates += [
                    float(each.data.evs)
                    for each in estimator.run([state] * 3, precision=1 / math.sqrt(SHOTS)).result()
                ]
            made = QuantumProgram(SHOTS)
            made.append_circuit_item(circuit, circuit_arguments=np.array([values] * 2))
            bits: Any = executor.run(made).result()[0]["c"]
            samples += bits[..., 0].astype(int).tolist()
    official = process.official_service(folder=runtime).backend(NOISY)
    for _ in range(2):
        theirs = SamplerV2(mode=official).run([pub, pub], shots=SHOTS).result()
        samples += [ones(each.data.c) for each in theirs]
        estimates += [
            float(each.data.evs)
            for each in EstimatorV2(mode=official)
            .run([state] * 3, precision=1 / math.sqrt(SHOTS))
            .result()
        ]
        spans = theirs.metadata["execution"]["execution_spans"]
        assert [span.pub_idxs for span in spans] == [[0], [1]]
        assert spans[1].mask(1).all()
    judging.judge_no_shared_shots(samples)
    judging.judge_spread(estimates, 1 / SHOTS, "estimates of both clients")
    assert values == [HALF]
