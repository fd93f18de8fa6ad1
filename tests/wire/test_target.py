"""Targets built from JSON, compared with those of qiskit-ibm-runtime for the same devices."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit.transpiler import Target, generate_preset_pass_manager

from qsession_widget.runtime.device_catalog import Catalog
from qsession_widget.wire.target import build_target

# One of each kind and size: 1, 5, 16 and 27 qubits, cx, ecr and cz, fractional gates, the largest.
DEVICES = {
    "fake_armonk": "FakeArmonkV2",
    "fake_manila": "FakeManilaV2",
    "fake_guadalupe": "FakeGuadalupeV2",
    "fake_hanoi": "FakeHanoiV2",
    "fake_fractional": "FakeFractionalBackend",
    "fake_sherbrooke": "FakeSherbrooke",
    "fake_torino": "FakeTorino",
    "fake_fez": "FakeFez",
}


def from_the_wire(name: str) -> Target:
    device = Catalog().get(name)
    assert device is not None
    return build_target(device.configuration, device.properties)


def figures(target: Target) -> dict[tuple[str, Any], tuple[float | None, float | None]]:
    return {
        (name, where): (entry and entry.error, entry and entry.duration)
        for name in target.operation_names
        for where, entry in target[name].items()
    }


@pytest.mark.parametrize(("name", "official"), DEVICES.items())
def test_is_the_official_target(name: str, official: str) -> None:
    ours = from_the_wire(name)
    theirs = getattr(import_module("qiskit_ibm_runtime.fake_provider"), official)().target
    assert ours.num_qubits == theirs.num_qubits
    assert set(ours.operation_names) == set(theirs.operation_names)
    assert ours.dt == pytest.approx(theirs.dt)
    found, expected = figures(ours), figures(theirs)
    assert set(found) == set(expected)
    for key, pair in expected.items():
        for one, other in zip(found[key], pair, strict=True):
            assert one == other if other is None else math.isclose(one or 0, other), key


@pytest.mark.parametrize("name", ["ibmq_qasm_simulator", "aer_simulator"])
def test_a_simulator_takes_any_pair_of_qubits(name: str) -> None:
    target = from_the_wire(name)
    circuit = QuantumCircuit(5)
    circuit.h(0)
    circuit.ccx(0, 2, 4)
    circuit.cp(0.1, 4, 1)
    circuit.measure_all()
    manager = generate_preset_pass_manager(optimization_level=1, target=target)
    assert manager.run(circuit).count_ops().get("swap", 0) == 0


def test_faulty_qubits_and_gates_are_left_out() -> None:
    device = Catalog().get("fake_manila")
    assert device is not None
    properties = {
        **device.properties,
        "qubits": [
            [*entries, {"name": "operational", "unit": "", "value": 0 if index == 4 else 1}]
            for index, entries in enumerate(device.properties["qubits"])
        ],
        "gates": [
            {
                **gate,
                "parameters": [
                    *gate["parameters"],
                    {"name": "operational", "unit": "", "value": int(gate["qubits"] != [0, 1])},
                ],
            }
            for gate in device.properties["gates"]
        ],
    }
    target = build_target(device.configuration, properties)
    assert (4,) not in target["sx"]
    assert (4,) not in target["measure"]
    assert (3, 4) not in target["cx"]
    assert (0, 1) not in target["cx"]
    assert {(1, 0), (1, 2)} <= set(target["cx"])


def test_units_are_seconds_and_hertz() -> None:
    qubit = from_the_wire("fake_manila").qubit_properties[0]
    assert 1e-5 < qubit.t1 < 1e-3
    assert 1e-5 < qubit.t2 < 1e-3
    assert 4e9 < qubit.frequency < 6e9
