"""With a seed, each shot equals plain Aer's with the whole recorded noise of a device.

The gates' noise is what Aer derives from IBM's own device object. That object's target has one
readout error for each qubit where the record has two, so those are added from the record, through
IBM's own reader of it.

`make soak` takes the devices whose whole noise model takes many seconds to build as well.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, generate_preset_pass_manager
from qiskit.circuit import ParameterVector
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError
from qiskit_ibm_runtime import fake_provider

from qsession_widget.runtime.device_catalog import Catalog, Device
from qsession_widget.runtime.worker import primitives
from qsession_widget.wire import codec

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.minute

SEED = 5
SHOTS = 300
QUICK_QUBITS = 33
"""Up to so many qubits, plain Aer's noise model is built in about a second."""

EVERYTHING = bool(os.environ.get("QSESSION_ALL_SIZES"))
"""Whether to test the large devices too."""


def official(name: str) -> Any:
    """Return IBM's class of a device; its second version where there are two."""
    words = "".join(map(str.title, name.split("_")))
    return getattr(fake_provider, f"{words}V2", getattr(fake_provider, words, None))


@cache
def device(name: str) -> Any:
    return official(name)()


@cache
def plain(name: str) -> AerSimulator:
    """Return plain Aer with the device's recorded noise."""
    recorded, properties = device(name), device(name).properties()
    model = NoiseModel.from_backend(recorded, readout_error=False)
    for qubit in range(recorded.num_qubits):
        of_zero, _ = properties.qubit_property(qubit, "prob_meas1_prep0")
        of_one, _ = properties.qubit_property(qubit, "prob_meas0_prep1")
        error = ReadoutError([[1 - of_zero, of_zero], [of_one, 1 - of_one]])
        model.add_readout_error(error, [qubit])
    return AerSimulator.from_backend(recorded, noise_model=model)


def rotations(width: int) -> QuantumCircuit:
    angles = ParameterVector("a", width)
    circuit = QuantumCircuit(width)
    for qubit, angle in enumerate(angles):
        circuit.ry(angle, qubit)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def measured_midway(width: int) -> QuantumCircuit:
    first, last = ClassicalRegister(1, "first"), ClassicalRegister(width, "last")
    qubits = QuantumRegister(width, "q")
    circuit = QuantumCircuit(qubits, first, last)
    circuit.h(0)
    circuit.measure(0, first[0])
    circuit.delay(20_000, 0, unit="dt")
    circuit.reset(0)
    circuit.h(width - 1)
    circuit.cx(width - 1, 0)
    circuit.measure(qubits, last)
    return circuit


def decided_midway(width: int) -> QuantumCircuit:
    circuit = measured_midway(width)
    with circuit.if_test((circuit.cregs[0], 1)):
        circuit.x(width - 1)
    circuit.measure(width - 1, circuit.cregs[1][0])
    return circuit


def cases() -> list[tuple[str, Any]]:
    """Return the first recorded device of every size, with the circuits that it can run."""
    catalog = Catalog()
    first: dict[int, Device] = {}
    for name in catalog.names():
        device = catalog.get(name)
        if device is not None and not device.simulator:
            first.setdefault(device.qubits, device)
    found: list[tuple[str, Any]] = []
    for qubits, device in first.items():
        if not EVERYTHING and qubits > QUICK_QUBITS:
            continue
        supported = device.configuration.get("supported_instructions") or ()
        found.append((device.name, rotations))
        if {"reset", "delay"}.issubset(supported) and official(device.name)().dt is not None:
            found.append((device.name, measured_midway))
        if "if_else" in supported:
            found.append((device.name, decided_midway))
    return found


@pytest.mark.parametrize(("name", "circuit_of"), cases())
def test_a_seed_gives_plain_aers_memory(
    name: str, circuit_of: Callable[[int], QuantumCircuit]
) -> None:
    width = min(3, device(name).num_qubits)
    given = circuit_of(width)
    manager = generate_preset_pass_manager(1, backend=device(name), seed_transpiler=1)
    circuit = manager.run(given)
    values = list(np.linspace(0.3, 2.8, circuit.num_parameters))
    bound = circuit.assign_parameters(values)
    memory = plain(name).run(bound, shots=SHOTS, seed_simulator=SEED, memory=True).result()
    theirs = [shot.replace(" ", "") for shot in memory.get_memory()]
    params = codec.dumps(
        {
            "pubs": [[circuit, values, SHOTS]],
            "options": {"simulator": {"seed_simulator": SEED}},
        }
    )
    for _ in range(2):  # the second time everything is cached
        outcome = primitives.run(
            "sampler", params, name, optimization_level=1, on_interim=lambda _: None
        )
        data = codec.loads(outcome.result)[0].data
        registers = [data[each.name].get_bitstrings() for each in reversed(circuit.cregs)]
        assert ["".join(parts) for parts in zip(*registers, strict=True)] == theirs
