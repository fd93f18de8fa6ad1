"""Samples have the device's own noise, and seeds reproduce them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit_aer import AerSimulator

from tests.runtime.worker.jobs import (
    IDEAL,
    LARGE,
    SMALL,
    delayed,
    ghz,
    isa,
    run,
    sample,
    shots_of,
    whole_device,
)


@pytest.mark.parametrize("device", [SMALL, LARGE])
@pytest.mark.parametrize("circuit_of", [ghz, delayed])
def test_same_seed_same_shots_as_with_the_whole_noise_model(device: str, circuit_of: Any) -> None:
    circuit = isa(device, circuit_of)
    (ours,) = sample(device, [circuit, [], 2_000])
    theirs = shots_of(circuit, whole_device(device), 2_000, 7)
    for name, array in theirs.items():
        assert np.array_equal(ours.data[name].array, array.array), name
    ideal = shots_of(circuit, AerSimulator(), 2_000, 7)
    assert ours.data.meas.get_counts() != ideal.meas.get_counts(), "there is noise"


def test_noise_is_seen_in_the_counts_and_differs_between_devices() -> None:
    counts = []
    for device in (SMALL, LARGE):
        (result,) = sample(device, [isa(device, ghz), [], 8_000])
        found = result.data.meas.get_counts()
        assert found["0000"] + found["1111"] < 8_000
        assert found["0000"] + found["1111"] > 5_000
        counts.append(found)
    assert counts[0] != counts[1]


def test_a_seed_repeats_and_no_seed_does_not() -> None:
    circuit = isa(SMALL, ghz)
    first, second = (sample(SMALL, [circuit, [], 500])[0] for _ in range(2))
    assert np.array_equal(first.data.meas.array, second.data.meas.array)
    other = sample(SMALL, [circuit, [], 500], seed=8)[0]
    assert not np.array_equal(first.data.meas.array, other.data.meas.array)
    free = [run("sampler", SMALL, [circuit, [], 500])[0].data.meas.array for _ in range(2)]
    assert not np.array_equal(*free)


def test_parameters_are_broadcast() -> None:
    first, second = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2, 2)
    circuit.rx(second, 1)
    circuit.rx(first, 0)
    circuit.measure([0, 1], [0, 1])
    values = np.array([[[0, 0], [np.pi, 0]], [[0, np.pi], [np.pi, np.pi]]])
    (result,) = sample(IDEAL, [circuit, values, 20])
    counts = [result.data.c.get_counts(place) for place in np.ndindex(2, 2)]
    assert counts == [{"00": 20}, {"01": 20}, {"10": 20}, {"11": 20}]


def test_several_registers_stay_apart() -> None:
    qubits = QuantumRegister(3, "qr")
    left, right = ClassicalRegister(1, "left"), ClassicalRegister(2, "right")
    circuit = QuantumCircuit(qubits, left, right)
    circuit.x(qubits[2])
    circuit.measure(qubits[0], left[0])
    circuit.measure([qubits[1], qubits[2]], right)
    (result,) = sample(IDEAL, [circuit, [], 9])
    assert result.data.left.get_counts() == {"0": 9}
    assert result.data.right.get_counts() == {"10": 9}


@pytest.mark.parametrize("device", [IDEAL, SMALL])
def test_measuring_in_the_middle_and_deciding_on_it(device: str) -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    (result,) = sample(device, [circuit, [], 2_000])
    counts = result.data.c.get_counts()
    assert counts["00"] + counts["11"] > 1_600
    assert min(counts["00"], counts["11"]) > 500
    if device == IDEAL:
        assert set(counts) == {"00", "11"}
