"""Measurements of a known state: the same chances as Aer's own simulation of each measurement."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import real_amplitudes
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

from qsession_widget.runtime.worker import aer
from qsession_widget.runtime.worker.device import SimulatedDevice
from qsession_widget.runtime.worker.noise.aer_form import NoiseInAerForm
from qsession_widget.runtime.worker.results import expectation, saved_arrays
from tests.runtime.worker.jobs import LARGE, SMALL, run, whole_device
from tests.statistics import judging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

BASES: list[dict[int, str]] = [
    {0: "X", 1: "Y", 2: "Z", 3: "X"},
    {1: "Y"},
    {0: "Z", 3: "Y"},
    {2: "X", 3: "Z"},
]
VALUES = np.random.default_rng(1).uniform(0, 6, (3, 8))


def prepared() -> QuantumCircuit:
    circuit = real_amplitudes(4, reps=1)
    circuit.reset(2)
    circuit.ry(0.4, 2)
    return circuit


def by_aer(
    device: str, circuit: QuantumCircuit, basis: Mapping[int, str], values: Any
) -> NDArray[np.float64]:
    """Return the chance of each outcome: simulated with the turns, and then misread."""
    target = SimulatedDevice(device, 1).target
    measurement = expectation.Measurement(basis, {})
    (whole,) = expectation.circuits(circuit, [measurement], target)
    whole.remove_final_measurements()
    whole.save_probabilities(list(basis))
    simulator = whole_device(device)
    bound = whole.assign_parameters(list(values))
    found = simulator.run(bound, method="density_matrix", shots=1).result().data()["probabilities"]
    errors = simulator.options.noise_model._local_readout_errors
    misread = reduce(
        np.kron, [np.asarray(errors[qubit,].probabilities).T for qubit in reversed(basis)]
    )
    return np.asarray(misread @ found)


@pytest.mark.parametrize("device", [SMALL, LARGE])
def test_chances_are_those_of_the_whole_simulation(device: str) -> None:
    simulated = SimulatedDevice(device, 1)
    runnable = simulated.runnable(prepared())
    places = runnable.circuit.layout.final_index_layout()
    state = simulated.final_state(runnable, frozenset(places))
    assert state is not None
    runs = [aer.Run(0, [row[each] for each in runnable.columns]) for row in VALUES]
    (matrices,) = aer.saved([(state.executable, runs)])
    for basis in BASES:
        there = dict(sorted((places[qubit], pauli) for qubit, pauli in basis.items()))
        found = state.readout.chances(np.stack(matrices), state.qubits, there)
        for run_, chances in zip(runs, found, strict=True):
            theirs = by_aer(device, runnable.circuit, there, run_.values)
            assert chances == pytest.approx(theirs, abs=1e-9)


def mean(circuit: QuantumCircuit, label: str, angle: float) -> float:
    """Return the mean of an observable, from the chances by Aer."""
    (measured,) = expectation.measurements(frozenset({label}))
    chances = by_aer(SMALL, circuit, measured.basis, [angle])
    means, _ = measured.estimate(range(len(chances)), chances[np.newaxis])
    return float(means[0, 0])


@pytest.mark.parametrize("numbers", [saved_arrays.NUMBERS, 1])
def test_noisy_estimates_have_the_means_of_the_whole_simulation(
    numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sweeps, terms on idle qubits, projectors, identities, and several pubs in one job."""
    monkeypatch.setattr(saved_arrays, "NUMBERS", numbers)
    theta = Parameter("theta")
    circuit = QuantumCircuit(5)
    circuit.sx(0)
    circuit.rz(theta, 0)
    circuit.sx(0)
    circuit.cx(0, 1)
    observables: list[dict[str, float]] = [
        {"IIIXX": 0.5, "IIIZZ": -1.0},
        {"ZIIIZ": 2.0, "IIIYI": 0.25, "IIIII": 1.5},
        {"III01": 1.0, "IIIrl": 0.5},
    ]
    angles = np.array([0.3, 1.9])
    rows = [[each] for each in observables]
    results = run("estimator", SMALL, *([circuit, rows[n:], angles, 0.01] for n in range(3)))
    for first, result in enumerate(results):
        for (row, column), value in np.ndenumerate(result.data.evs):
            terms = observables[first + row]
            expected = sum(
                factor * mean(circuit, label, float(angles[column]))
                for label, factor in terms.items()
            )
            deviation = max(float(result.data.stds[row, column]), 1e-9)
            judging.judge_mean(float(value), expected, deviation, str(terms))


@pytest.mark.parametrize("where", ["everywhere", "reading", "pairs"])
def test_states_are_not_measured_where_noise_is_of_several_qubits(where: str) -> None:
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.1, 2), "cx")
    assert not NoiseInAerForm(model).reads_one_by_one
    model = NoiseModel()
    model.add_quantum_error(depolarizing_error(0.1, 2), "cx", [0, 1])
    assert NoiseInAerForm(model).reads_one_by_one
    misread = np.full((4, 4), 0.1) + 0.6 * np.eye(4)
    error = {
        "everywhere": lambda: model.add_all_qubit_readout_error(
            ReadoutError(misread[:2, :2] / 0.8)
        ),
        "reading": lambda: model.add_quantum_error(depolarizing_error(0.1, 1), "measure", [0]),
        "pairs": lambda: model.add_readout_error(ReadoutError(misread), [0, 1]),
    }
    error[where]()
    assert not NoiseInAerForm(model).reads_one_by_one
