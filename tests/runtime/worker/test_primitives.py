"""What a worker computes: the device's own noise, and honest error bars."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, generate_preset_pass_manager
from qiskit.circuit import Parameter
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2, PrimitiveResult
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_aer import AerSimulator

from qsession_widget.runtime.worker import primitives
from qsession_widget.runtime.worker.device import Device, caches, in_instruction_set
from qsession_widget.runtime.worker.noise import device_noise
from qsession_widget.runtime.worker.outcome import RejectedError
from qsession_widget.wire import codec

IDEAL = "aer_simulator"
SMALL = "fake_manila"
LARGE = "fake_hanoi"  # 27 qubits


def run(
    program: str,
    backend: str,
    *pubs: list[Any],
    level: int = 1,
    interim: list[Any] | None = None,
    **options: Any,
) -> PrimitiveResult:
    """Run pubs as a worker does, from wire text to wire text."""
    parts: list[str] = []
    outcome = primitives.run(
        program,
        codec.dumps({"pubs": list(pubs), "options": options}),
        backend,
        optimization_level=level,
        on_interim=parts.append,
    )
    if interim is not None:
        interim += [codec.loads(part) for part in parts]
    result = codec.loads(outcome.result)
    assert isinstance(result, PrimitiveResult)
    return result


def sample(backend: str, *pubs: list[Any], seed: int = 7, **settings: Any) -> PrimitiveResult:
    return run("sampler", backend, *pubs, simulator={"seed_simulator": seed}, **settings)


def estimate(backend: str, *pubs: list[Any], seed: int = 7, **settings: Any) -> PrimitiveResult:
    return run("estimator", backend, *pubs, simulator={"seed_simulator": seed}, **settings)


@cache
def whole_device(name: str) -> AerSimulator:
    """Give Aer with the noise of the whole device, in the plain way."""
    return AerSimulator.from_backend(device_noise.NoisyDevice(caches.target(name)))


@cache
def isa(name: str, circuit_of: Any) -> QuantumCircuit:
    target = caches.target(name)
    manager = generate_preset_pass_manager(1, target=target, seed_transpiler=5)
    return manager.run(circuit_of())


def ghz() -> QuantumCircuit:
    circuit = QuantumCircuit(4)
    circuit.h(0)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def delayed() -> QuantumCircuit:
    circuit = ghz()
    circuit.delay(200_000, 0, unit="dt")
    circuit.reset(1)
    circuit.measure_active()
    return circuit


def shots_of(circuit: QuantumCircuit, backend: AerSimulator, shots: int, seed: int) -> Any:
    sampler = BackendSamplerV2(backend=backend, options={"seed_simulator": seed})
    return sampler.run([(circuit,)], shots=shots).result()[0].data


# -- the noise is the device's -------------------------------------------------------------


@pytest.mark.parametrize("device", [SMALL, LARGE])
@pytest.mark.parametrize("circuit_of", [ghz, delayed])
def test_same_seed_same_shots_as_with_the_whole_noise_model(device: str, circuit_of: Any) -> None:
    circuit = isa(device, circuit_of)
    (ours,) = sample(device, [circuit, [], 2_000])
    theirs = shots_of(circuit, whole_device(device), 2_000, 7)
    for name, array in theirs.items():
        assert np.array_equal(ours.data[name].array, array.array), name
    ideal = shots_of(circuit, AerSimulator(), 2_000, 7)
    assert ours.data.meas.get_counts() != ideal.meas.get_counts(), "there is noise at all"


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


def test_the_readout_of_a_qubit_without_gates_is_noisy_too() -> None:
    """An observable may look at a qubit that the circuit leaves alone."""
    circuit = QuantumCircuit(5)
    circuit.x(0)
    observable = {"ZIIII": 1.0}
    (ours,) = estimate(SMALL, [circuit, observable, [], 0.01])
    estimator = BackendEstimatorV2(backend=whole_device(SMALL), options={"seed_simulator": 7})
    theirs = estimator.run([(circuit, observable)], precision=0.01).result()[0]
    assert float(ours.data.evs) == float(theirs.data.evs)
    assert float(ours.data.evs) < 1.0


# -- estimates are right within their error bars -------------------------------------------


def test_estimates_agree_with_the_exact_values_within_their_error() -> None:
    theta = Parameter("theta")
    circuit = QuantumCircuit(3)
    circuit.ry(theta, 0)
    circuit.cx(0, 1)
    circuit.rx(0.7, 2)
    observables: list[Any] = [[{"IIZ": 1.0}], [{"IXX": 0.5, "ZII": 2.0}], [{"YII": -1.5}]]
    angles = np.linspace(0.1, 3.0, 4)
    (result,) = estimate(IDEAL, [circuit, observables, angles.reshape(4, 1), 0.01])
    assert result.data.evs.shape == result.data.stds.shape == (3, 4)
    for row, (terms,) in enumerate(observables):
        for column, angle in enumerate(angles):
            state = Statevector(circuit.assign_parameters([angle]))
            exact = state.expectation_value(SparsePauliOp.from_list(list(terms.items()))).real
            std = max(result.data.stds[row, column], 1e-9)
            assert abs(result.data.evs[row, column] - exact) < 5 * std
            assert std < 0.05
    assert result.metadata["target_precision"] == 0.01


def test_a_single_value_is_an_array_without_dimensions() -> None:
    (result,) = estimate(IDEAL, [bell(), {"ZZ": 1.0}, [], 0.1])
    for value in (result.data.evs, result.data.stds):
        assert isinstance(value, np.ndarray)
        assert value.shape == ()
    assert float(result.data.evs) == 1.0


def test_the_error_shrinks_with_the_precision_asked_for() -> None:
    circuit = QuantumCircuit(1)
    circuit.h(0)
    stds = [
        float(estimate(IDEAL, [circuit, {"Z": 1.0}, [], precision])[0].data.stds)
        for precision in (0.1, 0.01)
    ]
    assert stds == pytest.approx([0.1, 0.01], rel=0.05)


def test_defaults_of_shots_and_precision() -> None:
    circuit = ghz()
    assert sample(IDEAL, [circuit])[0].data.meas.num_shots == 4096
    assert sample(IDEAL, [circuit, []], default_shots=11)[0].data.meas.num_shots == 11
    assert sample(IDEAL, [circuit, [], 5], default_shots=11)[0].data.meas.num_shots == 5
    pub = [bell(), {"ZZ": 1.0}]
    assert estimate(IDEAL, pub)[0].metadata["target_precision"] == 0.015625
    assert estimate(IDEAL, pub, default_precision=0.2)[0].metadata["target_precision"] == 0.2
    assert estimate(IDEAL, pub, default_shots=25)[0].metadata["target_precision"] == 0.2


def test_twirling_decides_for_pubs_that_name_nothing_in_both_programs() -> None:
    twirling = {"enable_gates": True, "num_randomizations": 10, "shots_per_randomization": 30}
    given: dict[str, Any] = {"twirling": twirling, "default_shots": 4096}
    named, unnamed = sample(IDEAL, [ghz(), [], 70], [ghz()], **given)
    assert (named.data.meas.num_shots, unnamed.data.meas.num_shots) == (70, 300)
    pubs = [[bell(), {"ZZ": 1.0}, [], 0.1], [bell(), {"ZZ": 1.0}]]
    named, unnamed = estimate(IDEAL, *pubs, **given)
    assert (named.metadata["shots"], unnamed.metadata["shots"]) == (100, 300)


def test_as_many_shots_as_the_device_takes() -> None:
    most = caches.recording(SMALL).configuration["max_shots"]
    (result,) = estimate(SMALL, [bell(), {"ZZ": 1.0}], default_shots=most)
    assert result.metadata["shots"] == most
    with pytest.raises(RejectedError, match=f"{most + 1} shots asked for; .* takes {most}"):
        estimate(SMALL, [bell(), {"ZZ": 1.0}], default_shots=most + 1)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "five", 2**63])
def test_what_is_no_seed_is_refused(seed: Any) -> None:
    with pytest.raises(RejectedError, match=r"seed_simulator is .*whole number"):
        sample(IDEAL, [ghz()], seed=seed)
    with pytest.raises(RejectedError, match=r"seed_estimator is .*whole number"):
        run("estimator", IDEAL, [bell(), {"ZZ": 1.0}], seed_estimator=seed)


@pytest.mark.parametrize("level", [0, 1, 3])
def test_bare_circuits_have_their_observables_laid_out(level: int) -> None:
    """Each qubit gets a value of its own, so a wrong order of qubits shows."""
    circuit = QuantumCircuit(4)
    angles = [0.0, 0.8, 1.6, 2.9]
    for qubit, angle in enumerate(angles):
        circuit.ry(angle, qubit)
    circuit.cx(0, 3)
    circuit.cx(1, 3)
    circuit.cx(1, 3)
    observables: list[Any] = [{"IIIZ": 1.0}, {"IIZI": 1.0}, {"IZII": 1.0}, {"ZIII": 1.0}]
    observables += [{"IIXI": 1.0}, {"IZZI": 1.0}]
    (result,) = estimate(LARGE, [circuit, observables, [], 0.02], level=level)
    state = Statevector(circuit)
    for value, terms in zip(result.data.evs, observables, strict=True):
        exact = state.expectation_value(SparsePauliOp.from_list(list(terms.items()))).real
        assert value == pytest.approx(exact, abs=0.15), terms


# -- circuits of all kinds -----------------------------------------------------------------


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


def test_gates_inside_a_branch_have_to_be_the_devices_too() -> None:
    circuit = QuantumCircuit(2, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.h(1)
    target = caches.target(LARGE)
    assert not in_instruction_set(circuit, target)
    manager = generate_preset_pass_manager(1, target=target, seed_transpiler=5)
    assert in_instruction_set(manager.run(circuit), target)


def test_the_devices_own_circuits_pass_untouched() -> None:
    device = Device(LARGE, 1)
    circuit = isa(LARGE, ghz)
    assert device._adapted(circuit, None).circuit is circuit
    bare = ghz()
    transpiled = device._adapted(bare, None).circuit
    assert transpiled is not bare
    assert transpiled.num_qubits == 27
    assert set(transpiled.count_ops()) <= {*device._target.operation_names, "barrier"}


def test_one_result_for_each_pub_and_each_but_the_last_as_soon_as_it_is_there() -> None:
    interim: list[Any] = []
    circuit = ghz()
    pubs = [[circuit, [], shots] for shots in (10, 20, 30)]
    result = sample(IDEAL, *pubs, interim=interim)
    assert [each.data.meas.num_shots for each in result] == [10, 20, 30]
    assert [each.data.meas.num_shots for each in interim] == [10, 20]
    assert interim[0].data.meas.get_counts() == result[0].data.meas.get_counts()


# -- what cannot run is refused by name ----------------------------------------------------


def test_a_circuit_that_is_too_wide_names_both_numbers() -> None:
    with pytest.raises(RejectedError, match=r"7 qubits; fake_manila has 5"):
        sample(SMALL, [QuantumCircuit(7, 1), [], 10])


def test_too_many_shots_name_both_numbers() -> None:
    limit = caches.recording(SMALL).configuration["max_shots"]
    with pytest.raises(RejectedError, match=f"{limit + 1} shots asked for; .* takes {limit}"):
        sample(SMALL, [ghz(), [], limit + 1])
    assert sample(SMALL, [isa(SMALL, ghz), [], limit])[0].data.meas.num_shots == limit
    with pytest.raises(RejectedError, match=f"1e-05 asked for, .* 10000000000 shots; .* {limit}"):
        estimate(SMALL, [bell(), {"ZZ": 1.0}, [], 1e-5])


@pytest.mark.parametrize(
    ("program", "pubs", "named"),
    [
        ("sampler", [[3, [], 10]], "circuit, not with 3"),
        ("sampler", [[]], "list"),
        ("sampler", ["text"], "'text'"),
        ("sampler", [[ghz(), [], 10, 5]], "one to 3"),
        ("sampler", [[ghz(), [0.5], 10]], r"\[0.5\]"),
        ("sampler", [[ghz(), [], 0]], "shots must be positive"),
        ("sampler", [[ghz(), [], -3]], "shots must be positive"),
        ("sampler", [[ghz(), [], "many"]], "shots must be an integer"),
        ("estimator", [[bell(), {"Z": 1.0}, [], 0.1]], "qubits"),
        ("estimator", [[bell(), {"ZA": 1.0}, [], 0.1]], "alphabet"),
        ("estimator", [[bell(), {"ZZ": 1.0}, [], 0]], "0.*more than 0"),
        ("estimator", [[bell(), {"ZZ": 1.0}, [], -1]], "[Pp]recision"),
        ("estimator", [[bell()]], "observable"),
    ],
)
def test_bad_pubs_are_refused_by_name(program: str, pubs: list[Any], named: str) -> None:
    with pytest.raises(RejectedError, match=named):
        run(program, IDEAL, *pubs)


@pytest.mark.parametrize(
    "params",
    [
        "{}",
        '{"pubs": 5}',
        '{"pubs": []}',
        '{"pubs": [[]], "options": 5}',
        '{"pubs": [[]], "options": {"simulator": 5}}',
        '{"pubs": [[{"__type__": "QuantumCircuit", "__value__": "AAAA"}]]}',
        '{"pubs": [[{"__type__": "Mystery", "__value__": 1}]]}',
        '{"__type__": "ndarray", "__value__": [1]}',
        "not json",
    ],
)
def test_params_that_cannot_be_read_are_refused(params: str) -> None:
    with pytest.raises(RejectedError):
        primitives.run("sampler", params, IDEAL, optimization_level=1, on_interim=lambda _: None)
