"""Final states of long sweeps are simulated a portion at a time, and each only once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit.circuit.library import real_amplitudes

from qsession_widget.runtime.worker import aer, progress
from qsession_widget.runtime.worker.device import caches
from qsession_widget.runtime.worker.results import saved_arrays
from qsession_widget.wire.states import Stage
from tests.runtime.worker.jobs import IDEAL, SMALL, isa, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qiskit import QuantumCircuit

MATRIX = 4**5
"""Numbers of a density matrix of the whole device."""


def state() -> QuantumCircuit:
    return real_amplitudes(5, reps=1)


VALUES = np.random.default_rng(4).uniform(0, 6, (7, 10))


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Yield how many states each call has simulated."""
    found: list[int] = []

    def seen(parts: Any) -> Any:
        found.append(sum(len(runs) for _, runs in parts))
        return aer.saved(parts)

    monkeypatch.setattr("qsession_widget.runtime.worker.results.saved_arrays.saved", seen)
    caches.arrays.clear()
    yield found
    caches.arrays.clear()


def test_a_sweep_is_simulated_a_portion_at_a_time(
    counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job stays on the device meanwhile."""
    monkeypatch.setattr(saved_arrays, "NUMBERS", 3 * MATRIX)
    stages: list[tuple[Stage, int]] = []
    progress.start(lambda stage: stages.append((stage, len(counted))), stays=False)
    circuit = isa(SMALL, state)
    pubs = [[circuit, ["ZZZZZ"], VALUES + shift] for shift in range(3)]
    results = run("estimator", SMALL, *pubs)
    assert [result.data.evs.shape for result in results] == [(7,)] * 3
    # The first pub runs alone.
    assert counted == [3, 3, 1, 3, 3, 3, 3, 2]
    assert stages == [(Stage.ON_DEVICE, 0), (Stage.POST_PROCESSING, 8)]


def test_a_new_observable_on_a_known_state_costs_no_simulation(counted: list[int]) -> None:
    circuit = isa(SMALL, state)
    (first,) = run("estimator", SMALL, [circuit, "ZZZZZ", VALUES])
    assert counted == [7]
    again = [[circuit, "XIXIY", VALUES], [circuit, [["0IIII"], ["IIIII"]], VALUES[2:5]]]
    run("estimator", SMALL, *again)
    assert counted == [7]
    run("estimator", SMALL, [circuit, "XIXIY", np.concatenate([VALUES[:1], VALUES[1:2] + 1])])
    assert counted == [7, 1], "only one of the states is new"
    (repeated,) = run("estimator", SMALL, [circuit, "ZZZZZ", VALUES])
    assert (first.data.evs != repeated.data.evs).any(), "the shots are new"


def test_equal_pubs_of_a_job_share_their_state(counted: list[int]) -> None:
    circuit = isa(SMALL, state)
    labels = ["ZIIII", "IZIII", "IIZII", "IIIXX", "YYIII", "ZZZZZ", "XXXXX"]
    run("estimator", SMALL, *[[circuit, label, VALUES[0]] for label in labels])
    assert counted == [1]


def test_states_of_one_call_that_are_equal_are_simulated_once(counted: list[int]) -> None:
    run("estimator", SMALL, [isa(SMALL, state), "ZZZZZ", VALUES[[0, 1, 0, 0]]])
    assert counted == [2]


def test_states_of_another_noise_or_circuit_are_others(counted: list[int]) -> None:
    bound = [isa(SMALL, state).assign_parameters(row) for row in VALUES[:2]]
    for device in (SMALL, "fake_quito", IDEAL):
        for circuit in bound:
            run("estimator", device, [circuit, "ZZZZZ", []])
    # Without noise nothing is simulated as a density matrix.
    assert counted == [1] * 4


def test_no_more_states_are_kept_than_there_is_room_for(
    counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches.arrays, "_most_bytes", 2 * 16 * MATRIX)
    circuit = isa(SMALL, state)
    run("estimator", SMALL, [circuit, "ZZZZZ", VALUES])
    assert len(caches.arrays) == 2
    run("estimator", SMALL, [circuit, "ZZZZZ", VALUES[-2:]])
    run("estimator", SMALL, [circuit, "ZZZZZ", VALUES[:1]])
    assert counted == [7, 1], "the last ones are known"
