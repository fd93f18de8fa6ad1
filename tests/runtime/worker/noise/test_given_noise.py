"""A noise model in a job acts as in plain Aer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit_aer import AerSimulator
from qiskit_aer.noise import (
    NoiseModel,
    PauliLindbladError,
    ReadoutError,
    amplitude_damping_error,
    coherent_unitary_error,
    depolarizing_error,
    pauli_error,
    reset_error,
    thermal_relaxation_error,
)
from qiskit_ibm_runtime import RuntimeEncoder

from qsession_widget.errors import InvalidInputError
from qsession_widget.runtime.worker import primitives
from qsession_widget.runtime.worker.noise import given_noise
from qsession_widget.runtime.worker.outcome import RejectedError
from qsession_widget.wire import codec

if TYPE_CHECKING:
    from qiskit.primitives import PrimitiveResult

SEED = 11
SHOTS = 400


def every_kind() -> NoiseModel:
    """Return a model with each kind of error that Aer has, on all qubits and on some."""
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.05, 1), ["sx"])
    model.add_quantum_error(amplitude_damping_error(0.2), "x", [0])
    model.add_quantum_error(thermal_relaxation_error(50, 60, 20), "rz", [1])
    model.add_quantum_error(reset_error(0.1), "x", [1])
    model.add_quantum_error(pauli_error([("XZ", 0.1), ("II", 0.9)]), "cx", [0, 1])
    turn = np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])
    model.add_quantum_error(coherent_unitary_error(turn), "x", [2])
    model.add_quantum_error(PauliLindbladError(["XX", "ZI"], [0.05, 0.02]), "cx", [1, 2])
    model.add_all_qubit_readout_error(ReadoutError([[0.9, 0.1], [0.3, 0.7]]))
    model.add_readout_error(ReadoutError([[0.99, 0.01], [0.05, 0.95]]), [2])
    return model


def circuit() -> QuantumCircuit:
    found = QuantumCircuit(3)
    for qubit in range(3):
        found.x(qubit)
        found.sx(qubit)
        found.rz(0.3, qubit)
        found.sx(qubit)
    found.cx(0, 1)
    found.cx(1, 2)
    found.measure_all()
    return found


def forms(model: NoiseModel) -> dict[str, Any]:
    """Return each form that a model has on the wire."""
    return {
        "IBM's client": json.loads(json.dumps(model, cls=RuntimeEncoder)),
        "our client": json.loads(codec.dumps(model.to_dict())),
        "Aer's own JSON": model.to_dict(serializable=True),
    }


def run(program: str, backend: str, pubs: list[Any], model: Any, **options: Any) -> PrimitiveResult:
    simulator = {"seed_simulator": SEED, "noise_model": model, **options.pop("simulator", {})}
    params = codec.dumps({"pubs": pubs, "options": {"simulator": simulator, **options}})
    outcome = primitives.run(
        program, params, backend, optimization_level=1, on_interim=lambda _: None
    )
    found: PrimitiveResult = codec.loads(outcome.result)
    return found


@pytest.mark.parametrize("form", forms(NoiseModel()))
@pytest.mark.parametrize("backend", ["aer_simulator", "fake_manila"])
def test_a_given_model_gives_plain_aers_shots(backend: str, form: str) -> None:
    model = every_kind()
    plain = AerSimulator(noise_model=model)
    theirs = plain.run(circuit(), shots=SHOTS, seed_simulator=SEED, memory=True).result()
    result = run("sampler", backend, [[circuit(), [], SHOTS]], forms(model)[form])
    assert result[0].data.meas.get_bitstrings() == theirs.get_memory()
    assert "qsession" not in result.metadata


def test_models_are_kept_apart_and_equal_ones_are_one() -> None:
    angle = Parameter("angle")
    turned = QuantumCircuit(1, 1)
    turned.rx(angle, 0)
    turned.measure(0, 0)
    bare = QuantumCircuit(1)
    bare.rx(angle, 0)
    flipped, honest = NoiseModel(), NoiseModel()
    flipped.add_all_qubit_readout_error(ReadoutError([[0, 1], [1, 0]]))
    honest.add_all_qubit_readout_error(ReadoutError([[1, 0], [0, 1]]))
    pub = [turned, [0.0], 50]
    # The circuit is cached, but not what was prepared for another model.
    for model, read in ((flipped, "1"), (honest, "0"), (None, "0"), (flipped, "1")):
        given = None if model is None else model.to_dict()
        found = run("sampler", "aer_simulator", [pub], given)[0].data.c.get_counts()
        assert found == {read: 50}
        value = run("estimator", "aer_simulator", [[bare, "Z", [0.0], 0.1]], given)[0].data.evs
        assert float(value) == (-1.0 if read == "1" else 1.0)
    assert keys(every_kind()) & keys(every_kind())
    assert not keys(every_kind()) & keys(flipped)


def keys(model: NoiseModel) -> set[str]:
    found = set()
    for form in forms(model).values():
        read = codec.loads(json.dumps(form), opaque=primitives.OPAQUE_TYPES)
        given = given_noise.read(read)
        assert given is not None
        found.add(given.key)
    return found


@pytest.mark.parametrize(
    "value",
    [
        "foo",
        5,
        [],
        {"errors": 5},
        {"errors": [{}]},
        {"errors": [{"type": "magic"}]},
        {"errors": [{"type": "roerror", "probabilities": [[2, 3], [4, 5]]}]},
        {"__type__": "Other", "__value__": {"errors": []}},
    ],
)
def test_invalid_models_are_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="noise_model"):
        given_noise.read(value)
    with pytest.raises(RejectedError, match=r"noise_model|unknown type 'Other'"):
        run("sampler", "aer_simulator", [[circuit(), [], 1]], value)
