"""The noise model of a job's own options: `options.simulator.noise_model`.

On the wire it is the dict of `NoiseModel.to_dict`, with or without the tag that IBM's client puts
on it. That form has no noise of delays, which Aer stores separately.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Instruction
from qiskit.circuit.library import PauliGate, UnitaryGate
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit.quantum_info import Kraus
from qiskit_aer.noise import NoiseModel, PauliLindbladError, QuantumError, ReadoutError

from qsession_widget.errors import InvalidInputError
from qsession_widget.wire import codec

if TYPE_CHECKING:
    from qiskit.circuit import Operation

TAG = "NoiseModel"
"""How IBM's client tags a model."""

_DIMENSIONS = 2
"""Dimensions of a matrix; there is one more if complex numbers are pairs, as in Aer's own JSON."""


class GivenNoise(NamedTuple):
    """A noise model and its key in the caches; equal models have equal keys."""

    model: NoiseModel
    key: str


def read(value: Any) -> GivenNoise | None:
    """Parse the option as it is on the wire; None if there is none.

    Raises:
        InvalidInputError: for a value that is not a noise model.
    """
    if value is None:
        return None
    document = value
    if isinstance(value, dict) and "__type__" in value:
        document = value.get("__value__") if value["__type__"] == TAG else None
    errors = document.get("errors", []) if isinstance(document, dict) else None
    if not isinstance(errors, list):
        raise InvalidInputError(
            f"options.simulator.noise_model is {value!r:.80}; it has to be what "
            "NoiseModel.to_dict() of Aer gives."
        )
    model = NoiseModel()
    try:
        for each in errors:
            _add(model, each)
        nameless = [{name: part for name, part in each.items() if name != "id"} for each in errors]
        digest = hashlib.sha256(codec.dumps(nameless).encode()).hexdigest()
    except Exception as error:
        # Damaged contents can raise any error inside numpy, Qiskit or Aer.
        message = getattr(error, "message", None) or error
        raise InvalidInputError(
            f"options.simulator.noise_model cannot be read: {type(error).__name__}: {message}"
        ) from error
    return GivenNoise(model, digest)


def _add(model: NoiseModel, error: dict[str, Any]) -> None:
    places = error.get("gate_qubits")
    if error["type"] == "roerror":
        readout = ReadoutError(error["probabilities"])
        if places is None:
            model.add_all_qubit_readout_error(readout, warnings=False)
        for qubits in places or ():
            model.add_readout_error(readout, qubits, warnings=False)
        return
    if error["type"] == "qerror":
        circuits = [_circuit(each) for each in error["instructions"]]
        found = QuantumError(zip(circuits, map(float, error["probabilities"]), strict=True))
    elif error["type"] == "plerror":
        found = PauliLindbladError.from_dict(error)
    else:
        raise InvalidInputError(f"{error['type']!r:.80} is not a type of error")
    if places is None:
        model.add_all_qubit_quantum_error(found, error["operations"], warnings=False)
    for qubits in places or ():
        model.add_quantum_error(found, error["operations"], qubits, warnings=False)


def _circuit(instructions: list[dict[str, Any]]) -> QuantumCircuit:
    width = max(max(each["qubits"]) for each in instructions) + 1
    circuit = QuantumCircuit(width)
    for each in instructions:
        circuit.append(_operation(each["name"], each.get("params", [])), each["qubits"])
    return circuit


def _operation(name: str, params: list[Any]) -> Operation:
    if name == "kraus":
        matrices = [_matrix(each) for each in params]
        qubits = Kraus(matrices).num_qubits
        return Instruction("kraus", qubits, 0, matrices)
    if name == "unitary":
        return UnitaryGate(_matrix(params[0]))
    if name == "pauli":
        return PauliGate(params[0])
    known = get_standard_gate_name_mapping().get(name)
    if known is None:
        raise InvalidInputError(f"{name!r:.80} is not an instruction that an error can have")
    return known.base_class(*params) if params else known


def _matrix(value: Any) -> Any:
    """Return a matrix of complex numbers, which Aer's own JSON writes as pairs."""
    found = np.asarray(value)
    if found.ndim == _DIMENSIONS + 1:
        return found[..., 0] + 1j * found[..., 1]
    return found.astype(complex)
