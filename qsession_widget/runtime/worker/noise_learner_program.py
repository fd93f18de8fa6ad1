"""The noise-learner program: returns the noise of layers of gates.

A real device's noise is learned from shots. A recorded device's noise is known, so the rates are
computed from the noise that its jobs run with: exactly, at once, and without statistical error.
As in an experiment, the noise of a layer is that of its gates and of the gates that twirl them.
There is no crosstalk, so that generators beyond the qubits of one gate have a rate of zero. Twirled
layers are defined only by packages of IBM, which are used as they are.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ibm_quantum_schemas.common import F64TensorModel
from qiskit import QuantumCircuit
from qiskit.circuit import QuantumRegister
from qiskit.circuit.library import IGate, SwapGate, SXGate
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import SparsePauliOp, SuperOp
from qiskit_ibm_runtime.json import RuntimeDecoder, RuntimeEncoder
from qiskit_ibm_runtime.noise_learner_v3.find_learning_protocol import find_learning_protocol
from qiskit_ibm_runtime.noise_learner_v3.learning_protocol import LearningProtocol
from qiskit_ibm_runtime.noise_learner_v3.params_converters import (
    NOISE_LEARNER_V3_PARAMS_CONVERTERS,
)
from qiskit_ibm_runtime.noise_learner_v3.validation import validate_instruction
from qiskit_ibm_runtime.results.noise_learner import LayerError, PauliLindbladError
from samplomatic.annotations import DecompositionMode, Twirl
from samplomatic.constants import SYMMETRIC_2Q_GATES
from samplomatic.transpiler import generate_boxing_pass_manager
from samplomatic.utils import get_annotation, undress_box

from qsession_widget.runtime.worker.device import SimulatedDevice
from qsession_widget.runtime.worker.limits import NO_LIMITS
from qsession_widget.runtime.worker.noise import lindblad
from qsession_widget.runtime.worker.outcome import Outcome, RejectedError
from qsession_widget.wire import codec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qiskit.circuit import BoxOp, CircuitInstruction, Operation
    from qiskit_aer.noise import NoiseModel

    from qsession_widget.runtime.worker.limits import Limits

DEFAULT_OPTIONS = {
    "max_layers_to_learn": 4,
    "shots_per_randomization": 128,
    "num_randomizations": 32,
    "layer_pair_depths": [0, 1, 2, 4, 16, 32],
    "twirling_strategy": "active-accum",
}
"""IBM's defaults. Only the first and the last matter here; the result repeats all of them."""

STRATEGIES = ("active", "active-accum", "active-circuit", "all")
BARRIER = "barrier"

Generator = tuple[str, tuple[int, ...]]
"""A Pauli: its letters other than I, and the qubit of each."""


class Gate(NamedTuple):
    """A gate of a layer."""

    name: str
    qubits: tuple[int, ...]
    angles: tuple[float, ...]


class Layer(NamedTuple):
    """Simultaneous gates, and all qubits that are twirled with them: places on the device.

    Attributes:
        dressing: by which gates a qubit is twirled, by samplomatic's name.
    """

    gates: tuple[Gate, ...]
    qubits: tuple[int, ...]
    dressing: str = DecompositionMode.RZSX.value


class LayerTerm(NamedTuple):
    """Generators that share a rate, on places of the device."""

    generators: tuple[Generator, ...]
    rate: float


def run(params: str, device_name: str, served_name: str, limits: Limits = NO_LIMITS) -> Outcome:
    """Compute the noise of the layers of a job.

    Args:
        params: JSON text of the job's `params`: circuits, or boxes in a schema of NoiseLearnerV3.
        device_name: name of the recorded device.
        served_name: name of the backend that the job was sent to.
        limits: of the runtime.

    Raises:
        RejectedError: for a payload that cannot be read or run on this device.
    """
    began = time.perf_counter()
    device = SimulatedDevice(device_name, optimization_level=0, limits=limits)
    version = json.loads(params).get("schema_version")
    if version is None:
        text = _of_circuits(params, device, served_name)
    elif version in NOISE_LEARNER_V3_PARAMS_CONVERTERS:
        text = _of_boxes(json.loads(params), version, device)
    else:
        known = ", ".join(NOISE_LEARNER_V3_PARAMS_CONVERTERS)
        raise RejectedError(f"schema_version is {version!r:.80}; known are {known}.")
    return Outcome(text, time.perf_counter() - began)


def _of_circuits(params: str, device: SimulatedDevice, served_name: str) -> str:
    """Answer NoiseLearner, which sends whole circuits."""
    with _reading():
        for text in _texts_of_circuits(json.loads(params)):
            codec.check_text(text)
        inputs = json.loads(params, cls=RuntimeDecoder)
        circuits, given = list(inputs["circuits"]), dict(inputs.get("options") or {})
    options = {name: given.get(name, value) for name, value in DEFAULT_OPTIONS.items()}
    strategy = options["twirling_strategy"]
    if strategy not in STRATEGIES:
        raise RejectedError(
            f"twirling_strategy is {strategy!r:.80}; allowed are {', '.join(STRATEGIES)}."
        )
    boxing = generate_boxing_pass_manager(
        enable_measures=False, twirling_strategy=strategy.replace("-", "_")
    )
    found: Counter[Layer] = Counter()
    for circuit in circuits:
        if not isinstance(circuit, QuantumCircuit):
            raise RejectedError(f"circuits holds {circuit!r:.80}; it has to hold circuits.")
        device.check(circuit)
        with _reading():
            found.update(_layers(boxing.run(circuit)))
    # The most frequent first, then those with more gates, as IBM's documentation promises.
    ordered = sorted(found, key=lambda layer: (-found[layer], -len(layer.gates)))
    errors = [_layer_error(each, device) for each in ordered[: options["max_layers_to_learn"]]]
    metadata = {"backend": served_name, "input_options": options}
    return json.dumps({"data": errors, "metadata": metadata}, cls=RuntimeEncoder)


def _layers(boxed: QuantumCircuit) -> Iterator[Layer]:
    """Yield the layers of a circuit in their order."""
    for instruction in boxed:
        if instruction.name == "box":
            places = [boxed.find_bit(qubit).index for qubit in instruction.qubits]
            layer = _layer(instruction.operation, places)
            if layer.gates:
                yield layer


def _layer(box: BoxOp, places: Sequence[int]) -> Layer:
    body = undress_box(box).body
    gates = [
        _gate(each, [places[body.find_bit(qubit).index] for qubit in each.qubits])
        for each in body
        if each.name != BARRIER
    ]
    twirl = get_annotation(box, Twirl)
    dressing = DecompositionMode.RZSX if twirl is None else twirl.decomposition
    return Layer(tuple(sorted(gates)), tuple(sorted(places)), dressing.value)


def _gate(instruction: CircuitInstruction, places: list[int]) -> Gate:
    if instruction.name in SYMMETRIC_2Q_GATES:
        places = sorted(places)
    return Gate(instruction.name, tuple(places), tuple(map(float, instruction.params)))


def _layer_error(layer: Layer, device: SimulatedDevice) -> LayerError:
    local = {place: index for index, place in enumerate(layer.qubits)}
    circuit = QuantumCircuit(len(local))
    for gate in layer.gates:
        circuit.append(_operation(gate, device), [local[at] for at in gate.qubits])
    sparse, rates = [], []
    for term in _terms(layer, device):
        for letters, places in term.generators:
            sparse.append((letters, [local[each] for each in places], 1.0))
            rates.append(term.rate)
    generators = SparsePauliOp.from_sparse_list(sparse, len(local)).paulis
    return LayerError(circuit, layer.qubits, PauliLindbladError(generators, rates))


def _of_boxes(inputs: dict[str, Any], version: str, device: SimulatedDevice) -> str:
    """Answer NoiseLearnerV3, which sends boxes."""
    converter = NOISE_LEARNER_V3_PARAMS_CONVERTERS[version]
    with _reading():
        boxes, options = converter.decoder(converter.model(**inputs))
        for each in boxes:
            validate_instruction(each, device.target)
    data = [_of_box(each, options.layer_pair_depths, device) for each in boxes]
    return json.dumps({"schema_version": version, "data": data})


def _of_box(
    box: CircuitInstruction, depths: Sequence[int], device: SimulatedDevice
) -> dict[str, Any]:
    """Return a NoiseLearnerV3ResultModel as a dict."""
    register = {
        qubit: index for index, qubit in enumerate(QuantumRegister(device.target.num_qubits, "q"))
    }
    layer = _layer(box.operation, [register[qubit] for qubit in box.qubits])
    terms: Sequence[LayerTerm]
    if find_learning_protocol(box) is LearningProtocol.TREX:
        terms = _readout_terms(layer, device)
        metadata = {"learning_protocol": "trex", "post_selection": _selection(1.0, {})}
    else:
        terms = _terms(layer, device)
        kept = dict.fromkeys(map(str, depths), 1.0)
        metadata = {
            "learning_protocol": "lindblad",
            "post_selection": _selection(kept, {depth: {} for depth in kept}),
        }
    # The client counts a box's qubits in the order of the device.
    local = {place: index for index, place in enumerate(layer.qubits)}
    return {
        "generators_sparse": [
            [(letters, [local[each] for each in places]) for letters, places in term.generators]
            for term in terms
        ],
        "num_qubits": len(local),
        "rates": _tensor([term.rate for term in terms]),
        "rates_std": _tensor([0.0] * len(terms)),
        "metadata": metadata,
    }


def _selection(kept: Any, success: Any) -> dict[str, Any]:
    """Return the post-selection metadata of a result from which no shot was discarded."""
    return {"fraction_kept": kept, "success_rates": success}


def _tensor(values: Sequence[float]) -> dict[str, Any]:
    document: dict[str, Any] = F64TensorModel.from_numpy(np.asarray(values)).model_dump(mode="json")
    return document


def _terms(layer: Layer, device: SimulatedDevice) -> list[LayerTerm]:
    """Return the terms of weight one and two, on single qubits and on neighbours."""
    model = _noise_model(layer, device)
    terms: list[LayerTerm] = []
    busy = {place for gate in layer.gates for place in gate.qubits}
    for gate in layer.gates:
        operation = _operation(gate, device)
        twirls = [_dressing_noise(layer, place, model) for place in gate.qubits]
        try:
            found = lindblad.gate_terms(operation, _noise(gate, model), before=twirls)
        except QiskitError as error:
            raise RejectedError(
                f"A layer holds {gate.name}{gate.angles or ''}, which is not of the Clifford "
                "group: its noise cannot be twirled."
            ) from error
        terms += [
            LayerTerm(tuple(_sparse(label, gate.qubits) for label in each.paulis), each.rate)
            for each in found
        ]
    for place in layer.qubits:
        if place not in busy:
            noise = _dressing_noise(layer, place, model)
            terms += [
                LayerTerm(((each.paulis[0], (place,)),), each.rate)
                for each in lindblad.gate_terms(IGate(), noise)
            ]
    known = {generator for term in terms for generator in term.generators}
    terms += [
        LayerTerm((generator,), 0.0)
        for generator in _local_generators(layer.qubits, device)
        if generator not in known
    ]
    return terms


def _readout_terms(layer: Layer, device: SimulatedDevice) -> list[LayerTerm]:
    """Return the rates of the bit flips with which the qubits are twirled and read."""
    model = _noise_model(layer, device)
    # Nothing public reads the errors of a noise model.
    errors = {} if model is None else model._local_readout_errors  # noqa: SLF001 - Aer has no public way to read them
    perfect = ((1.0, 0.0), (0.0, 1.0))
    return [
        LayerTerm(
            (("X", (place,)),),
            lindblad.readout_rate(errors[(place,)].probabilities if (place,) in errors else perfect)
            + lindblad.flip_rate(_dressing_noise(layer, place, model)),
        )
        for place in layer.qubits
    ]


def _noise_model(layer: Layer, device: SimulatedDevice) -> NoiseModel | None:
    """Return the noise that jobs on these qubits run with; None for an ideal simulator."""
    return device.simulator(observed=frozenset(layer.qubits)).options.noise_model


def _dressing_noise(layer: Layer, place: int, model: NoiseModel | None) -> SuperOp:
    """Return the noise of the gates that twirl a qubit before a layer.

    A twirled noise does not tell one RZ(0) from RZ(pi), which are all that Paulis need between the
    two gates SX. RZ itself has no error.
    """
    if layer.dressing == DecompositionMode.RZRX:
        return _noise(Gate("rx", (place,), ()), model)
    noise = _noise(Gate("sx", (place,), ()), model)
    turn = SuperOp(SXGate())
    return turn.adjoint().compose(noise).compose(turn).compose(noise)


def _noise(gate: Gate, model: NoiseModel | None) -> SuperOp:
    # Nothing public reads the errors of a noise model.
    errors = {} if model is None else model._local_quantum_errors.get(gate.name, {})  # noqa: SLF001 - Aer has no public way to read them
    if gate.qubits in errors:
        return SuperOp(errors[gate.qubits])
    if gate.name in SYMMETRIC_2Q_GATES and gate.qubits[::-1] in errors:
        # The device has the same gate with its qubits the other way round.
        swap = SuperOp(SwapGate())
        return swap.compose(SuperOp(errors[gate.qubits[::-1]])).compose(swap)
    return SuperOp(np.eye(4 ** len(gate.qubits)))


def _local_generators(qubits: Sequence[int], device: SimulatedDevice) -> Iterator[Generator]:
    for qubit in qubits:
        for letter in "XYZ":
            yield letter, (qubit,)
    coupling = device.target.build_coupling_map()
    edges = () if coupling is None else coupling.get_edges()
    within = set(qubits)
    for pair in sorted({tuple(sorted(edge)) for edge in edges if within.issuperset(edge)}):
        for letters in product("XYZ", repeat=2):
            yield "".join(letters), pair


def _sparse(label: str, places: Sequence[int]) -> Generator:
    """Parse a label whose last letter is on the first place."""
    found = sorted(
        (place, letter)
        for place, letter in zip(places, reversed(label), strict=True)
        if letter != "I"
    )
    return "".join(letter for _, letter in found), tuple(place for place, _ in found)


def _operation(gate: Gate, device: SimulatedDevice) -> Operation:
    operation = device.target.operation_from_name(gate.name)
    return operation.base_class(*gate.angles) if gate.angles else operation


def _texts_of_circuits(value: Any) -> Iterator[str]:
    """Yield the texts that IBM's decoder passes to QPY."""
    if isinstance(value, list):
        for each in value:
            yield from _texts_of_circuits(each)
    elif isinstance(value, dict):
        text = value.get("__value__")
        if value.get("__type__") in {"QuantumCircuit", "Instruction"} and isinstance(text, str):
            yield text
        for each in value.values():
            yield from _texts_of_circuits(each)


@contextmanager
def _reading() -> Iterator[None]:
    """Reject the job if a block that reads its params fails."""
    try:
        yield
    except Exception as error:
        # Damaged contents can raise any error inside pydantic, numpy, QPY or samplomatic.
        message = getattr(error, "message", None) or error
        raise RejectedError(f"The job's params cannot be read: {message}") from error
