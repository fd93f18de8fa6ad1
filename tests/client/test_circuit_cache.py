"""Encoded circuits are cached, and never sent for a circuit that has changed since."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Delay, Gate, Parameter, ParameterVector, Qubit
from qiskit.circuit.classical import expr
from qiskit.circuit.library import CXGate, RZGate, real_amplitudes
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qsession_widget import Sampler, Session
from qsession_widget.client.circuits.circuit_cache import EncodedCircuits, encoded_circuits
from qsession_widget.wire.codec import decode_circuit, encode_circuit, loads
from tests.client.spy import requests_seen

if TYPE_CHECKING:
    from collections.abc import Callable


def circuit() -> QuantumCircuit:
    found = QuantumCircuit(QuantumRegister(2, "q"), ClassicalRegister(2, "c"), name="mine")
    found.rz(0.5, 0)
    found.rx(Parameter("t"), 0)
    found.cx(0, 1)
    found.barrier()
    found.reset(1)
    found.measure([0, 1], [0, 1])
    return found


def put(place: int, operation: Any) -> Callable[[QuantumCircuit], object]:
    def change(found: QuantumCircuit) -> None:
        found.data[place] = found.data[place].replace(operation=operation)

    return change


def own_gate() -> Gate:
    gate = Gate("cx", 2, [])
    gate.definition = QuantumCircuit(2)
    return gate


def stands_for(text: str, found: QuantumCircuit) -> bool:
    """Whether a text is a circuit's encoding. QPY writes layouts in no fixed order."""
    decoded = decode_circuit(text)
    layouts = [each.layout and each.layout.final_index_layout() for each in (decoded, found)]
    labels = [[one.label for one in each.data] for each in (decoded, found)]
    return bool(
        decoded == found
        and (decoded.name, decoded.metadata) == (found.name, found.metadata)
        and (decoded.global_phase, decoded.qregs) == (found.global_phase, found.qregs)
        and decoded.cregs == found.cregs
        and labels[0] == labels[1]
        and layouts[0] == layouts[1]
    )


CHANGES: dict[str, Callable[[QuantumCircuit], object]] = {
    "one more gate": lambda found: found.x(0),
    "one gate less": lambda found: found.data.pop(0),
    "the smallest other angle": put(0, RZGate(np.nextafter(0.5, 1))),
    "a label": put(0, RZGate(0.5, label="noisy")),
    "a label on two qubits": put(2, CXGate(label="noisy")),
    "another control state": put(2, CXGate(ctrl_state=0)),
    "a gate of one's own of the same name": put(2, own_gate()),
    "a delay": put(0, Delay(10)),
    "a value for a parameter": lambda found: found.assign_parameters([0.3], inplace=True),
    "a parameter of the same name": lambda found: found.assign_parameters(
        [Parameter("t")], inplace=True
    ),
    "a phase": lambda found: setattr(found, "global_phase", 1e-16),
    "a name": lambda found: setattr(found, "name", "yours"),
    "metadata": lambda found: found.metadata.update(a=1),
    "a register": lambda found: found.add_register(ClassicalRegister(1, "more")),
    "an alias of bits": lambda found: found.add_register(
        ClassicalRegister(name="alias", bits=found.clbits[:1])
    ),
    "a qubit": lambda found: found.add_bits([Qubit()]),
    "other qubits": lambda found: found.data.__setitem__(
        2, found.data[2].replace(qubits=found.qubits[::-1])
    ),
    "other bits": lambda found: found.data.__setitem__(
        6, found.data[6].replace(clbits=[found.clbits[0]])
    ),
    "a variable": lambda found: found.add_var("v", expr.lift(1)),
    "a layout": lambda found: setattr(
        found,
        "_layout",
        transpile(circuit(), coupling_map=[[0, 1], [1, 0]], initial_layout=[1, 0]).layout,
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_circuit_that_was_changed_is_encoded_again(what: str) -> None:
    kept, sent = EncodedCircuits(), circuit()
    texts = [kept.text(sent) for _ in range(3)]
    assert texts == [encode_circuit(sent)] * 3
    assert kept.hits == 1
    CHANGES[what](sent)
    assert encode_circuit(sent) != texts[0]
    for _ in range(3):
        assert stands_for(kept.text(sent), sent)


def test_each_state_of_a_circuit_is_encoded_once() -> None:
    kept, sent = EncodedCircuits(), circuit()
    for state in range(5):
        sent.x(0)
        assert {kept.text(sent) for _ in range(4)} == {encode_circuit(sent)}
        # A circuit is cached at its second use: most are sent once.
        assert kept.hits == 3 * state + 2


def with_branches() -> QuantumCircuit:
    found = circuit()
    with found.if_test((found.clbits[0], 1)):
        found.x(1)
    return found


def with_own_gate() -> QuantumCircuit:
    found = circuit()
    found.append(own_gate(), [0, 1])
    return found


def with_delay() -> QuantumCircuit:
    found = circuit()
    found.delay(10, 0)
    return found


@pytest.mark.parametrize(
    ("made", "change"),
    [
        (with_branches, lambda found: found.data[-1].operation.blocks[0].y(0)),
        (with_own_gate, lambda found: found.data[-1].operation.definition.h(0)),
        (with_delay, put(-1, Delay(11))),
    ],
)
def test_circuits_with_undetectable_changes_are_encoded_every_time(
    made: Callable[[], QuantumCircuit], change: Callable[[QuantumCircuit], object]
) -> None:
    kept, sent = EncodedCircuits(), made()
    for _ in range(3):
        assert kept.text(sent) == encode_circuit(sent)
    change(sent)
    assert kept.text(sent) == encode_circuit(sent)
    assert kept.hits == 0


def test_transpiled_circuits_with_vectors_of_parameters_are_kept() -> None:
    bare = real_amplitudes(4, parameter_prefix="x")
    bare.compose(QuantumCircuit(4).assign_parameters({}), inplace=True)
    angles = ParameterVector("y", 2)
    bare.rz(angles[0] + 2 * angles[1], 0)
    bare.measure_all()
    sent = transpile(bare, FakeManilaV2(), optimization_level=1, seed_transpiler=1)
    kept = EncodedCircuits()
    for _ in range(4):
        assert stands_for(kept.text(sent), sent)
    assert kept.hits == 2
    other = sent.copy()
    assert stands_for(kept.text(other), sent)
    assert kept.hits == 2, "another object is another circuit"


def test_an_entry_is_dropped_with_its_circuit() -> None:
    kept = EncodedCircuits()
    for _ in range(50):
        sent = circuit()
        for _ in range(2):
            kept.text(sent)
    assert len(kept) > 0
    del sent
    gc.collect()
    assert len(kept) == 0


def test_the_cache_is_bounded_in_bytes() -> None:
    sent = []
    for _ in range(20):
        long = circuit()
        for _ in range(50):
            long.rz(0.5, 0)
        sent.append(long)
    kept = EncodedCircuits(most_bytes=100_000)
    for each in sent:
        assert [kept.text(each) for _ in range(3)] == [encode_circuit(each)] * 3
    assert kept.hits == 20, "a new entry evicts the oldest one"
    for each in reversed(sent):
        kept.text(each)
    newest = kept.hits - 20
    assert 2 <= newest <= 8, "of 11 kB each"
    small = EncodedCircuits(most_bytes=10_000)
    assert [small.text(sent[0]) for _ in range(3)] == [encode_circuit(sent[0])] * 3
    assert small.hits == 0, "an entry larger than the cache is not kept"


def test_threads_share_the_cache() -> None:
    kept = EncodedCircuits()
    sent = [real_amplitudes(n + 2) for n in range(8)]
    wanted = [encode_circuit(each) for each in sent]
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: [kept.text(each) for each in sent], range(40)):
            assert found == wanted
    assert kept.hits > 200


@pytest.mark.usefixtures("runtime")
def test_an_iteration_sends_cached_text(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = real_amplitudes(2)
    sent.measure_all()
    with Session(backend="aer_simulator") as session:
        sampler = Sampler(mode=session)
        before = encoded_circuits.hits
        seen = requests_seen(monkeypatch)
        jobs = [sampler.run([(sent, [n / 10] * 8, 100)]) for n in range(4)]
        assert encoded_circuits.hits == before + 2
        bodies = [loads(rest["body"]) for _, path, rest in seen if path == "/jobs"]
        for number, body in enumerate(bodies):
            found, values, _ = body["params"]["pubs"][0]
            assert found == sent
            assert values.tolist() == [number / 10] * 8
        sent.data.insert(0, sent.data[0].replace(operation=RZGate(0.1)))
        jobs.append(sampler.run([(sent, [0.1] * 8, 100)]))
        changed, _, _ = loads(seen[-1][2]["body"])["params"]["pubs"][0]
        assert changed == sent
        for job in jobs:
            assert job.result()[0].data.meas.num_shots == 100
