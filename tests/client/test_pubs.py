"""Pubs that run as intended, and pubs that are refused by name before they are sent."""

from __future__ import annotations

import base64
import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import (
    AnnotatedOperation,
    ControlModifier,
    InverseModifier,
    Parameter,
)
from qiskit.circuit.classical import types
from qiskit.circuit.library import AndGate, XGate
from qiskit.primitives import DataBin
from qiskit.quantum_info import SparseObservable, SparsePauliOp, Statevector
from qiskit_ibm_runtime import EstimatorV2 as OfficialEstimator
from qiskit_ibm_runtime import QuantumProgram
from qiskit_ibm_runtime import SamplerV2 as OfficialSampler
from qiskit_ibm_runtime.exceptions import IBMRuntimeError

from qsession_widget import (
    Estimator,
    Executor,
    InvalidInputError,
    JobFailedError,
    QiskitRuntimeService,
    Sampler,
)
from qsession_widget.client.default_service import default_service
from qsession_widget.local import process
from qsession_widget.wire import codec
from qsession_widget.wire.fields import API_PREFIX, RESULT_NAMES
from tests.client.circuits import bell, excited, rotated
from tests.client.spy import requests_seen

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("runtime")

SIMULATOR, DEVICE = "aer_simulator", "fake_manila"
A = Parameter("a")


def turned(angle: Any = A, *, measured: bool = True) -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.rx(angle, 0)
    if measured:
        circuit.measure_all()
    return circuit


# Circuits that QPY cannot hold


def test_gates_that_qpy_loses_run() -> None:
    circuit = QuantumCircuit(3, 1)
    circuit.x([0, 1])
    circuit.append(AndGate(2), [0, 1, 2])
    circuit.append(AnnotatedOperation(XGate(), [ControlModifier(1), InverseModifier()]), [0, 1])
    circuit.append(AnnotatedOperation(AndGate(2), [InverseModifier()]), [0, 1, 2])
    circuit.measure(2, 0)
    # The device's noise has its effect on so many gates.
    for device, least in ((SIMULATOR, 1000), (DEVICE, 700)):
        job = Sampler(device, {"seed": 1}).run([circuit, circuit], shots=1000)
        for pub in job.result():
            assert pub.data.c.get_counts()["1"] >= least


def test_the_runtime_explains_what_it_cannot_run() -> None:
    stretched = QuantumCircuit(1, 1)
    stretched.delay(stretched.add_stretch("wide"), 0)
    stretched.measure(0, 0)
    boxed = QuantumCircuit(1, 1)
    with boxed.box():
        boxed.x(0)
    boxed.measure(0, 0)
    for circuit, said in ((stretched, "stretch 'wide'"), (boxed, f"be transpiled for {DEVICE}")):
        with pytest.raises(JobFailedError, match=said):
            Sampler(DEVICE).run([circuit]).result()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:6] + bytes([12]) + data[7:], "QPY version 12; this service reads"),
        (lambda data: data[:18] + b"e" + data[19:], "symengine"),
    ],
)
@pytest.mark.parametrize("program", ["sampler", "noise-learner"])
def test_qpy_of_old_releases_is_refused(
    program: str, change: Callable[[bytes], bytes], said: str
) -> None:
    data = change(zlib.decompress(base64.b64decode(codec.encode_circuit(turned(0.1)))))
    text = base64.b64encode(zlib.compress(data)).decode()
    circuit = {"__type__": "QuantumCircuit", "__value__": text}
    params = {"pubs": [[circuit]]} if program == "sampler" else {"circuits": [circuit]}
    found = process.endpoint()
    answer = requests.post(
        f"{found.url}{API_PREFIX}/jobs",
        json={"program_id": program, "backend": DEVICE, "params": params},
        headers={"Authorization": f"Bearer {found.token}"},
        timeout=60,
    )
    job = default_service().job(answer.json()["id"])
    with pytest.raises(JobFailedError, match=said):
        job.result()


# Numbers


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_values_that_are_not_finite_are_refused(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler, estimator = Sampler(DEVICE), Estimator(DEVICE)
    executor = Executor(DEVICE)
    circuit, bare = turned(), turned(measured=False)
    program = QuantumProgram(10)
    program.append_circuit_item(circuit, circuit_arguments=np.array([[0.1], [value]]))
    runs: list[Callable[[], object]] = [
        lambda: sampler.run([(circuit, [value])]),
        lambda: sampler.run([(circuit, {A: [[0.1], [value]]})]),
        lambda: sampler.run([turned(value)]),
        lambda: sampler.run([(circuit, [0.1])], shots=value),  # type: ignore[arg-type] # on purpose
        lambda: estimator.run([(bare, "Z", [0.1, value])]),
        lambda: estimator.run([(bare, {"Z": value}, [0.1])]),
        lambda: estimator.run([(bare, [SparsePauliOp("Z", [value])], [0.1])]),
        lambda: estimator.run([(bare, "Z", [0.1])], precision=value),
        lambda: estimator.run([(bare, "Z", [0.1], value)]),
        lambda: executor.run(program),
    ]
    seen = requests_seen(monkeypatch)
    for run in runs:
        with pytest.raises(InvalidInputError, match=r"finite|precision=|shots="):
            run()
    assert [each for each in seen if each[0] == "POST"] == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_inputs_that_are_not_finite_are_refused(value: float) -> None:
    service = default_service()
    with pytest.raises(InvalidInputError, match="finite"):
        service.run("sampler", {"pubs": [], "options": {"x": value}}, {"backend": DEVICE})
    with pytest.raises(InvalidInputError, match="finite"):
        Sampler(SIMULATOR, {"experimental": {"x": value}}).run([bell()])


def test_inputs_of_ibms_client_are_checked_too() -> None:
    service = process.official_service()
    backend = service.backend(SIMULATOR)
    shape = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, "shape"))
    shape.measure(0, 0)
    waits = excited(1.5, unit="us")
    pubs: list[tuple[Any, str]] = [
        ((turned(), [math.nan]), "finite"),
        ((turned(1 / A), [0.0]), "no finite real value"),
        ((turned(A.log()), [-1.0]), "no finite real value"),
        (turned(math.nan), "finite"),
        (shape, "register 'shape'"),
        (waits, "delay in another unit than dt"),
    ]
    jobs = [OfficialSampler(backend).run([pub], shots=3).job_id() for pub, _ in pubs]
    for job_id, (_, said) in zip(jobs, pubs, strict=True):
        with pytest.raises(JobFailedError, match=said):
            default_service().job(job_id).result()
    with pytest.raises(IBMRuntimeError, match="Precision 1e-200"):
        OfficialEstimator(backend).run([(turned(0.1, measured=False), "Z")], precision=1e-200)


@pytest.mark.parametrize(
    ("shots", "value"), [(np.int64(5), np.float32(0.1)), (np.uint8(5), np.int64(2))]
)
def test_numbers_of_numpy_are_numbers(shots: Any, value: Any) -> None:
    found = Sampler(SIMULATOR).run([(turned(), [value]), (turned(), value, shots)], shots=shots)
    assert [pub.data.meas.num_shots for pub in found.result()] == [5, 5]
    estimated = Estimator(SIMULATOR).run(
        [(turned(measured=False), {"Z": np.float32(0.5)}, [value])],
        precision=np.float32(0.5),  # type: ignore[arg-type] # numpy's are none of Python's
    )
    assert abs(float(estimated.result()[0].data.evs)) <= 0.5


@pytest.mark.parametrize("backend", [SIMULATOR, "fake_manila"])
@pytest.mark.parametrize("seed", [None, 7])
def test_no_parameter_values_give_no_results(backend: str, seed: int | None) -> None:
    empty = np.zeros((0, 1))
    options = {"simulator": {"seed_simulator": seed}}
    job = Sampler(backend, options).run([(turned(), empty), (turned(), [0.0])], shots=5)
    assert [each.data.meas.shape for each in job.result()] == [(0,), ()]
    estimator = Estimator(backend, options)
    found = estimator.run([(turned(measured=False), "Z", empty)]).result()[0].data
    assert (found.evs.shape, found.stds.shape) == ((0,), (0,))


# Forms of pubs


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"b": [1.0]}, "no parameter 'b'; the circuit's parameters are 'a'"),
        ({"a": [1.0], "b": [1.0]}, "no parameter 'b'"),
        ({}, "no value for 'a'"),
        ({Parameter("b"): 1.0}, "no parameter 'b'"),
        ({3: 1.0}, "3 is neither a parameter"),
        (["one"], "pub 0: "),
        ([1j], "pub 0: "),
        ([10**400], "pub 0: "),
        ([object()], "pub 0: "),
    ],
    ids=str,
)
def test_values_that_do_not_fit_are_refused(values: Any, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        Sampler(SIMULATOR).run([(turned(), values)])
    with pytest.raises(InvalidInputError, match=said):
        Estimator(SIMULATOR).run([(turned(measured=False), "Z", values)])


@pytest.mark.parametrize(
    "observables", [[], np.zeros((0,)), None, 5, "Q", {}, {3: 1.0}, {"Z": "a"}, {"Z": 1j}], ids=str
)
def test_invalid_observables_are_refused(observables: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"pub 0: (?s:.*)(bservable|label|number)"):
        Estimator(SIMULATOR).run([(turned(0.1, measured=False), observables)])


@pytest.mark.parametrize(
    "pubs",
    [
        None,
        5,
        "text",
        b"bytes",
        {},
        {1: 2},
        [None],
        [5],
        ["x"],
        [()],
        [(None, [1.0])],
        [(bell(), None, 5, 6)],
        object(),
    ],
    ids=repr,
)
def test_invalid_pubs_are_refused(pubs: Any) -> None:
    for primitive in (Sampler(SIMULATOR), Estimator(SIMULATOR)):
        with pytest.raises(InvalidInputError, match="pub"):
            primitive.run(pubs)


def test_circuits_with_input_variables_are_refused() -> None:
    circuit = turned(0.1)
    circuit.add_input("given", types.Bool())
    with pytest.raises(InvalidInputError, match="input variables 'given'"):
        Sampler(SIMULATOR).run([circuit])


# Registers


@pytest.mark.parametrize("name", [*sorted(RESULT_NAMES), "two words", "1st", "class", "a.b", "a-b"])
def test_register_names_that_results_reserve_are_refused(name: str) -> None:
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, name))
    circuit.measure(0, 0)
    with pytest.raises(InvalidInputError, match="classical register") as caught:
        Sampler(SIMULATOR).run([circuit])
    assert repr(name) in str(caught.value)
    # An Estimator's result has no registers.
    circuit.remove_final_measurements()
    assert Estimator(SIMULATOR).run([(circuit, "Z")]).result()[0].data.evs == 1


def test_every_name_that_qiskits_results_reserve_is_known() -> None:
    assert RESULT_NAMES >= DataBin._RESTRICTED_NAMES
    assert {"self"} == RESULT_NAMES - DataBin._RESTRICTED_NAMES


def test_a_register_without_bits_is_refused() -> None:
    circuit = bell()
    circuit.add_register(ClassicalRegister(0, "none"))
    with pytest.raises(InvalidInputError, match=r"'none'.*no bits"):
        Sampler(SIMULATOR).run([circuit])


def test_other_register_names_are_allowed() -> None:
    names = ["data", "metadata", "__c", "é", "None_", "c0", "join_data", "meas"]
    circuit = QuantumCircuit(1)
    for name in names:
        circuit.add_register(ClassicalRegister(1, name))
    circuit.x(0)
    circuit.measure([0] * len(names), circuit.clbits)
    result = Sampler(SIMULATOR).run([circuit], shots=5).result()[0]
    assert all(result.data[name].get_counts() == {"1": 5} for name in names)
    # The register of an Estimator's own measurements avoids other names.
    assert Estimator(SIMULATOR).run([(circuit, "Z")]).result()[0].data.evs == -1


# Projectors

PROJECTORS = ["0+I", "r1Z", "X-l", "111", "+++", "I0I", "01+", "-rl", "ZZZ", "YXZ"]


def projected() -> QuantumCircuit:
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.ry(0.7, 1)
    circuit.cx(1, 2)
    circuit.rx(0.4, 2)
    return circuit


def exact(label: str) -> float:
    """Return the expectation value, computed from the state's projections one by one."""
    state = Statevector(projected())
    paulis = SparseObservable.from_list([(label, 1.0)]).as_paulis()
    return float(state.expectation_value(SparsePauliOp.from_sparse_observable(paulis)).real)


def test_projectors_are_estimated(place: str) -> None:
    observables = [SparseObservable.from_list([(each, 1.0)]) for each in PROJECTORS]
    sums = SparseObservable.from_list([("0+I", 2.0), ("XX-", -0.5), ("ZZZ", 0.25)])
    estimator = Estimator(SIMULATOR, {"seed": 4})
    job = estimator.run([(projected(), [*observables, sums], None, 0.01)])
    found = job.result()[0].data
    wanted = [exact(each) for each in PROJECTORS]
    wanted.append(2 * exact("0+I") - 0.5 * exact("XX-") + 0.25 * exact("ZZZ"))
    # The errors of a sum are added term by term, so they are not too small.
    assert np.all(np.abs(found.evs - wanted) <= 5 * found.stds + 1e-12), (place, found)
    for mean, spread in zip(wanted[: len(PROJECTORS)], found.stds, strict=False):
        if place == "local":
            # For values 0 and 1, or -1, 0 and 1: never more than for -1 and 1.
            assert spread <= 0.01 * math.sqrt(1 - mean**2) + 1e-3
    if place == "at IBM":
        ((_, sent, *_),) = job.inputs["pubs"]
        assert set("".join(label for each in sent for label in each)) <= set("IXYZ")


def test_an_unknown_letter_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="alphabet"):
        Estimator(SIMULATOR).run([(projected(), "0+q")])


def test_a_service_that_takes_only_paulis_is_not_sent_huge_sums(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    estimator = Estimator("fake_torino")
    monkeypatch.setattr(default_service(), "_features", frozenset())
    with pytest.raises(InvalidInputError, match="projectors on 30 qubits"):
        estimator.run([(QuantumCircuit(30), "0" * 30)])


def test_projectors_and_paulis_of_one_basis_are_read_from_the_same_shots() -> None:
    observables = ["Z", "0", "1", "X", "+"]
    job = Estimator(SIMULATOR, {"seed": 3}).run([(rotated(), observables, [0.4, 0.2])])
    z, zero, one, x, plus = job.result()[0].data.evs
    assert zero - one == pytest.approx(z)
    assert zero + one == pytest.approx(1)
    assert 2 * plus - 1 == pytest.approx(x)


def test_names_of_jobs_are_not_letters() -> None:
    service = QiskitRuntimeService("local")
    with pytest.raises(InvalidInputError, match="job_tags='abc'"):
        service.jobs(job_tags="abc")
