"""Random circuits give plain Aer's distribution, ideal or with the recorded noise.

`make soak` takes two hundred circuits of each kind.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp, Statevector

from qsession_widget.runtime.worker import aer
from qsession_widget.runtime.worker.aer import How
from qsession_widget.runtime.worker.noise import methods
from qsession_widget.runtime.worker.noise.aer_form import Shape
from tests.statistics import judging
from tests.statistics.jobs import (
    IDEAL,
    MANILA,
    NOISY,
    counts_of,
    exact,
    plain,
    random_circuit,
    run,
    seeded,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qiskit import QuantumCircuit

CIRCUITS = 200 if os.environ.get("QSESSION_ALL_SIZES") else 4
SHOTS = 20_000
SHOTS_MIDWAY = 3_000
"""Fewer, since Aer runs each by itself."""

BOTH = pytest.mark.parametrize("backend", [IDEAL, NOISY])


def circuits(seed: int, *, midway: bool) -> Iterator[tuple[QuantumCircuit, list[float]]]:
    """Draw circuits; the seed is of the test's own choices, not of the runtime's."""
    random = np.random.default_rng(seed)
    while True:
        circuit, values = random_circuit(random, gates=18, midway=midway)
        if circuit.num_qubits <= MANILA.num_qubits:
            yield circuit, values


@BOTH
def test_counts_are_of_the_exact_distribution(backend: str) -> None:
    for circuit, values in islice(circuits(1, midway=False), CIRCUITS):
        probabilities = exact(backend, circuit.assign_parameters(values))
        pub = [circuit, values, SHOTS]
        # Twice without a seed: first everything is made, then it is there.
        for seed in (None, None, 7):
            (result,) = run("sampler", backend, [pub], **seeded(seed))
            judging.judge_distribution(counts_of(result.data.last), probabilities)


@BOTH
def test_dynamic_circuits_have_plain_aers_distribution(backend: str) -> None:
    for circuit, values in islice(circuits(2, midway=True), CIRCUITS // 2):
        bound = circuit.assign_parameters(values)
        theirs = (
            plain(backend).run(bound, shots=SHOTS_MIDWAY, seed_simulator=11).result().get_counts()
        )
        joint = {int(text.replace(" ", ""), 2): count for text, count in theirs.items()}
        (result,) = run("sampler", backend, [[circuit, values, SHOTS_MIDWAY]])
        width = circuit.cregs[0].size
        first, last = (result.data[name].array[..., -1].astype(int) for name in ("first", "last"))
        outcomes, numbers = np.unique((first << width) | last, return_counts=True)
        ours = dict(zip(outcomes.tolist(), numbers.tolist(), strict=True))
        judging.judge_same(ours, joint)


HOWS = (
    How(methods.DENSITY_MATRIX, Shape.SUPEROP, at_once=True),
    How(methods.DENSITY_MATRIX, Shape.KRAUS, at_once=True),
    How(methods.STATEVECTOR, Shape.KRAUS, at_once=False),
    How(methods.STATEVECTOR, Shape.PLAIN, at_once=False),
    How(methods.MPS, Shape.KRAUS, at_once=False),
    How(methods.MPS, Shape.PLAIN, at_once=False),
)


@pytest.mark.parametrize("how", HOWS, ids=lambda how: f"{how.method}-{how.shape.name}")
def test_every_method_and_shape_of_errors_gives_the_exact_distribution(
    how: How, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aer._Native, "fastest", lambda _self, _shots: how)
    for circuit, values in islice(circuits(9, midway=False), 2):
        probabilities = exact(NOISY, circuit.assign_parameters(values))
        (result,) = run("sampler", NOISY, [[circuit, values, SHOTS_MIDWAY]])
        judging.judge_distribution(counts_of(result.data.last), probabilities)


def test_estimates_are_within_their_own_errors_of_the_exact_values() -> None:
    random = np.random.default_rng(3)
    for circuit, values in islice(circuits(4, midway=False), CIRCUITS):
        bare = circuit.remove_final_measurements(inplace=False)
        labels = ["".join(random.choice(list("IXYZ"), bare.num_qubits)) for _ in range(3)]
        state = Statevector(bare.assign_parameters(values))
        (result,) = run("estimator", IDEAL, [[bare, labels, values, 0.01]])
        for label, value in zip(labels, result.data.evs, strict=True):
            expected = float(np.real(state.expectation_value(SparsePauliOp(label))))
            deviation = max(np.sqrt(max(1 - expected**2, 0)) * 0.01, 1e-9)
            judging.judge_mean(float(value), expected, float(deviation), label)
