"""With a seed, every pub is what plain Aer gives for all bound circuits of the job in one run."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
from qiskit.primitives import BackendEstimatorV2

from tests.statistics.jobs import IDEAL, NOISY, TOSSES, plain, recorded, run, seeded
from tests.statistics.test_distributions import circuits

SHOTS = 250
BOTH = pytest.mark.parametrize("backend", [IDEAL, NOISY])
SEEDS = pytest.mark.parametrize("seed", [0, 1, 2**40 + 3, 2**63 - 1])


@BOTH
@SEEDS
def test_every_pub_has_plain_aers_memory(backend: str, seed: int) -> None:
    pubs, bound = [], []
    drawn = [*islice(circuits(5, midway=False), 3), *islice(circuits(6, midway=True), 2)]
    for number, (circuit, values) in enumerate([*drawn, TOSSES["toss"](), TOSSES["bare_toss"]()]):
        # Pubs of one point and sweeps by turns.
        rows = [[value + 0.1 * row for value in values] for row in range(1 + number % 3)]
        if not values:
            rows = rows[:1]
        pubs.append([circuit, rows if values else [], SHOTS])
        bound += [circuit.assign_parameters(row) for row in rows]
    theirs = plain(backend).run(bound, shots=SHOTS, seed_simulator=seed, memory=True).result()
    for _ in range(2):  # the second time everything is kept
        at = 0
        for pub, result in zip(pubs, run("sampler", backend, pubs, **seeded(seed)), strict=True):
            registers = list(reversed(pub[0].cregs))
            bits = [result.data[each.name].get_bitstrings() for each in registers]
            ours = [" ".join(parts) for parts in zip(*bits, strict=True)]
            points = math.prod(result.data.shape)
            expected = [shot for k in range(points) for shot in theirs.get_memory(at + k)]
            assert ours == expected
            at += points
        assert at == len(bound)


@pytest.mark.parametrize("seed", [0, 2**40 + 3])
def test_every_estimate_is_qiskits_own_with_plain_aer(seed: int) -> None:
    pubs = []
    for circuit, values in islice(circuits(8, midway=False), 4):
        bare = circuit.remove_final_measurements(inplace=False)
        labels = ["Z" * bare.num_qubits, "X" * bare.num_qubits, "Y" + "I" * (bare.num_qubits - 1)]
        pubs.append([bare, labels, values, 0.05])
    pubs.append(pubs[0])
    estimator = BackendEstimatorV2(backend=plain(NOISY), options={"seed_simulator": seed})
    theirs = estimator.run([tuple(each) for each in pubs]).result()
    ours = run("estimator", NOISY, pubs, **seeded(seed))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.data.evs, other.data.evs, rtol=0, atol=1e-12)
    assert not np.array_equal(ours[0].data.evs, ours[-1].data.evs)
    assert recorded()._local_readout_errors
