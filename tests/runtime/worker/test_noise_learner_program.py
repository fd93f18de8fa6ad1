"""The noise-learner program through the official client's own objects."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit.library import CXGate, CZGate, DCXGate, ECRGate, IGate, RZGate, SXGate
from qiskit.quantum_info import (
    PTM,
    Pauli,
    PauliLindbladMap,
    QubitSparsePauli,
    SuperOp,
    pauli_basis,
)
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, pauli_error
from qiskit_ibm_runtime.decoders.noise_learner import NoiseLearnerResultDecoder
from qiskit_ibm_runtime.decoders.noise_learner_v3.decoder import NoiseLearnerV3ResultDecoder
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from qiskit_ibm_runtime.json import RuntimeDecoder, RuntimeEncoder
from qiskit_ibm_runtime.noise_learner_v3.params_converters import (
    NOISE_LEARNER_V3_PARAMS_CONVERTERS,
)
from qiskit_ibm_runtime.options_models import NoiseLearnerV3Options
from samplomatic.transpiler import generate_boxing_pass_manager
from samplomatic.utils import find_unique_box_instructions

from qsession_widget.runtime.worker import noise_learner_program, primitives
from qsession_widget.runtime.worker.noise import lindblad
from qsession_widget.runtime.worker.outcome import RejectedError

if TYPE_CHECKING:
    from qiskit.circuit import CircuitInstruction, Gate

MANILA = FakeManilaV2()
NOISE = AerSimulator.from_backend(MANILA).options.noise_model
CX_NOISE = SuperOp(NOISE._local_quantum_errors["cx"][(0, 1)])


def noise_of(name: str, *qubits: int) -> SuperOp:
    return SuperOp(NOISE._local_quantum_errors[name][qubits])


TURNS = {"I": (np.pi, np.pi), "X": (0.0, 0.0), "Y": (np.pi, 0.0), "Z": (0.0, np.pi)}
"""The angles of RZ with which samplomatic makes each Pauli of two SX."""


def twirling(pauli: str, qubit: int) -> SuperOp:
    """Return how a device applies a Pauli to a qubit that it twirls: by RZ and two noisy SX."""
    found = SuperOp(np.eye(4))
    for turn in TURNS[pauli]:
        found = found.compose(RZGate(turn)).compose(SXGate()).compose(noise_of("sx", qubit))
    return found


def twirling_noise(qubit: int) -> SuperOp:
    """Return the noise of a qubit's twirling, after the Pauli."""
    found = [SuperOp(Pauli(each)).compose(twirling(each, qubit)) for each in TURNS]
    return sum(found[1:], found[0]) / len(found)


def terms_of(source: int, target: int) -> list[lindblad.Term]:
    """Return the terms of a layer of one CX."""
    before = [twirling_noise(source), twirling_noise(target)]
    return lindblad.gate_terms(CXGate(), noise_of("cx", source, target), before)


def twirled(channel: SuperOp) -> SuperOp:
    """Average over all Paulis, as twirling does."""
    paulis = [SuperOp(Pauli("".join(each))) for each in product("IXYZ", repeat=2)]
    return sum((each @ channel @ each for each in paulis), 0 * channel) / len(paulis)


@pytest.mark.parametrize(
    ("gate", "repeats"), [(CXGate(), 2), (CZGate(), 2), (ECRGate(), 2), (DCXGate(), 3)]
)
def test_rates_tell_how_fast_a_repeated_layer_decays(gate: Gate, repeats: int) -> None:
    found = lindblad.gate_terms(gate, CX_NOISE)
    terms = [(label, each.rate) for each in found for label in each.paulis]
    assert len(terms) == 15
    assert len(found) < 15
    assert all(rate >= 0 for _, rate in terms)
    learned = PauliLindbladMap.from_list(terms, num_qubits=2)
    # The noise is not a Pauli channel, but decays like one when it is twirled before each gate.
    layer = twirled(CX_NOISE) @ SuperOp(gate)
    decayed = np.abs(PTM(layer.power(repeats)).data.diagonal())
    expected = [
        learned.pauli_fidelity(QubitSparsePauli(each)) ** repeats for each in pauli_basis(2)
    ]
    assert max(decayed[1:]) < 0.99
    np.testing.assert_allclose(decayed, expected, atol=1e-6)


def test_a_learned_layer_is_the_twirled_one_with_the_noise_of_its_twirling() -> None:
    layers = []
    for one, two in product("IXYZ", repeat=2):
        # The first qubit is the last letter of a label.
        given = twirling(one, 1).tensor(twirling(two, 0))
        noisy = given.compose(CXGate()).compose(CX_NOISE)
        layers.append(noisy.compose(Pauli(one + two).evolve(CXGate(), frame="s")))
    layer = sum(layers[1:], layers[0]) / len(layers)
    decayed = np.abs(PTM(layer.power(2)).data.diagonal())
    learned = dict_of(of_circuits("fake_manila", [pair()]).data[0])
    known = PauliLindbladMap.from_list(list(learned.items()), num_qubits=2)
    expected = [known.pauli_fidelity(QubitSparsePauli(each)) ** 2 for each in pauli_basis(2)]
    np.testing.assert_allclose(decayed, expected, atol=2e-6)
    # The gate alone would be told from this.
    alone = [
        (label, each.rate)
        for each in lindblad.gate_terms(CXGate(), CX_NOISE)
        for label in each.paulis
    ]
    quiet = PauliLindbladMap.from_list(alone, num_qubits=2)
    assert quiet.pauli_fidelity(QubitSparsePauli("ZZ")) ** 2 - decayed[-1] > 1e-4


def pair() -> QuantumCircuit:
    circuit = QuantumCircuit(5)
    circuit.cx(0, 1)
    return circuit


def dict_of(error: Any) -> dict[str, float]:
    return dict(zip(error.error.generators.to_labels(), error.error.rates, strict=True))


def test_an_uninformative_measurement_has_a_finite_rate() -> None:
    assert lindblad.readout_rate([[1.0, 0.0], [0.0, 1.0]]) == 0
    assert lindblad.readout_rate([[0.9, 0.1], [0.1, 0.9]]) == pytest.approx(-np.log(0.8) / 2)
    assert np.isfinite(lindblad.readout_rate([[0.5, 0.5], [0.5, 0.5]]))


def chain() -> QuantumCircuit:
    """Return three layers, two of them alike."""
    circuit = QuantumCircuit(5)
    for pair in ((1, 0), (1, 2), (1, 0)):
        circuit.sx(pair[0])
        circuit.cx(*pair)
        circuit.barrier()
    return circuit


def of_circuits(device: str, circuits: Any, **options: Any) -> Any:
    params = json.dumps({"circuits": circuits, "options": options}, cls=RuntimeEncoder)
    outcome = noise_learner_program.run(params, device, "as_served")
    return NoiseLearnerResultDecoder.decode(outcome.result)


def test_circuits_are_answered_with_their_layers_the_most_frequent_first() -> None:
    found = of_circuits("fake_manila", [chain()], twirling_strategy="active")
    assert [each.qubits for each in found] == [[0, 1], [1, 2]]
    assert [each.circuit.data[0].name for each in found] == ["cx", "cx"]
    assert found[0].circuit.find_bit(found[0].circuit.data[0].qubits[0]).index == 1
    rates = dict(zip(found[0].error.generators.to_labels(), found[0].error.rates, strict=True))
    assert rates == pytest.approx(
        {
            # Of the gate on (1, 0), whose first qubit is the layer's second one.
            label[::-1]: each.rate
            for each in terms_of(1, 0)
            for label in each.paulis
        },
        abs=1e-7,
    )
    assert found.metadata["backend"] == "as_served"
    assert found.metadata["input_options"] == {
        **noise_learner_program.DEFAULT_OPTIONS,
        "twirling_strategy": "active",
    }


def test_qubits_beside_a_gate_have_the_noise_of_their_twirling() -> None:
    (first, second, third) = of_circuits("fake_manila", [chain()])
    assert sorted(len(each.qubits) for each in (first, second, third)) == [2, 3, 3]
    (layer,) = (
        each
        for each in (first, second, third)
        if each.circuit.num_qubits == 3 and each.circuit.data[0].qubits[1] == each.circuit.qubits[2]
    )
    labels = layer.error.generators.to_labels()
    # Three Paulis on each qubit, and nine on each pair of neighbours.
    assert len(set(labels)) == len(labels) == 3 * 3 + 2 * 9
    rates = dict_of(layer)
    beside = {label: rate for label, rate in rates.items() if label[-1] != "I"}
    alone = {label: rate for label, rate in beside.items() if label[:-1] == "II"}
    (place,) = {layer.qubits[0]}
    assert alone == pytest.approx(
        {
            f"II{each.paulis[0]}": each.rate
            for each in lindblad.gate_terms(IGate(), twirling_noise(place))
        },
        abs=1e-7,
    )
    assert sum(alone.values()) > 1e-5
    assert not any(rate for label, rate in beside.items() if label not in alone)


@pytest.mark.parametrize(("limit", "count"), [(0, 0), (1, 1), (None, 3)])
def test_no_more_layers_than_asked_for(limit: int | None, count: int) -> None:
    assert len(of_circuits("fake_manila", [chain()], max_layers_to_learn=limit)) == count


def test_a_symmetric_gate_that_is_recorded_the_other_way_round_has_its_noise() -> None:
    model = NoiseModel()
    # The first qubit of an instruction is the last letter of a label.
    model.add_quantum_error(pauli_error([("IX", 0.1), ("ZI", 0.2), ("II", 0.7)]), "cz", [1, 0])
    found = noise_learner_program._noise(noise_learner_program.Gate("cz", (0, 1), ()), model)
    expected = SuperOp(pauli_error([("XI", 0.1), ("IZ", 0.2), ("II", 0.7)]))
    assert found == expected


def test_an_ideal_simulator_has_no_noise() -> None:
    (layer, *_) = of_circuits("aer_simulator", [chain()])
    assert len(layer.error.rates) >= 15
    assert not layer.error.rates.any()


def boxes() -> list[CircuitInstruction]:
    manager = generate_preset_pass_manager(0, backend=MANILA)
    manager.post_scheduling = generate_boxing_pass_manager(inject_noise_site="after")
    circuit = QuantumCircuit(3)
    circuit.cx(2, 1)
    circuit.cx(1, 0)
    circuit.measure_all()
    found: list[CircuitInstruction] = find_unique_box_instructions(manager.run(circuit))
    return found


def of_boxes(version: str, instructions: list[CircuitInstruction]) -> Any:
    model = NOISE_LEARNER_V3_PARAMS_CONVERTERS[version].encoder(
        instructions, NoiseLearnerV3Options()
    )
    text = noise_learner_program.run(model.model_dump_json(), "fake_manila", "fake_manila").result
    return NoiseLearnerV3ResultDecoder.decode(text)


@pytest.mark.parametrize("version", list(NOISE_LEARNER_V3_PARAMS_CONVERTERS))
def test_boxes_are_answered_in_their_order(version: str) -> None:
    first, second, measured = of_boxes(version, boxes())
    for result, (source, target) in ((first, (2, 1)), (second, (1, 0))):
        assert result.metadata["learning_protocol"] == "lindblad"
        found = result.to_pauli_lindblad_map()
        assert found.num_qubits == 3
        for term in terms_of(source, target):
            on_device = [
                QubitSparsePauli.from_sparse_label((label[::-1], [source, target]), 3)
                if "I" not in label
                else QubitSparsePauli.from_sparse_label(
                    (label.replace("I", ""), [source if label[0] == "I" else target]), 3
                )
                for label in term.paulis
            ]
            # Generators that cannot be told apart stand together.
            assert any(
                sorted(map(str, each)) == sorted(map(str, on_device))
                and rate == pytest.approx(term.rate, abs=1e-7)
                for each, rate in zip(result._generators, result._rates, strict=True)
            )
        assert not result._rates_std.any()
    assert measured.metadata["learning_protocol"] == "trex"
    flips = measured.to_pauli_lindblad_map()
    assert (flips.num_qubits, flips.num_terms) == (3, 3)
    for qubit in range(3):
        (_, wrong), (other, _) = NOISE._local_readout_errors[(qubit,)].probabilities
        x = QubitSparsePauli.from_sparse_label(("Z", [qubit]), 3)
        kept = float(PTM(twirling_noise(qubit)).data[3, 3].real)
        assert flips.pauli_fidelity(x) == pytest.approx(kept * (1 - wrong - other))


def test_circuits_that_cannot_be_learned_are_refused() -> None:
    with pytest.raises(RejectedError, match=r"schema_version is 'v9'; known are v0\.1, "):
        noise_learner_program.run('{"schema_version": "v9"}', "fake_manila", "")
    with pytest.raises(RejectedError, match=r"cannot be read: 'circuits'"):
        noise_learner_program.run("{}", "fake_manila", "")
    with pytest.raises(RejectedError, match="it has to hold circuits"):
        of_circuits("fake_manila", [3])
    with pytest.raises(RejectedError, match="allowed are active, active-accum"):
        of_circuits("fake_manila", [chain()], twirling_strategy="never")
    with pytest.raises(RejectedError, match="not in the instruction set of fake_belem"):
        of_circuits("fake_belem", [bare()])
    with pytest.raises(RejectedError, match="cannot be read"):
        noise_learner_program.run('{"schema_version": "v0.3", "options": {}}', "fake_manila", "")


def test_a_gate_that_cannot_be_twirled_is_refused() -> None:
    circuit = QuantumCircuit(2)
    circuit.rzz(0.3, 0, 1)
    with pytest.raises(RejectedError, match=r"rzz"):
        of_circuits("fake_fractional", [circuit])


def bare() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def test_an_estimator_names_the_noise_it_was_given() -> None:
    learned = of_circuits("fake_manila", [chain()]).data
    inputs = {
        "pubs": [[chain(), {"ZIIII": 1.0}, [], 0.1]],
        "options": {"resilience": {"zne_mitigation": True, "layer_noise_model": learned}},
    }
    text = primitives.run(
        "estimator",
        json.dumps(inputs, cls=RuntimeEncoder),
        "fake_manila",
        optimization_level=0,
        on_interim=lambda _: None,
    ).result
    told = json.loads(text, cls=RuntimeDecoder).metadata["resilience"]
    # Nothing was mitigated, and the result says so.
    assert not told["zne_mitigation"]
    for before, after in zip(learned, told["layer_noise_model"], strict=True):
        assert (after.circuit, after.qubits) == (before.circuit, before.qubits)
        assert after.error.generators == before.error.generators
        assert after.error.rates.tolist() == before.error.rates.tolist()
