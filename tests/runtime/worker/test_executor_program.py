"""The executor program through the official client's own objects."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit_ibm_runtime.decoders.executor.decoder import ExecutorResultDecoder
from qiskit_ibm_runtime.fake_provider.executor.run_quantum_program import run_quantum_program
from qiskit_ibm_runtime.options_models import ExecutorOptions
from qiskit_ibm_runtime.options_models.simulator import SimulatorOptions
from qiskit_ibm_runtime.quantum_program import QuantumProgram
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS
from samplomatic import build
from samplomatic.transpiler import generate_boxing_pass_manager

from qsession_widget.runtime.worker import executor_program, lru_cache
from qsession_widget.runtime.worker.device import SimulatedDevice, caches
from qsession_widget.runtime.worker.outcome import RejectedError


def params(program: QuantumProgram, version: str = "v2.0", **experimental: Any) -> str:
    options = ExecutorOptions()
    options.experimental = experimental
    model = QUANTUM_PROGRAM_PARAMS_CONVERTERS[version].encoder(program, options)
    text: str = model.model_dump_json()
    return text


def rotations() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.sx(0)
    circuit.rz(Parameter("angle"), 0)
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def test_a_circuit_item_gives_the_shots_of_each_argument() -> None:
    program = QuantumProgram(200, passthrough_data={"mine": [1, "two"]})
    program.append_circuit_item(rotations(), circuit_arguments=np.array([[0.0], [np.pi]]))
    text = executor_program.run(params(program, seed_simulator=1), "aer_simulator").result
    result = ExecutorResultDecoder.decode(text)
    assert result.passthrough_data == {"mine": [1, "two"]}
    bits = result[0]["meas"]
    assert (bits.shape, bits.dtype) == ((2, 200, 2), np.dtype(bool))
    # sx rz(0) sx is x, and sx rz(pi) sx is the identity, both up to a phase.
    assert bits[0].all()
    assert not bits[1].any()
    (chunk,) = result.metadata.chunk_timing
    assert chunk.start <= chunk.stop
    assert chunk.parts[0].size == 2


def test_a_samplex_item_undoes_its_own_twirling() -> None:
    boxed = generate_boxing_pass_manager(enable_gates=True, enable_measures=True).run(rotations())
    template, samplex = build(boxed)
    program = QuantumProgram(100)
    program.append_samplex_item(
        template,
        samplex=samplex,
        samplex_arguments={"parameter_values": np.array([0.0])},
        shape=(8,),
    )
    text = executor_program.run(params(program), "aer_simulator").result
    result = ExecutorResultDecoder.decode(text)[0]
    assert result["meas"].shape == (8, 100, 2)
    flips = result["measurement_flips.meas"]
    assert flips.any()
    assert (result["meas"] ^ flips).all()


def test_a_devices_noise_is_in_the_result() -> None:
    program = QuantumProgram(4000)
    program.append_circuit_item(rotations(), circuit_arguments=np.array([0.0]))
    text = executor_program.run(params(program, seed_simulator=1), "fake_manila").result
    right = ExecutorResultDecoder.decode(text)[0]["meas"].all(axis=-1).mean()
    assert 0.85 < right < 0.999


@pytest.mark.parametrize("version", QUANTUM_PROGRAM_PARAMS_CONVERTERS)
def test_each_schema_of_the_official_client_is_answered_in_the_same_schema(version: str) -> None:
    boxed = generate_boxing_pass_manager(enable_gates=True, enable_measures=True).run(rotations())
    template, samplex = build(boxed)
    program = QuantumProgram(50, passthrough_data=None if version == "v0.1" else {"mine": [1]})
    program.append_circuit_item(rotations(), circuit_arguments=np.array([[0.0], [np.pi]]))
    program.append_samplex_item(
        template,
        samplex=samplex,
        samplex_arguments={"parameter_values": np.array([0.0])},
        shape=(4,),
    )
    text = executor_program.run(params(program, version), "aer_simulator").result
    assert json.loads(text)["schema_version"] == version
    result = ExecutorResultDecoder.decode(text)
    assert result[0]["meas"].dtype == np.dtype(bool)
    assert result[0]["meas"][0].all()
    assert not result[0]["meas"][1].any()
    assert (result[1]["meas"] ^ result[1]["measurement_flips.meas"]).all()
    assert version == "v0.1" or result.passthrough_data == {"mine": [1]}
    # Each item ran in its own time span, one after the other.
    first, second = result.metadata.chunk_timing
    assert first.start <= first.stop <= second.start <= second.stop
    assert [(part.idx_item, part.size) for part in first.parts] == [(0, 2)]
    assert [(part.idx_item, part.size) for part in second.parts] == [(1, 4)]


def test_small_items_run_in_few_calls_and_share_their_time_span() -> None:
    program = QuantumProgram(20)
    for angle in np.linspace(0, np.pi, 12):
        program.append_circuit_item(rotations(), circuit_arguments=np.array([[angle]] * 2))
    text = executor_program.run(params(program), "aer_simulator").result
    result = ExecutorResultDecoder.decode(text)
    chunks = result.metadata.chunk_timing
    assert len(chunks) < 12
    parts = [(part.idx_item, part.size) for chunk in chunks for part in chunk.parts]
    assert parts == [(place, 2) for place in range(12)]
    ends = [moment for chunk in chunks for moment in (chunk.start, chunk.stop)]
    assert ends == sorted(ends)
    assert result[0]["meas"].all()
    assert not result[11]["meas"].any()


@pytest.mark.parametrize("device", ["aer_simulator", "fake_manila"])
def test_a_seed_gives_what_ibms_own_simulation_gives(device: str) -> None:
    program = QuantumProgram(300)
    program.append_circuit_item(rotations(), circuit_arguments=np.array([[0.4], [1.3], [1.3]]))
    text = executor_program.run(params(program, seed_simulator=4), device).result
    simulator = SimulatedDevice(device, 0).simulator(rotations())
    expected = run_quantum_program(simulator, program, SimulatorOptions(seed_simulator=4))
    found = ExecutorResultDecoder.decode(text)[0]["meas"]
    assert np.array_equal(found, expected[0]["meas"])


def twirled(shape: tuple[int, ...] = (8,)) -> QuantumProgram:
    """Return a program of one samplex item, all of it built anew."""
    boxed = generate_boxing_pass_manager(enable_gates=True, enable_measures=True).run(rotations())
    template, samplex = build(boxed)
    program = QuantumProgram(64)
    program.append_samplex_item(
        template,
        samplex=samplex,
        samplex_arguments={"parameter_values": np.array([0.7])},
        shape=shape,
    )
    return program


@pytest.mark.parametrize("device", ["aer_simulator", "fake_manila"])
def test_a_seed_gives_what_ibms_own_simulation_gives_with_twirling(device: str) -> None:
    program = twirled()
    text = executor_program.run(params(program, seed_simulator=4), device).result
    simulator = SimulatedDevice(device, 0).simulator(program.items[0].circuit)
    expected = run_quantum_program(simulator, program, SimulatorOptions(seed_simulator=4))
    found = ExecutorResultDecoder.decode(text)[0]
    for name in ("meas", "measurement_flips.meas"):
        assert np.array_equal(found[name], expected[0][name])


def branching(flips: int) -> QuantumProgram:
    """Return a program whose circuit has no structural key."""
    circuit = QuantumCircuit(1, 1)
    circuit.sx(0)
    circuit.measure(0, 0)
    with circuit.if_test((0, True)):
        for _ in range(flips):
            circuit.x(0)
    circuit.measure(0, 0)
    program = QuantumProgram(50)
    program.append_circuit_item(circuit)
    return program


def again(*programs: QuantumProgram) -> list[dict[str, Any]]:
    """Run programs one after the other; the last one must find everything in the caches."""
    caches.forget_devices()
    found = []
    for program in programs:
        lru_cache.start()
        text = executor_program.run(params(program, seed_simulator=3), "fake_manila").result
        arrays = dict(ExecutorResultDecoder.decode(text)[0])
        found.append({name: each.tolist() for name, each in arrays.items()})
    assert lru_cache.figures.misses == 0
    assert lru_cache.figures.hits > 0
    return found


def test_a_template_that_is_built_again_runs_from_the_caches() -> None:
    first, second = again(twirled(), twirled())
    assert first == second


def test_a_circuit_without_a_structural_key_is_known_by_its_text() -> None:
    program = branching(1)
    first, second = again(program, program)
    assert first == second


def test_programs_that_differ_share_nothing() -> None:
    texts = [params(branching(flips), seed_simulator=1) for flips in (0, 1, 0, 1)]
    bits = [
        ExecutorResultDecoder.decode(executor_program.run(each, "aer_simulator").result)[0]["c"]
        for each in texts
    ]
    assert bits[0].any()
    assert not bits[1].any()
    assert np.array_equal(bits[0], bits[2])
    assert np.array_equal(bits[1], bits[3])


def test_what_was_refused_is_refused_again() -> None:
    program = QuantumProgram(10)
    circuit = QuantumCircuit(2)
    circuit.swap(0, 1)
    circuit.measure_all()
    program.append_circuit_item(circuit)
    for device in ("aer_simulator", "fake_manila", "fake_manila"):
        if device == "aer_simulator":
            executor_program.run(params(program), device)
        else:
            with pytest.raises(RejectedError, match="not in the instruction set of fake_manila"):
                executor_program.run(params(program), device)


def test_equal_items_are_different_samples_with_and_without_a_seed() -> None:
    program = QuantumProgram(200)
    for _ in range(3):
        program.append_circuit_item(rotations(), circuit_arguments=np.array([1.5]))
    seen = []
    seeds: list[dict[str, Any]] = [{"seed_simulator": 8}, {"seed_simulator": 8}, {}, {}]
    for seed in seeds:
        text = executor_program.run(params(program, **seed), "fake_manila").result
        seen.append([item["meas"].tobytes() for item in ExecutorResultDecoder.decode(text)])
    assert seen[0] == seen[1]
    assert len({*seen[0], *seen[2], *seen[3]}) == 9


@pytest.mark.parametrize("level", ["kerneled", "avg_kerneled", "both"])
def test_measurement_levels_other_than_bits_are_refused(level: Any) -> None:
    program = QuantumProgram(10, meas_level=level)
    program.append_circuit_item(rotations(), circuit_arguments=np.array([0.0]))
    with pytest.raises(RejectedError, match=rf"meas_level is '{level}'.*'classified'"):
        executor_program.run(params(program), "aer_simulator")


def test_ignored_options_are_named() -> None:
    program = QuantumProgram(10)
    program.append_circuit_item(rotations(), circuit_arguments=np.array([0.0]))
    document = json.loads(params(program, seed_simulator=1, other=2))
    document["options"] |= {"init_qubits": False, "rep_delay": 1e-4, "scheduler_timing": True}
    found = json.loads(executor_program.run(json.dumps(document), "aer_simulator").result)
    assert found["metadata"]["qsession"] == {
        "ignored_options": ["experimental.other", "init_qubits", "rep_delay", "scheduler_timing"]
    }


def test_invalid_numbers_are_refused() -> None:
    program = QuantumProgram(10)
    program.append_circuit_item(rotations(), circuit_arguments=np.array([np.nan]))
    with pytest.raises(RejectedError, match="nan or inf"):
        executor_program.run(params(program), "aer_simulator")


def wide() -> QuantumProgram:
    program = QuantumProgram(10)
    circuit = QuantumCircuit(6)
    circuit.measure_all()
    program.append_circuit_item(circuit)
    return program


def bare() -> QuantumProgram:
    program = QuantumProgram(10)
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.measure_all()
    program.append_circuit_item(circuit)
    return program


def many() -> QuantumProgram:
    program = QuantumProgram(10**6)
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    program.append_circuit_item(circuit)
    return program


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (wide, "6 qubits; fake_manila has 5"),
        (bare, "not in the instruction set of fake_manila, which is .*cx"),
        (many, "1000000 shots asked for; fake_manila takes 100000"),
    ],
)
def test_programs_that_the_device_cannot_run_are_refused(program: Any, said: str) -> None:
    with pytest.raises(RejectedError, match=said):
        executor_program.run(params(program()), "fake_manila")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema_version": "v0.0"}', "'v0.0'.*'v0.1'.*'v2.0'"),
        ('{"schema_version": ["v2.0"]}', "'v0.1'.*'v2.0'"),
        ('{"schema_version": "v0.1"}', "cannot be read"),
        ('{"schema_version": "v2.0"}', "cannot be read"),
        (
            json.dumps(
                {
                    "schema_version": "v2.0",
                    "quantum_program": {
                        "shots": 1,
                        "circuits": {"b64_data": "AAAA", "qpy_version": 18, "num_programs": 1},
                        "items": [],
                    },
                    "options": {},
                }
            ),
            "cannot be read",
        ),
    ],
)
def test_unreadable_programs_are_refused(text: str, said: str) -> None:
    with pytest.raises(RejectedError, match=said):
        executor_program.run(text, "fake_manila")
