"""Shots without a seed have the chances of Aer's own simulation, in every form of registers."""

from __future__ import annotations

from copy import deepcopy
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit.library import real_amplitudes
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

from qsession_widget.runtime.worker import sampler
from qsession_widget.runtime.worker.device import SimulatedDevice, caches
from qsession_widget.runtime.worker.noise.aer_form import NoiseInAerForm
from qsession_widget.runtime.worker.noise.given_noise import GivenNoise
from qsession_widget.runtime.worker.results.drawn_shots import DrawnShots
from tests.runtime.worker.jobs import IDEAL, LARGE, SMALL, ghz, isa, run, sample, whole_device
from tests.statistics import judging

if TYPE_CHECKING:
    from numpy.typing import NDArray


def prepared() -> QuantumCircuit:
    """Return a circuit whose bits are in no order, and belong to registers that overlap bytes."""
    qubits = QuantumRegister(4)
    wide, few = ClassicalRegister(11, "wide"), ClassicalRegister(2, "few")
    circuit = QuantumCircuit(qubits, wide, few)
    circuit.compose(real_amplitudes(4, reps=1), qubits, inplace=True)
    circuit.measure([2, 0, 3], [wide[10], wide[3], few[1]])
    return circuit


VALUES = np.random.default_rng(2).uniform(0, 6, (3, 8))


def exact(device: str, values: Any) -> NDArray[np.float64]:
    """Return the chance of each outcome of all bits together, by plain Aer and its noise model."""
    circuit = isa(device, prepared)
    measured = {
        circuit.find_bit(each.clbits[0]).index: circuit.find_bit(each.qubits[0]).index
        for each in circuit.data
        if each.name == "measure"
    }
    whole = circuit.assign_parameters(values)
    whole.data = [each for each in whole.data if each.name != "measure"]
    whole.save_probabilities([measured[bit] for bit in sorted(measured)])
    simulator = AerSimulator() if device == IDEAL else whole_device(device)
    chances = simulator.run(whole, method="density_matrix").result().data()["probabilities"]
    errors = simulator.options.noise_model
    readings = {} if errors is None else errors._local_readout_errors
    for place, bit in enumerate(sorted(measured)):
        if (measured[bit],) in readings:
            one = np.asarray(readings[measured[bit],].probabilities).T
            whole_error = reduce(
                np.kron, [one if each == place else np.eye(2) for each in (2, 1, 0)]
            )
            chances = whole_error @ chances
    found = np.zeros(2**13)
    for outcome, chance in enumerate(chances):
        bits = [bit for place, bit in enumerate(sorted(measured)) if outcome >> place & 1]
        found[sum(1 << bit for bit in bits)] = chance
    return found


@pytest.mark.parametrize("device", [SMALL, LARGE, IDEAL])
def test_shots_have_the_chances_of_the_whole_simulation(device: str) -> None:
    (result,) = run("sampler", device, [isa(device, prepared), VALUES, 20_000])
    assert len(caches.final_shots) > 0
    for row, values in enumerate(VALUES):
        wide = result.data.wide[row].to_bool_array(order="little")
        few = result.data.few[row].to_bool_array(order="little")
        bits = np.concatenate([wide, few], axis=1) @ (1 << np.arange(13))
        outcomes, counts = np.unique(bits, return_counts=True)
        judging.judge_distribution(
            dict(zip(outcomes.tolist(), counts.tolist(), strict=True)), exact(device, values)
        )


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return who has drawn the shots of each batch."""
    found: list[str] = []
    for name in ("_run", "_drawn"):
        real = getattr(sampler, name)

        def seen(batch: Any, name: str = name, real: Any = real) -> Any:
            found.append(name)
            return real(batch)

        monkeypatch.setattr(sampler, name, seen)
    return found


def test_a_seed_and_wide_circuits_are_aers(ran: list[str]) -> None:
    sample(SMALL, [isa(SMALL, ghz), [], 100])
    wide = QuantumCircuit(14)
    wide.h(range(14))
    wide.measure_all()
    run("sampler", IDEAL, [wide, [], 100])
    assert ran == ["_run", "_run"]


def test_few_shots_that_are_faster_one_by_one_are_aers(ran: list[str]) -> None:
    def circuit_of() -> QuantumCircuit:
        circuit = real_amplitudes(9, reps=1).assign_parameters([0.3] * 18)
        circuit.measure_all()
        return circuit

    run("sampler", LARGE, [isa(LARGE, circuit_of), [], 1], [isa(LARGE, circuit_of), [], 100_000])
    assert ran == ["_run", "_drawn"]


@pytest.mark.parametrize(
    "change",
    [
        lambda circuit: circuit.reset(0),
        lambda circuit: circuit.initialize([1, 1j], 0, normalize=True),
    ],
)
def test_without_noise_what_may_be_random_runs_shot_by_shot(change: Any, ran: list[str]) -> None:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    change(circuit)
    circuit.measure_all()
    (result,) = run("sampler", IDEAL, [circuit, [], 2_000], level=0)
    ones = sum(
        count for text, count in result.data.meas.get_counts().items() if text.startswith("1")
    )
    assert 800 < ones < 1_200
    assert ran == ["_run"]


def test_a_repeated_circuit_is_simulated_once_and_its_shots_are_new() -> None:
    caches.arrays.clear()
    circuit = isa(SMALL, ghz)
    first, second = run("sampler", SMALL, [circuit, [], 500], [circuit, [], 500])
    (third,) = run("sampler", SMALL, [circuit, [], 700])
    assert len(caches.arrays) == 1
    assert third.data.meas.num_shots == 700
    arrays = [each.data.meas.array for each in (first, second)]
    assert not np.array_equal(*arrays)


def test_errors_of_reading_apply_to_each_qubit() -> None:
    model = NoiseModel()
    model.add_quantum_error(depolarizing_error(0.0, 1), "x", [0])
    model.add_readout_error(ReadoutError([[0.9, 0.1], [0.3, 0.7]]), [0])
    model.add_readout_error(ReadoutError([[1, 0], [1, 0]]), [1])
    circuit = QuantumCircuit(3, 3)
    drawn = DrawnShots(circuit, {0: 1, 1: 0, 2: 2}, NoiseInAerForm(model))
    # All three are 1.
    states = np.eye(8)[[7]]
    assert drawn.chances(states)[0] == pytest.approx([0, 0, 0, 0, 0.3, 0, 0.7, 0])
    (outcomes,) = drawn.draw(states, 10_000, np.random.default_rng())
    counts = np.bincount(outcomes, minlength=8)
    judging.judge_distribution(dict(enumerate(counts.tolist())), drawn.chances(states)[0])


def test_joint_errors_of_reading_are_aers() -> None:
    model = NoiseModel()
    model.add_quantum_error(depolarizing_error(0.1, 1), "sx", [0])
    kept = GivenNoise(model, "one by one")
    assert SimulatedDevice(SMALL, 1, given=kept).final_shots(isa(SMALL, ghz), None)
    joint = deepcopy(model)
    joint.add_readout_error(ReadoutError(np.full((4, 4), 0.25)), [0, 1])
    other = GivenNoise(joint, "joint")
    assert SimulatedDevice(SMALL, 1, given=other).final_shots(isa(SMALL, ghz), None) is None
