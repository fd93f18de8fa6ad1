"""Cached circuits and noise change how long a job takes, but not its result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, generate_preset_pass_manager
from qiskit.circuit import Parameter, ParameterVector
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit_aer.backends.aer_compiler import generate_aer_config

from qsession_widget.runtime.worker import aer, lru_cache, primitives
from qsession_widget.runtime.worker.circuit_cache import CircuitCache
from qsession_widget.runtime.worker.device import SimulatedDevice, caches
from qsession_widget.runtime.worker.noise import aer_form
from qsession_widget.wire import codec
from tests.runtime.worker.jobs import rotated, whole_device

if TYPE_CHECKING:
    from collections.abc import Iterator

read = aer._read

SEED = 11
SHOTS = 150
SMALL = "fake_manila"

often = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True, params=["assembled", "public"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run each test with Aer's internals, and as with an unknown release of Aer."""
    monkeypatch.setattr(aer, "assembles", request.param == "assembled")
    forget()
    yield request.param
    forget()


def forget() -> None:
    for each in (
        caches.runnables,
        caches.executables,
        caches.estimations,
        caches.states,
        caches.final_shots,
    ):
        each.clear()
    caches.circuits.clear()


def run(program: str, device: str, pub: list[Any], seed: int | None = SEED) -> Any:
    options = {} if seed is None else {"simulator": {"seed_simulator": seed}}
    text = codec.dumps({"pubs": [pub], "options": options})
    lru_cache.start()
    outcome = primitives.run(
        program, text, device, optimization_level=1, on_interim=lambda _text: None
    )
    return codec.loads(outcome.result)[0]


def transpiled(circuit: QuantumCircuit, name: str, seed: int = 3) -> QuantumCircuit:
    """Transpile with a layout that the seed picks."""
    manager = generate_preset_pass_manager(
        1, target=caches.target(name), seed_transpiler=seed, layout_method="sabre"
    )
    return manager.run(circuit)


def plainly(circuit: QuantumCircuit, values: Any, device: str) -> Any:
    sampler = BackendSamplerV2(backend=whole_device(device), options={"seed_simulator": SEED})
    return sampler.run([(circuit, values)], shots=SHOTS).result()[0].data


def assert_same_shots(circuit: QuantumCircuit, values: Any, device: str) -> None:
    """Compare with plain Aer twice, the second time with everything cached."""
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
    isa_circuit = SimulatedDevice(SMALL, 1)._adapted(circuit, None).circuit
    plain = BackendEstimatorV2(backend=whole_device(SMALL), options={"seed_simulator": SEED})
    pub = EstimatorPub.coerce((circuit, observables, values), 0.1)
    laid_out = pub.observables.apply_layout(isa_circuit.layout)
    columns = [list(circuit.parameters).index(each) for each in isa_circuit.parameters]
    theirs = plain.run([(isa_circuit, laid_out, values[..., columns])], precision=0.1).result()[0]
    given_circuit, given_observables = (circuit, observables) if bare else (isa_circuit, laid_out)
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


def dense_and_not() -> dict[str, QuantumCircuit]:
    """Return circuits whose shots Aer draws from a density matrix, and others."""
    ends = QuantumCircuit(2, 3)
    ends.sx(0)
    ends.cx(0, 1)
    # Aer looks at what follows a measurement on its qubit only.
    ends.measure(0, 0)
    ends.sx(1)
    ends.measure(1, 1)
    again = ends.copy()
    again.sx(0)
    again.measure(0, 2)
    reset = QuantumCircuit(2, 3)
    reset.sx(0)
    reset.measure(0, 2)
    reset.reset(0)
    reset.cx(0, 1)
    reset.measure([0, 1], [0, 1])
    asks = ends.copy()
    with asks.if_test((asks.clbits[0], 1)):
        asks.x(1)
    asks.measure(1, 1)
    return {"ends": ends, "again": again, "reset": reset, "asks": asks}


@pytest.mark.parametrize("device", [SMALL, "fake_hanoi"])
@pytest.mark.parametrize("name", ["ends", "again", "reset", "asks"])
@pytest.mark.parametrize("shots", [4, 5, 400])
def test_noise_is_collapsed_where_aer_takes_the_density_matrix_and_nowhere_else(
    way: str, name: str, shots: int, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[aer_form.Shape] = []
    real = aer_form.NoiseInAerForm.of

    def seen(self: Any, uses: Any, shape: aer_form.Shape) -> Any:
        given.append(shape)
        return real(self, uses, shape)

    monkeypatch.setattr(aer_form.NoiseInAerForm, "of", seen)
    circuit = dense_and_not()[name]
    simulator = whole_device(device)
    theirs = simulator.run(circuit, shots=shots, seed_simulator=SEED, memory=True).result()
    dense = theirs.results[0].metadata["method"] == "density_matrix"
    # With more shots than outcomes.
    assert dense == (name == "ends" and shots > 4)
    ours = run("sampler", device, [circuit, [], shots])
    assert ours.data.c.get_bitstrings() == theirs.get_memory()
    assert (aer_form.Shape.SUPEROP in given) == (dense and way == "assembled")


def test_a_circuit_that_aer_runs_otherwise_than_expected_runs_as_in_plain_aer(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aer, "_read", lambda circuit: (read(circuit)[0], True))
    for circuit in dense_and_not().values():
        theirs = whole_device(SMALL).run(circuit, shots=SHOTS, seed_simulator=SEED, memory=True)
        for _ in range(2):
            ours = run("sampler", SMALL, [circuit, [], SHOTS])
            assert ours.data.c.get_bitstrings() == theirs.result().get_memory(), way


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the settings of Aer's executions, as they are made."""
    made: list[Any] = []
    real = generate_aer_config

    def seen(*arguments: Any, **named: Any) -> Any:
        made.append(real(*arguments, **named))
        return made[-1]

    monkeypatch.setattr(aer, "generate_aer_config", seen)
    return made


def test_small_circuits_take_one_thread(way: str, configs: list[Any]) -> None:
    """Each would wait for threads that have nothing to do."""
    cases = {(SMALL, 5): 1, ("fake_guadalupe", 7): 0, ("aer_simulator", 13): 1}
    for (device, width), threads in cases.items():
        circuit = QuantumCircuit(width)
        circuit.sx(range(width))
        circuit.measure_all()
        run("sampler", device, [circuit, [], 10], None)
        # Zero is as many as there are processors.
        assert way == "public" or configs[-1].max_parallel_threads == threads


@pytest.mark.parametrize("count", [7, 40])
def test_many_small_circuits_share_threads_and_have_the_same_shots(
    way: str, count: int, configs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aer, "_THREADS", 3)
    circuit, values = rotated(), np.linspace(0, 3, count)
    ours = run("sampler", SMALL, [circuit, values.reshape(count, 1), SHOTS])
    bound = [circuit.assign_parameters([each]) for each in values]
    theirs = whole_device(SMALL).run(bound, shots=SHOTS, seed_simulator=SEED, memory=True).result()
    (register,) = ours.data.values()
    for number in range(count):
        assert register[number].get_bitstrings() == theirs.get_memory(number)
    assert way == "public" or configs[-1].max_parallel_experiments == min(-(-count // 8), 3)


@pytest.mark.parametrize(("most", "calls"), [(1, 7), (900, 4), (1 << 17, 1)])
@pytest.mark.parametrize("program", ["sampler", "estimator"])
def test_a_long_sweep_runs_in_portions_with_the_same_shots(
    way: str, program: str, most: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aer's own form of what was read takes much memory, and is not held of all runs."""
    configs: list[Any] = []
    real = generate_aer_config

    def seen(*arguments: Any, **named: Any) -> Any:
        configs.append(real(*arguments, **named))
        return configs[-1]

    circuit, values = rotated(), np.linspace(0, 3, 7).reshape(7, 1)
    what: list[Any] = [] if program == "sampler" else [{"Z" * circuit.num_qubits: 1.0}]
    if program == "estimator":
        circuit.remove_final_measurements()
    pub = [circuit, *what, values, SHOTS if program == "sampler" else SHOTS**-0.5]
    whole = run(program, SMALL, pub)
    monkeypatch.setattr(aer, "generate_aer_config", seen)
    monkeypatch.setattr(aer, "MOST_OUTCOMES", most)
    ours = run(program, SMALL, pub)
    if program == "sampler":
        (one,), (other,) = whole.data.values(), ours.data.values()
        assert np.array_equal(one.array, other.array)
        assert way == "public" or len(configs) == calls
    else:
        assert np.array_equal(whole.data.evs, ours.data.evs)
        # Of so few bits there are fewer outcomes than shots.
        assert way == "public" or len(configs) == {900: 3}.get(most, calls)


# -- caches ------------------------------------------------------------


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
    assert lru_cache.figures.misses == 1, "another text must be decoded"
    assert lru_cache.figures.seconds_saved > 0
