"""Kept circuits and noise change how long a job takes, and nothing of what it gives."""

from __future__ import annotations

import json
import shutil
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, generate_preset_pass_manager
from qiskit.circuit import (
    AnnotatedOperation,
    Duration,
    InverseModifier,
    Parameter,
    ParameterVector,
)
from qiskit.circuit.classical import expr
from qiskit.circuit.library import XGate
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.quantum_info import DensityMatrix, SuperOp, hellinger_fidelity, random_clifford
from qiskit_aer import AerSimulator

from qsession_widget.runtime import device_catalog
from qsession_widget.runtime.worker import aer, lru_cache, simulation
from qsession_widget.runtime.worker.circuit_cache import CircuitCache, structural_key
from qsession_widget.runtime.worker.lru_cache import LruCache
from qsession_widget.runtime.worker.noise import device_noise
from qsession_widget.wire import codec
from qsession_widget.wire.codec import encode_circuit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEED = 11
SHOTS = 150
SMALL = "fake_manila"

often = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True, params=["assembled", "public"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run everything with Aer's inside, and as with a release of Aer that is not known."""
    monkeypatch.setattr(aer, "assembles", request.param == "assembled")
    forget()
    yield request.param
    forget()


def forget() -> None:
    for each in (simulation._runnable, simulation._prepared, simulation._estimations):
        each.clear()
    simulation._circuits.clear()


def run(program: str, device: str, pub: list[Any], seed: int | None = SEED) -> Any:
    options = {} if seed is None else {"simulator": {"seed_simulator": seed}}
    text = codec.dumps({"pubs": [pub], "options": options})
    lru_cache.start()
    outcome = simulation.run(
        program, text, device, optimization_level=1, on_interim=lambda _text: None
    )
    return codec.loads(outcome.result)[0]


@cache
def whole_device(name: str) -> AerSimulator:
    return AerSimulator.from_backend(device_noise.NoisyDevice(simulation._target(name)))


def transpiled(circuit: QuantumCircuit, name: str, seed: int = 3) -> QuantumCircuit:
    """Transpile with a layout that the seed picks."""
    manager = generate_preset_pass_manager(
        1, target=simulation._target(name), seed_transpiler=seed, layout_method="sabre"
    )
    return manager.run(circuit)


def plainly(circuit: QuantumCircuit, values: Any, device: str) -> Any:
    sampler = BackendSamplerV2(backend=whole_device(device), options={"seed_simulator": SEED})
    return sampler.run([(circuit, values)], shots=SHOTS).result()[0].data


def assert_same_shots(circuit: QuantumCircuit, values: Any, device: str) -> None:
    """Compare twice, so that the second time everything is kept, with plain Aer."""
    theirs = plainly(circuit, values, device)
    for _ in range(2):
        ours = run("sampler", device, [circuit, values, SHOTS]).data
        assert set(ours.keys()) == set(theirs.keys())
        for name, array in theirs.items():
            assert ours[name].num_bits == array.num_bits
            assert np.array_equal(ours[name].array, array.array), name


# -- the same shots as plain Aer gives -----------------------------------------------------


@st.composite
def circuits(draw: st.DrawFn) -> tuple[QuantumCircuit, list[list[float]]]:
    """Draw circuits with parameters, several registers, resets and measurements on the way."""
    angles = ParameterVector("a", 2)
    phase = Parameter("phase")
    qubits = QuantumRegister(3, "q")
    left, right = ClassicalRegister(2, "left"), ClassicalRegister(1, "right")
    circuit = QuantumCircuit(qubits, left, right)
    qubit = st.integers(0, 2)
    angle = st.sampled_from([angles[0], angles[1], 2 * angles[0] + 0.3, angles[1] - phase, 0.4])
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(["rx", "rz", "cx", "sx", "measure", "reset", "barrier"]))
        where = draw(qubit)
        if kind in {"rx", "rz"}:
            getattr(circuit, kind)(draw(angle), where)
        elif kind == "cx":
            circuit.cx(where, (where + 1) % 3)
        elif kind == "measure":
            circuit.measure(where, draw(st.sampled_from([*left, *right])))
        elif kind == "reset":
            circuit.reset(where)
        else:
            getattr(circuit, kind)(where)
    if draw(st.booleans()):
        circuit.global_phase = phase
    circuit.measure(qubits[:2], left)
    circuit.measure(qubits[2], right[0])
    number = st.floats(-7, 7, allow_nan=False)
    count = circuit.num_parameters
    rows = draw(st.lists(st.lists(number, min_size=count, max_size=count), min_size=1, max_size=3))
    return circuit, rows


@often
@pytest.mark.minute
@given(drawn=circuits(), seed=st.integers(0, 5))
def test_random_circuits_give_plain_aers_shots(
    drawn: tuple[QuantumCircuit, list[list[float]]], seed: int
) -> None:
    circuit, rows = drawn
    isa = transpiled(circuit, SMALL, seed)
    names = [each.name for each in circuit.parameters]
    columns = [names.index(each.name) for each in isa.parameters]
    assert_same_shots(isa, np.array(rows)[:, columns], SMALL)


@pytest.mark.parametrize("device", [SMALL, "fake_hanoi"])
def test_delays_and_mid_circuit_measurement(device: str) -> None:
    theta = Parameter("theta")
    circuit = QuantumCircuit(3, 3)
    circuit.ry(theta, 0)
    circuit.cx(0, 1)
    circuit.measure(0, 2)
    circuit.delay(50_000, 1, unit="dt")
    circuit.reset(0)
    circuit.cx(1, 0)
    circuit.measure([0, 1], [0, 1])
    assert_same_shots(transpiled(circuit, device), [[0.4], [2.0]], device)


def test_branches_and_loops_with_parameters() -> None:
    theta = Parameter("theta")
    circuit = QuantumCircuit(2, 2)
    circuit.sx(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.rz(theta, 1)
        circuit.sx(1)
    with otherwise:
        circuit.x(1)
    with circuit.for_loop(range(2)):
        circuit.sx(1)
    circuit.measure(1, 1)
    assert_same_shots(circuit, [[0.1], [2.5]], SMALL)


def test_a_circuit_without_parameters_several_times() -> None:
    circuit = transpiled(QuantumCircuit(2), SMALL)
    circuit.sx(0)
    circuit.measure_active()
    assert_same_shots(circuit, np.zeros((3, 0)), SMALL)


def test_values_of_any_shape() -> None:
    theta = Parameter("theta")
    circuit = QuantumCircuit(1, 1)
    circuit.rz(theta, 0)
    circuit.sx(0)
    circuit.measure(0, 0)
    assert_same_shots(circuit, np.arange(6.0).reshape(2, 3, 1), SMALL)
    none = run("sampler", SMALL, [circuit, np.zeros((0, 1)), SHOTS]).data
    assert none.c.array.shape == (0, SHOTS, 1)


def test_registers_wider_than_a_byte_and_bits_in_any_order() -> None:
    circuit = QuantumCircuit(5)
    wide, backwards = ClassicalRegister(11, "wide"), ClassicalRegister(3, "backwards")
    circuit.add_register(wide, backwards)
    circuit.x([0, 3])
    circuit.measure(0, wide[10])
    circuit.measure(3, backwards[0])
    circuit.measure(4, wide[0])
    assert_same_shots(circuit, [], SMALL)


# -- estimates -----------------------------------------------------------------------------


@often
@pytest.mark.minute
@given(
    data=st.data(),
    labels=st.lists(st.text("IXYZ", min_size=3, max_size=3), min_size=1, max_size=6, unique=True),
    bare=st.booleans(),
)
def test_random_observables_give_qiskits_estimates(
    data: st.DataObject, labels: list[str], bare: bool
) -> None:
    theta = ParameterVector("t", 2)
    circuit = QuantumCircuit(3)
    circuit.rx(theta[1], 0)
    circuit.cx(0, 1)
    circuit.ry(theta[0], 2)
    circuit.cx(1, 2)
    values = np.array(data.draw(st.lists(st.floats(-3, 3), min_size=4, max_size=4)))
    values = values.reshape(2, 1, 2)
    coefficients = data.draw(
        st.lists(st.floats(0.1, 2), min_size=len(labels), max_size=len(labels))
    )
    observables: Any = [dict(zip(labels, coefficients, strict=True)), {labels[0]: 1.0}]
    prepared = simulation.Device(SMALL, 1).prepare(circuit)
    plain = BackendEstimatorV2(backend=whole_device(SMALL), options={"seed_simulator": SEED})
    pub = EstimatorPub.coerce((circuit, observables, values), 0.1)
    laid_out = pub.observables.apply_layout(prepared.layout)
    columns = [list(circuit.parameters).index(each) for each in prepared.parameters]
    theirs = plain.run([(prepared, laid_out, values[..., columns])], precision=0.1).result()[0]
    given_circuit, given_observables = (circuit, observables) if bare else (prepared, laid_out)
    given_values = values if bare else values[..., columns]
    for _ in range(2):
        ours = run("estimator", SMALL, [given_circuit, given_observables, given_values, 0.1])
        assert np.allclose(ours.data.evs, theirs.data.evs, rtol=0, atol=1e-12)
        assert np.allclose(ours.data.stds, theirs.data.stds, rtol=0, atol=1e-12)
        assert ours.metadata["shots"] == theirs.metadata["shots"]


def test_observables_of_a_circuit_that_measures_already() -> None:
    circuit = QuantumCircuit(2, 3)
    circuit.sx(0)
    circuit.measure(0, 2)
    circuit.cx(0, 1)
    plain = BackendEstimatorV2(backend=whole_device(SMALL), options={"seed_simulator": SEED})
    observables = [{"ZZ": 1.0}, {"XI": 1.0}, {"II": 1.0}]
    theirs = plain.run([(circuit, observables)], precision=0.1).result()[0].data
    ours = run("estimator", SMALL, [circuit, observables, [], 0.1]).data
    assert np.allclose(ours.evs, theirs.evs, rtol=0, atol=1e-12)


# -- collapsed noise -----------------------------------------------------------------------


def test_collapsed_noise_is_the_same_map() -> None:
    simulator = simulation.Device(SMALL, 1).simulator(observed=frozenset(range(5)))
    model = simulator.options.noise_model
    for places in model._local_quantum_errors.values():
        for error in places.values():
            collapsed = device_noise._collapsed(error)
            assert np.allclose(SuperOp(collapsed).data, SuperOp(error).data, rtol=0, atol=1e-10)
            (only,) = collapsed.circuits
            assert [each.name for each in only.data] in (["kraus"], ["unitary"], ["id"])


def test_collapsed_noise_gives_the_exact_density_matrix() -> None:
    circuit = QuantumCircuit(3)
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.rz(0.3, 2)
    circuit.sx(2)
    model = simulation.Device(SMALL, 1).simulator(circuit).options.noise_model
    exact = DensityMatrix.from_label("000")
    for instruction in circuit.data:
        where = tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits)
        exact = exact.evolve(instruction.operation, where)
        error = model._local_quantum_errors.get(instruction.name, {}).get(where)
        if error is not None:
            exact = exact.evolve(SuperOp(error), where)
    found = {}
    collapsed = device_noise.collapse(model, device_noise.uses([circuit]))
    circuit.save_density_matrix()
    for name, each in {"plain": model, "collapsed": collapsed}.items():
        simulator = AerSimulator(method="density_matrix", noise_model=each)
        found[name] = np.asarray(simulator.run(circuit).result().data()["density_matrix"])
    assert np.allclose(found["collapsed"], exact.data, rtol=0, atol=1e-10)
    # Aer leaves out circuits of an error that are less likely than 1e-10.
    assert np.allclose(found["plain"], exact.data, rtol=0, atol=1e-9)


def test_collapsed_noise_is_taken_after_a_density_matrix_and_never_with_a_seed(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    collapsed: list[Any] = []
    real = device_noise._collapsed

    def seen(error: Any) -> Any:
        collapsed.append(error)
        return real(error)

    monkeypatch.setattr(device_noise, "_collapsed", seen)
    theta = Parameter("theta")
    circuit = QuantumCircuit(2, 2)
    circuit.rz(theta, 0)
    circuit.sx(0)
    circuit.rz(0.3, 0)
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    pub = [circuit, [0.7], 20_000]
    with_seed = [run("sampler", SMALL, pub) for _ in range(3)]
    assert not collapsed
    free = [run("sampler", SMALL, pub, seed=None) for _ in range(2)]
    assert bool(collapsed) == (way == "assembled")
    again = run("sampler", SMALL, pub)
    assert np.array_equal(again.data.c.array, with_seed[0].data.c.array)
    for each in free:
        counts, expected = (found.data.c.get_counts() for found in (each, again))
        assert hellinger_fidelity(counts, expected) > 0.999


def test_noise_is_not_collapsed_where_aer_takes_another_method(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(error: Any) -> None:
        pytest.fail(f"{len(error.circuits)} circuits are collapsed")

    monkeypatch.setattr(device_noise, "_collapsed", never)
    circuit = QuantumCircuit(2, 3)
    circuit.sx(0)
    circuit.measure(0, 2)
    circuit.reset(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    for _ in range(3):
        run("sampler", SMALL, [circuit, [], 500], seed=None)


# -- what is kept, and for whom ------------------------------------------------------------


def rotated(name: str = "theta", gate: str = "rz", angle: float | None = None) -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2, name=name)
    getattr(circuit, gate)(Parameter(name) if angle is None else angle, 0)
    circuit.sx(0)
    circuit.measure([0, 1], [0, 1])
    return circuit


def delayed(length: float | Parameter, unit: str) -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.delay(length, 0, unit=unit)
    return circuit


def labelled(label: str) -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.append(XGate(label=label), [0])
    return circuit


def test_a_circuit_that_is_built_again_is_the_same_to_the_cache() -> None:
    assert structural_key(rotated()) == structural_key(rotated("phi"))
    assert structural_key(rotated(angle=0.5)) == structural_key(rotated(angle=0.5))


def test_circuits_that_differ_at_all_have_different_keys() -> None:
    renamed = QuantumCircuit(QuantumRegister(2), ClassicalRegister(2, "other"))
    renamed.compose(rotated(), clbits=[0, 1], inplace=True)
    turned = rotated()
    turned.global_phase = 0.1
    two = QuantumCircuit(2)
    two.rz(Parameter("a"), 0)
    two.rz(Parameter("b"), 1)
    swapped = QuantumCircuit(2)
    swapped.rz(Parameter("b"), 0)
    swapped.rz(Parameter("a"), 1)
    found = [
        rotated(),
        rotated(gate="rx"),
        rotated(angle=0.5),
        rotated(angle=np.nextafter(0.5, 1)),
        renamed,
        turned,
        two,
        swapped,
        *(delayed(132, unit) for unit in ("dt", "s", "ms", "us", "ns", "ps")),
        delayed(133, "us"),
        delayed(Parameter("t"), "us"),
        delayed(Parameter("t"), "ns"),
        labelled("one"),
        labelled("other"),
    ]
    keys = [structural_key(each) for each in found]
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_what_is_not_known_to_the_last_bit_has_no_structural_key() -> None:
    theta = Parameter("theta")
    expression = QuantumCircuit(1)
    expression.rz(theta / 3, 0)
    dynamic = QuantumCircuit(1, 1)
    with dynamic.if_test((dynamic.clbits[0], 1)):
        dynamic.x(0)
    own = QuantumCircuit(1)
    own.unitary(np.eye(2), 0)
    annotated = QuantumCircuit(1)
    annotated.append(AnnotatedOperation(XGate(), [InverseModifier()]), [0])
    clifford = QuantumCircuit(1)
    clifford.append(random_clifford(1, seed=1), [0])
    open_control = QuantumCircuit(2)
    open_control.cx(0, 1, ctrl_state=0)
    const = QuantumCircuit(1)
    const.delay(expr.lift(Duration.us(1)), 0)
    for circuit in (expression, dynamic, own, annotated, clifford, open_control, const):
        assert structural_key(circuit) is None


def test_a_fault_while_a_key_is_made_is_a_circuit_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stumble(_circuit: QuantumCircuit) -> None:
        raise AttributeError("an instruction of a kind that is not known here")

    monkeypatch.setattr("qsession_widget.runtime.worker.circuit_cache.structural_key", stumble)
    known, text = CircuitCache(), encode_circuit(rotated())
    assert known.key(known.decode(text)) == text
    one, other = rotated(), rotated()
    assert known.key(one) != known.key(other)


def test_a_text_is_decoded_once_and_names_stay_with_their_circuit() -> None:
    known = CircuitCache()
    text = codec.dumps(rotated())
    value = json.loads(text)["__value__"]
    assert known.decode(value) is known.decode(value)
    first, second = rotated("first"), rotated("second")
    first.metadata, second.metadata = {"of": 1}, {"of": 2}
    for number, circuit in enumerate((first, second), start=1):
        found = run("sampler", SMALL, [circuit, [0.3], 10])
        assert found.metadata["circuit_metadata"] == {"of": number}


def test_the_figures_count_what_was_kept_and_what_was_made() -> None:
    run("sampler", SMALL, [rotated(), [0.1], 10])
    assert lru_cache.figures.misses >= 3
    run("sampler", SMALL, [rotated("phi"), [0.2], 10])
    assert lru_cache.figures.hits >= 2
    assert lru_cache.figures.misses == 1, "another text has to be decoded"
    assert lru_cache.figures.seconds_saved > 0


def test_a_cache_keeps_what_was_used_last() -> None:
    kept: LruCache[str] = LruCache(2)
    for key in "abac":
        kept.get(key, key.upper)
    assert len(kept) == 2
    assert kept.get("a", lambda: "made again") == "A"
    assert kept.get("b", lambda: "made again") == "made again"


def test_a_new_calibration_is_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = rotated(angle=0.0)
    run("sampler", SMALL, [circuit, [], 10])
    recording = simulation._device(SMALL)
    before = simulation._target(SMALL)
    run("sampler", SMALL, [circuit, [], 10])
    assert simulation._target(SMALL) is before
    monkeypatch.setitem(simulation._calibrations, SMALL, (0, 0))
    run("sampler", SMALL, [circuit, [], 10])
    assert simulation._target(SMALL) is not before
    assert simulation._device(SMALL) is not recording


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a copy of one device's recording, and nothing else; give its folder."""
    folder = shutil.copytree(device_catalog._recorded_devices() / "manila", tmp_path / "manila")
    with monkeypatch.context() as patch:
        patch.setattr(device_catalog, "_recorded_devices", lambda: tmp_path)
        simulation._catalog.cache_clear()
        yield folder
    simulation._catalog.cache_clear()


def test_another_calibration_changes_what_jobs_give(recording: Path) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)

    def ones() -> int:
        return int(run("sampler", SMALL, [circuit, [], 1_000]).data.c.get_counts()["1"])

    assert ones() > 900
    file = recording / "props_manila.json"
    properties = json.loads(file.read_text())
    for qubit in properties["qubits"]:
        for each in qubit:
            if each["name"] in {"readout_error", "prob_meas0_prep1", "prob_meas1_prep0"}:
                each["value"] = 0.5
    file.write_text(json.dumps(properties))
    assert ones() < 600
