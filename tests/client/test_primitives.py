"""Sampler and Estimator against a real runtime."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Parameter
from qiskit.circuit.library import efficient_su2
from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2, PrimitiveResult, StatevectorEstimator
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator

from qsession_widget import (
    BackendNotFoundError,
    Estimator,
    InvalidInputError,
    Options,
    Sampler,
    Session,
)
from qsession_widget.client.default_service import default_service
from tests.client.circuits import bell, rotated
from tests.client.spy import requests_seen

SIMULATOR = "aer_simulator"

pytestmark = pytest.mark.usefixtures("runtime")


# Where they run


def test_are_qiskits_primitives() -> None:
    assert isinstance(Sampler(SIMULATOR), BaseSamplerV2)
    assert isinstance(Estimator(SIMULATOR), BaseEstimatorV2)


def test_every_spelling_of_the_mode() -> None:
    backend = default_service().backend(SIMULATOR)
    with Session(backend=SIMULATOR) as session:
        assert Sampler(session).mode is session
        assert Sampler(mode=session).mode is session
        assert Sampler(session=session).mode is session
        assert Estimator().mode is session
    assert Sampler(mode=backend).mode is backend
    named = Estimator(SIMULATOR).mode
    assert named is not None
    assert not isinstance(named, Session)
    assert named.name == SIMULATOR


def test_without_a_mode_each_run_uses_the_current_session() -> None:
    sampler = Sampler(options={"default_shots": 1})
    assert sampler.run(bell()).backend().num_qubits == 156
    with Session(backend=SIMULATOR) as session:
        job = sampler.run(bell())
        assert session.jobs() == [job]
    assert sampler.run(bell()).session_id is None


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"mode": "fake_unknown"}, BackendNotFoundError, "no backend 'fake_unknown'"),
        ({"mode": 3}, InvalidInputError, "mode=3"),
        ({"mode": AerSimulator()}, InvalidInputError, "not a backend of a service"),
        ({"mode": SIMULATOR, "session": SIMULATOR}, InvalidInputError, "give one"),
        ({"options": {"shots": 5}}, InvalidInputError, "no option 'shots'"),
        ({"options": 5}, InvalidInputError, "options=5"),
    ],
    ids=str,
)
def test_bad_construction(arguments: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        Sampler(**arguments)


# Sampler


@pytest.mark.parametrize(
    ("pubs", "shots"),
    [
        (bell(), [4096]),
        ([bell()], [4096]),
        ([bell(), bell()], [4096, 4096]),
        ((bell(), bell()), [4096, 4096]),
        ((bell(), None, 7), [7]),
        ([(bell(), [], 7), (bell(),)], [7, 4096]),
        (SamplerPub.coerce((bell(), None, 9)), [9]),
        (iter([bell()]), [4096]),
    ],
    ids=str,
)
def test_a_sampler_takes_pubs_in_every_form(pubs: Any, shots: list[int]) -> None:
    result = Sampler(SIMULATOR).run(pubs).result()
    assert isinstance(result, PrimitiveResult)
    assert [pub.data.cr.num_shots for pub in result] == shots
    assert all(set(pub.data.cr.get_counts()) <= {"00", "11"} for pub in result)


def test_shots_from_the_nearest_place_that_names_them() -> None:
    sampler = Sampler(SIMULATOR, {"default_shots": 3})
    assert sampler.run(bell()).result()[0].data.cr.num_shots == 3
    result = sampler.run([bell(), (bell(), None, 5)], shots=4).result()
    assert [pub.data.cr.num_shots for pub in result] == [4, 5]
    sampler.options.default_shots = 6
    assert sampler.run(bell()).result()[0].data.cr.num_shots == 6


def test_values_are_broadcast_and_keep_their_places() -> None:
    circuit = rotated().measure_all(inplace=False)
    # a is 0 or pi, so the outcome is certain; b has no effect.
    a, b = np.meshgrid([0.0, np.pi, 0.0], [0.3, 0.4], indexing="ij")
    job = Sampler(SIMULATOR).run([(circuit, {"b": b, "a": a}, 11)])
    bits = job.result()[0].data.meas
    assert bits.shape == (3, 2)
    counts = [[bits.get_counts((i, j)) for j in range(2)] for i in range(3)]
    assert counts == [[{"0": 11}] * 2, [{"1": 11}] * 2, [{"0": 11}] * 2]


def test_the_circuit_keeps_its_names_on_the_way() -> None:
    job = Sampler("fake_manila").run(bell(), shots=1)
    circuit = job.inputs["pubs"][0][0]
    assert (circuit.name, circuit.qregs[0].name, circuit.cregs[0].name) == ("bell", "qr", "cr")
    assert list(job.result()[0].data) == ["cr"]


def test_a_seed_gives_the_same_shots_and_another_one_others() -> None:
    circuit = QuantumCircuit(5)
    circuit.h(range(5))
    circuit.measure_all()
    bits = [
        Sampler("fake_manila", Options(seed=seed)).run(circuit, shots=100).result()[0].data.meas
        for seed in (1, 1, 2)
    ]
    assert bits[0] == bits[1]
    assert bits[0] != bits[2]


def test_branches_count_as_measuring() -> None:
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(2)):
        circuit.measure(0, 0)
    assert Sampler(SIMULATOR).run(circuit, shots=5).result()[0].data.c.get_counts() == {"0": 5}


def test_circuits_that_cannot_be_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = QuantumCircuit(2, 2, name="silent")
    wide = QuantumCircuit(6, name="wide")
    wide.measure_all()
    free = rotated().measure_all(inplace=False)
    sampler = Sampler("fake_manila")
    seen = requests_seen(monkeypatch)
    for pubs, said in [
        (wide, "pub 0: circuit 'wide' has 6 qubits, and fake_manila has 5"),
        ([bell(), wide], "pub 1: circuit 'wide'"),
        (silent, "pub 0: circuit 'silent' measures nothing"),
        ([], "nothing to run"),
        (3, "pubs=3"),
        ([3], "pub 0: "),
        (free, "pub 0: .*number of values"),
        ([(free, [1.0])], "pub 0: "),
        ([(bell(), None, 0)], "pub 0: shots=0 is not allowed"),
        ([(bell(), None, 1.5)], "pub 0: shots=1.5 is not allowed"),
        ([bell(), (bell(), None, 100_001)], "pub 1: shots=100001, .* at most 100000"),
    ]:
        with pytest.raises(InvalidInputError, match=said):
            sampler.run(pubs)
    with pytest.raises(InvalidInputError, match="shots=-1 is not allowed"):
        sampler.run(bell(), shots=-1)
    assert seen == [], "nothing is sent that cannot run"


# Estimator


@pytest.mark.parametrize(
    ("observables", "expected"),
    [
        ("Z", np.cos(0.7)),
        (SparsePauliOp(["Z", "X"], [2.0, 1.0]), 2 * np.cos(0.7) + np.sin(0.7) * np.cos(0.2)),
        ({"X": 1.0}, np.sin(0.7) * np.cos(0.2)),
        (["Z", "X"], [np.cos(0.7), np.sin(0.7) * np.cos(0.2)]),
        ([["Z"], ["I"]], [[np.cos(0.7)], [1.0]]),
    ],
    ids=str,
)
def test_observables_in_every_form(observables: Any, expected: Any) -> None:
    job = Estimator(SIMULATOR).run((rotated(), observables, [0.7, 0.2], 0.01))
    data = job.result()[0].data
    assert data.evs.shape == data.stds.shape == np.shape(expected)
    # Six standard errors: a chance failure is one in 500 million values.
    np.testing.assert_allclose(data.evs, expected, atol=6 * 0.01 * 3)


def test_observables_and_values_are_broadcast() -> None:
    values = np.random.default_rng(5).uniform(0, np.pi, (4, 1, 2))
    observables = ["Z", "X", "Y"]
    pub = (rotated(), observables, values)
    data = Estimator(SIMULATOR).run([pub], precision=0.01).result()[0].data
    exact = StatevectorEstimator().run([pub]).result()[0].data.evs
    assert data.evs.shape == exact.shape == (4, 3)
    np.testing.assert_allclose(data.evs, exact, atol=0.06)


def test_observables_follow_the_qubits_of_a_bare_circuit() -> None:
    circuit = QuantumCircuit(QuantumRegister(4, "q"))
    circuit.x(3)
    circuit.cx(3, 0)
    observables = ["ZIII", "IIIZ", "IZII", "IIZI"]
    evs = Estimator("fake_manila").run((circuit, observables)).result()[0].data.evs
    assert np.sign(evs).tolist() == [-1, -1, 1, 1]


@pytest.mark.parametrize(
    ("pubs", "said"),
    [
        (
            [(QuantumCircuit(6, name="wide"), "ZZZZZZ")],
            "'wide' has 6 qubits, and fake_manila has 5",
        ),
        ([(QuantumCircuit(2), "Z")], "pub 0: .*number of qubits"),
        ([(rotated(), "Z")], "pub 0: .*number of values"),
        ([(rotated(), "Q", [0, 0])], "pub 0: "),
        ([(rotated(), "Z", [0, 0], -1.0)], "pub 0: precision"),
        ([(rotated(), ["Z", "X"], [[0, 0]] * 3)], "pub 0: .*not broadcastable"),
        (QuantumCircuit(1), "pub 0: .*a pub is .circuit, observables"),
        ([], "nothing to run"),
        ((rotated(), "Z", [1, 2], 1e-3), "pub 0: precision=0.001 takes 1000000 shots, .*100000"),
        ((rotated(), "Z", [1, 2], 1e-200), "pub 0: precision=1e-200 takes inf shots"),
    ],
    ids=str,
)
def test_pubs_that_cannot_be_estimated(
    pubs: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = Estimator("fake_manila")
    seen = requests_seen(monkeypatch)
    with pytest.raises(InvalidInputError, match=said):
        estimator.run(pubs)
    assert seen == []


# The wire


def sent_bodies(seen: list[tuple[str, str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [
        json.loads(rest["body"])
        for method, path, rest in seen
        if (method, path) == ("POST", "/jobs")
    ]


def test_the_request_body(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = requests_seen(monkeypatch)
    options = Options(optimization_level=2, default_shots=10, default_precision=0.5, seed=4)
    Sampler("fake_manila", options).run(bell()).result()
    Estimator(SIMULATOR, options).run((rotated(), "Z", [1, 2])).result()
    sampler, estimator = sent_bodies(seen)
    settings = {"default_shots": 10, "default_precision": 0.5, "simulator": {"seed_simulator": 4}}
    rest = {"version": 2, "support_qiskit": True}
    ((circuit, values, shots),) = sampler["params"].pop("pubs")
    assert (circuit["__type__"], values["__type__"], shots) == ("QuantumCircuit", "ndarray", None)
    assert sampler == {
        "program_id": "sampler",
        "params": {**rest, "options": {k: settings[k] for k in ("default_shots", "simulator")}},
        "backend": "fake_manila",
        "qsession": {"optimization_level": 2},
    }
    ((_, observables, _, precision),) = estimator["params"].pop("pubs")
    assert (observables, precision) == ({"Z": 1.0}, None)
    assert estimator == {
        "program_id": "estimator",
        "params": {**rest, "options": settings},
        "backend": SIMULATOR,
        "qsession": {"optimization_level": 2},
    }


def test_options_of_a_job_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = requests_seen(monkeypatch)
    environment = {"job_tags": ["a"], "log_level": "debug"}
    options = {"environment": environment, "max_execution_time": "5m", "resilience_level": 0}
    with Session(backend="fake_manila", tags=["lesson"]):
        job = Estimator(options=options).run((rotated(), "Z", [1, 2]))
    assert job.tags == ["lesson", "a"]
    (body,) = sent_bodies(seen)
    assert (body["cost"], body["log_level"]) == (300, "DEBUG")
    assert body["params"]["resilience_level"] == 0
    assert body["params"]["options"] == {}


@pytest.mark.parametrize(
    "options", [{"resilience_level": 1}, {"resilience": {"zne_mitigation": True}}]
)
def test_the_local_runtime_says_that_it_mitigates_nothing(options: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="does nothing about resilience") as warned:
        Estimator(SIMULATOR, options).run((rotated(), "Z", [1, 2]))
    assert warned[0].filename == __file__, "the warning points to the user's code"
    assert next(iter(options)) in str(warned[0].message)


# IBM takes only circuits in the device's instruction set. Here the runtime stands for IBM.


@pytest.mark.usefixtures("as_at_ibm")
def test_at_ibm_circuits_are_transpiled_here(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = requests_seen(monkeypatch)
    job = Sampler("fake_manila").run(bell(), shots=100)
    assert list(job.result()[0].data) == ["cr"]
    (circuit, _, _) = job.inputs["pubs"][0]
    assert circuit.num_qubits == 5
    assert set(circuit.count_ops()) <= {"rz", "sx", "x", "cx", "measure", "barrier"}
    assert "qsession" not in sent_bodies(seen)[0]


FRACTIONAL = {"rx", "rzz"}


@pytest.mark.usefixtures("as_at_ibm")
@pytest.mark.parametrize(("asked", "there"), [(None, False), (False, False), (True, True)])
def test_at_ibm_bare_circuits_do_without_fractional_gates_unless_they_were_asked_for(
    asked: bool | None, *, there: bool
) -> None:
    angle = Parameter("t")
    bare = QuantumCircuit(2)
    bare.h([0, 1])
    bare.rzz(angle, 0, 1)
    bare.rx(angle, 0)
    bare.measure_all()
    backend = default_service().backend("fake_fractional", use_fractional_gates=asked)
    assert backend.fractional_gates == ["rx", "rzz"]
    assert (set(backend.target.operation_names) >= FRACTIONAL) == (asked is not False)
    job = Sampler(backend).run([(bare, [0.5])])
    (circuit, _, _) = job.inputs["pubs"][0]
    assert bool(FRACTIONAL & set(circuit.count_ops())) == there


@pytest.mark.usefixtures("as_at_ibm")
def test_at_ibm_a_circuit_with_fractional_gates_goes_as_it_is() -> None:
    isa = QuantumCircuit(5)
    isa.rzz(0.5, 0, 1)
    isa.measure_all()
    job = Sampler("fake_fractional").run([isa])
    assert job.inputs["pubs"][0][0] == isa
    with pytest.raises(InvalidInputError, match="fake_manila has no such gates"):
        default_service().backend("fake_manila", use_fractional_gates=True)


@pytest.mark.usefixtures("as_at_ibm")
def test_at_ibm_observables_go_where_their_qubits_go() -> None:
    ansatz = efficient_su2(3, reps=1)
    values = np.linspace(0, 1, ansatz.num_parameters)
    pub = (ansatz, ["ZII", "IZI", "IIZ", "XXX"], values)
    job = Estimator("fake_manila", {"seed": 1}).run([pub])
    exact = StatevectorEstimator().run([pub]).result()[0].data.evs
    circuit, observables, _, _ = job.inputs["pubs"][0]
    assert circuit.num_qubits == 5
    assert all(len(pauli) == 5 for each in observables for pauli in each)
    # The device is noisy, but a wrong order of qubits would be off by far more.
    np.testing.assert_allclose(job.result()[0].data.evs, exact, atol=0.2)


@pytest.mark.usefixtures("as_at_ibm")
def test_at_ibm_a_circuit_that_fits_the_device_is_sent_as_it_is() -> None:
    backend = default_service().backend("fake_manila")
    circuit = transpile(bell(), backend, initial_layout=[3, 4], seed_transpiler=1)
    job = Sampler(backend).run(circuit, shots=10)
    assert job.inputs["pubs"][0][0] == circuit
    estimated = Estimator(backend).run((circuit.remove_final_measurements(inplace=False), "ZZIII"))
    assert estimated.inputs["pubs"][0][1] == {"ZZIII": 1.0}
    assert estimated.result()[0].data.evs > 0.5
