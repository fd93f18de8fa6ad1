"""Every instruction that devices advertise runs, and every configuration is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Measure, Reset
from qiskit.circuit.classical import expr, types
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit_ibm_runtime.circuit import MidCircuitMeasure, MidCircuitReset
from qiskit_ibm_runtime.decoders.executor.decoder import ExecutorResultDecoder
from qiskit_ibm_runtime.quantum_program import QuantumProgram

from qsession_widget import QiskitRuntimeService, Sampler
from qsession_widget.local import process
from qsession_widget.runtime.device_catalog import Catalog
from qsession_widget.runtime.worker import executor_program
from qsession_widget.runtime.worker.circuits import measure_variants
from qsession_widget.wire.target import CONTROL_FLOW
from tests.runtime.worker.jobs import sample
from tests.runtime.worker.test_executor_program import params

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qiskit.circuit import Instruction

    from qsession_widget import RuntimeJob
    from qsession_widget.client.backends.backend import Backend

NAMES = Catalog().names()
SHOTS = 16
ANGLE = 0.3
"""An angle within the bounds of fractional gates."""


@pytest.fixture
def service(runtime: Path) -> QiskitRuntimeService:
    assert runtime
    return QiskitRuntimeService(channel="local")


def advertised(backend: Backend) -> Iterator[QuantumCircuit]:
    """Yield a circuit of the target's instructions, and one of those only in the configuration."""
    target, configuration = backend.target, backend.configuration()
    exact = blank(backend)
    for name in sorted(target.operation_names):
        if name in CONTROL_FLOW:
            control_flow(exact, name)
            continue
        places = [where for where in target[name] or {} if where is not None]
        operation = target.operation_from_name(name)
        place(exact, operation, places[0] if places else range(operation.num_qubits))
    yield finished(exact)
    besides = {*configuration["supported_instructions"], *configuration["basis_gates"]}
    besides -= set(target.operation_names)
    if besides:
        bare = blank(backend)
        for name in sorted(besides):
            if name == "store":
                value = bare.add_var("value", expr.lift(1, types.Uint(3)))
                bare.store(value, expr.lift(2, types.Uint(3)))
            else:
                operation = get_standard_gate_name_mapping()[name]
                place(bare, operation, range(operation.num_qubits))
        yield finished(bare)


def blank(backend: Backend) -> QuantumCircuit:
    return QuantumCircuit(QuantumRegister(backend.num_qubits), ClassicalRegister(2, "c"))


def place(circuit: QuantumCircuit, operation: Instruction, where: range | tuple[int, ...]) -> None:
    if operation.name == "delay":
        circuit.delay(160, where[0], unit="dt")
        return
    if operation.params:
        operation = type(operation)(*[ANGLE] * len(operation.params))
    circuit.append(operation, list(where), list(range(operation.num_clbits)))


def control_flow(circuit: QuantumCircuit, name: str) -> None:
    register = circuit.cregs[0]
    match name:
        case "if_else":
            with circuit.if_test((register, 1)):
                circuit.measure(0, 1)
        case "while_loop":
            with circuit.while_loop((register, 4)):
                circuit.measure(0, 1)
        case "for_loop":
            with circuit.for_loop(range(2)):
                circuit.measure(0, 1)
        case "switch_case":
            with circuit.switch(register) as case, case(1):
                circuit.measure(0, 1)


def finished(circuit: QuantumCircuit) -> QuantumCircuit:
    circuit.measure(0, 0)
    return circuit


def test_every_advertised_instruction_of_every_device_runs(service: QiskitRuntimeService) -> None:
    jobs: dict[str, RuntimeJob] = {}
    names_seen: set[str] = set()
    for name in NAMES:
        backend = service.backend(name)
        circuits = list(advertised(backend))
        names_seen.update(*(circuit.count_ops() for circuit in circuits))
        jobs[name] = Sampler(mode=backend).run(circuits, shots=SHOTS)
    wrong = {}
    for name, job in jobs.items():
        job.wait_for_final_state()
        if not job.done():
            wrong[name] = job.error_message()
            continue
        for result in job.result():
            assert result.data.c.num_shots == SHOTS
    assert wrong == {}
    assert names_seen >= {"measure_2", "reset_2", "store", "switch_case", "rzz", "delay", "u2"}


def mid_circuit(measure: Instruction, reset: Instruction) -> QuantumCircuit:
    """Measure and reset in the middle of a circuit and in a branch."""
    circuit = QuantumCircuit(2, 4)
    circuit.sx(0)
    circuit.append(measure, [0], [0])
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.append(measure, [0], [1])
        circuit.x(1)
    circuit.append(reset, [0], [])
    circuit.append(measure, [0], [2])
    circuit.measure(1, 3)
    return circuit


VARIANTS = MidCircuitMeasure(), MidCircuitReset()
PLAIN = Measure(), Reset()


@pytest.mark.parametrize("level", [0, 1])
def test_a_variant_gives_the_shots_of_the_plain_instruction(level: int) -> None:
    found, expected = (
        sample("fake_boston", [mid_circuit(*pair), None, 400], level=level)[0].data.c
        for pair in (VARIANTS, PLAIN)
    )
    assert found == expected
    ones = found.slice_bits([0]).array.mean()
    assert 0.3 < ones < 0.7
    assert found.slice_bits([2]).array.mean() < 0.1


def test_the_executor_runs_variants_too(service: QiskitRuntimeService) -> None:
    circuit = QuantumCircuit(service.backend("fake_boston").num_qubits, 2)
    circuit.x(0)
    circuit.append(MidCircuitMeasure(), [0], [0])
    circuit.append(MidCircuitReset(), [0], [])
    circuit.measure(0, 1)
    program = QuantumProgram(400)
    program.append_circuit_item(circuit)
    text = executor_program.run(params(program, seed_simulator=1), "fake_boston").result
    read = ExecutorResultDecoder.decode(text)[0]["c"].mean(axis=0)
    assert read[0] > 0.9
    assert read[1] < 0.1


def test_other_instructions_are_unchanged() -> None:
    circuit = mid_circuit(*PLAIN)
    assert measure_variants.plain(circuit) is circuit


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_is_complete(name: str) -> None:
    found = catalog_entry(name)
    assert {"family", "revision"} <= found["processor_type"].keys()
    assert isinstance(found["multi_meas_enabled"], bool)
    assert {"measure", "delay"} <= set(found["supported_instructions"])
    assert found["supported_features"] is not None
    assert len(found["meas_map"]) >= 1
    # In nanoseconds: devices sample between 0.1 and 10 ns.
    assert found["simulator"] or 0.1 <= found["dt"] <= 10


@pytest.mark.parametrize("name", ["fake_burlington", "fake_cambridge", "fake_poughkeepsie"])
def test_gates_last_whole_samples(name: str) -> None:
    device = Catalog().get(name)
    assert device is not None
    lengths = [
        each["value"]
        for gate in device.properties["gates"]
        for each in gate["parameters"]
        if each["name"] == "gate_length"
    ]
    samples = np.array(lengths) / device.configuration["dt"]
    assert np.abs(samples - samples.round()).max() < 1e-6


def test_the_official_client_reads_what_was_filled_in(service: QiskitRuntimeService) -> None:
    official = process.official_service()
    for name in ("fake_vigo", "fake_london", "aer_simulator"):
        backend = official.backend(name)
        ours = service.backend(name).configuration()
        for key in ("processor_type", "multi_meas_enabled"):
            assert getattr(backend.configuration(), key) == ours[key]
        assert backend.processor_type == ours["processor_type"]


def catalog_entry(name: str) -> dict[str, Any]:
    device = Catalog().get(name)
    assert device is not None
    return device.configuration
