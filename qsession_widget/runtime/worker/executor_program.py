"""The executor program: runs a quantum program of circuits and samplexes.

Its meaning is defined only by two packages of IBM: the schemas of ibm-quantum-schemas, and the
converters and the sampling of qiskit-ibm-runtime. Those are used as they are.
"""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime
from functools import partial
from itertools import islice, product
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ibm_quantum_schemas.common import CompressedTensorModel, TensorModel
from ibm_quantum_schemas.executor import (
    version_0_1,
    version_0_2,
    version_1_0,
    version_1_1,
    version_2_0,
)
from qiskit import QuantumCircuit
from qiskit_ibm_runtime.fake_provider.executor.broadcast_sample import broadcast_sample
from qiskit_ibm_runtime.options_models import ExecutorOptions
from qiskit_ibm_runtime.options_models.simulator import SimulatorOptions
from qiskit_ibm_runtime.quantum_program import QuantumProgram
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS
from samplomatic import Twirl, build

from qsession_widget.runtime.worker import progress
from qsession_widget.runtime.worker.aer import Executable, Part, Run, execute
from qsession_widget.runtime.worker.circuits import components, lone_qubits, measure_variants
from qsession_widget.runtime.worker.device import (
    QUBITS_TOGETHER,
    Divided,
    Piece,
    SimulatedDevice,
    caches,
)
from qsession_widget.runtime.worker.inputs import seeds
from qsession_widget.runtime.worker.inputs.batches import batches
from qsession_widget.runtime.worker.limits import NO_LIMITS
from qsession_widget.runtime.worker.outcome import Outcome, RejectedError
from qsession_widget.runtime.worker.results import bit_arrays, program_summary
from qsession_widget.wire import ignored_options
from qsession_widget.wire.fields import CLASSIFIED, EXTRA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from samplomatic.quantum_program import CircuitItem, SamplexItem

    from qsession_widget.runtime.worker.circuits.lone_qubits import LoneQubits
    from qsession_widget.runtime.worker.limits import Limits

RESULTS = {
    "v0.1": version_0_1.QuantumProgramResultModel,
    "v0.2": version_0_2.QuantumProgramResultModel,
    "v1.0": version_1_0.QuantumProgramResultModel,
    "v1.1": version_1_1.QuantumProgramResultModel,
    "v2.0": version_2_0.QuantumProgramResultModel,
}
"""The model of a result, by the version of the schema in which a program comes."""

_WITHOUT_ITEM_METADATA = "v0.1"
_COMPRESSED = "v2.0"

_QUARTER_TURN = math.pi / 2


def run(params: str, device_name: str, limits: Limits = NO_LIMITS) -> Outcome:
    """Run a quantum program with the noise of a device.

    Args:
        params: JSON text of the job's `params`, in any schema that qiskit-ibm-runtime converts.
        device_name: name of the recorded device.
        limits: of the runtime.

    Raises:
        RejectedError: for a payload that cannot be read or run on this device.
    """
    inputs = json.loads(params)
    program, options = _read(inputs)
    device = SimulatedDevice(device_name, optimization_level=0, limits=limits)
    device.check_shots(program.shots)
    experimental = options.experimental or {}
    seed = seeds.checked("experimental.seed_simulator", experimental.get("seed_simulator"))
    # With a seed the shots are those of the whole circuit.
    ready = [
        _ready(circuit, device, text, whole=seed is not None)
        for circuit, text in _circuits(inputs, program)
    ]
    supply, generator = seeds.Seeds(seed), np.random.default_rng(seed)
    progress.expect(sum(len(each.pieces) + (each.lone is not None) for each in ready))
    began = time.perf_counter()
    data: list[dict[str, Any]] = []
    chunks: list[_Chunk] = []

    def read(given: tuple[CircuitItem | SamplexItem, Divided]) -> _Drawn:
        item, own = given
        values, arrays = _drawn(item, generator)
        rows = _rounded(values).reshape(math.prod(item.shape), item.circuit.num_parameters)
        registers = bit_arrays.Registers(item.circuit, program.shots)
        parts = [
            Part(
                each.executable,
                [Run(0, row) for row in rows[:, each.columns].tolist()],
                registers.read,
            )
            for each in own.pieces
        ]
        return _Drawn(item, arrays, parts, registers, own.lone, rows, supply.take(len(rows)))

    together = zip(program.items, ready, strict=True)
    for batch in batches(together, read, alike=lambda _one, _other: True):
        start, lone = _sampled(batch, program.shots, generator)
        found = execute(
            [part for each in batch for part in each.parts],
            shots=program.shots,
            seed=batch[0].seed,
            # Without a seed the order of the shots does not matter.
            memory=seed is not None,
        )
        first, results = len(data), iter(found)
        for each, bits in zip(batch, lone, strict=True):
            data.append(_bits(each, list(islice(results, len(each.parts))), bits, program.shots))
        spans = [executable.ran for each in batch for executable, *_ in each.parts]
        stop = max((each for _, each in spans), default=datetime.now(UTC))
        chunks.append(_Chunk(range(first, len(data)), start or spans[0][0], stop))
    busy_seconds = time.perf_counter() - began
    answer = _answer(inputs, program, data, chunks)
    role = inputs["quantum_program"].get("semantic_role")
    summary = program_summary.of_program(role, data, answer)
    return Outcome(answer, busy_seconds, summary)


def warm(device_name: str) -> Iterator[None]:
    """Make the process ready for programs on a device, and yield after each step.

    The noise of the qubits that a template of a random circuit turns alone is written out; then a
    program of one shot runs.
    """
    circuit = QuantumCircuit(1, 1)
    with circuit.box([Twirl()]):
        circuit.measure(0, 0)
    template, samplex = build(circuit)
    device = SimulatedDevice(device_name, optimization_level=0)
    yield
    blocks = range(-(-(device.target.num_qubits or 0) // QUBITS_TOGETHER))
    for name, block in product(template.count_ops(), blocks):
        device.noise_alone(name, block).write()
        yield
    program = QuantumProgram(1)
    program.append_samplex_item(template, samplex=samplex, shape=(1,))
    convert = QUANTUM_PROGRAM_PARAMS_CONVERTERS[_COMPRESSED]
    run(convert.encoder(program, ExecutorOptions()).model_dump_json(), device_name)
    yield


class _Drawn(NamedTuple):
    """An item whose values are drawn.

    Attributes:
        item: as it was asked for.
        arrays: what was drawn besides the values of parameters, by name.
        parts: each piece of the circuit with its runs, one for each element of the item.
        registers: the circuit's, read from these.
        lone: the qubits that need no simulator.
        rows: the values of the circuit's parameters in each run.
        seed: of the first run; None for no seed.
    """

    item: CircuitItem | SamplexItem
    arrays: dict[str, Any]
    parts: list[Part]
    registers: bit_arrays.Registers
    lone: LoneQubits | None
    rows: np.ndarray[Any, Any]
    seed: int | None


class _Chunk(NamedTuple):
    """Items that ran in one call, by their places, and when."""

    items: range
    start: datetime
    stop: datetime


def _sampled(
    batch: Sequence[_Drawn], shots: int, generator: np.random.Generator
) -> tuple[datetime | None, list[np.ndarray[Any, Any] | None]]:
    """Return what each shot reads of the qubits that need no simulator, for each item.

    Returns:
        When that began, None if there are no such qubits; and the bits of each item, None likewise.
    """
    count = sum(each.lone is not None for each in batch)
    if not count:
        return None, [None] * len(batch)
    with progress.on_device(count):
        start = datetime.now(UTC)
        found = [
            None if each.lone is None else each.lone.sample(each.rows, shots, generator)
            for each in batch
        ]
    return start, found


def _bits(
    drawn: _Drawn,
    results: Sequence[list[Any]],
    lone: np.ndarray[Any, Any] | None,
    shots: int,
) -> dict[str, Any]:
    """Return the arrays of an item's result: what was drawn, and the bits of each register.

    Args:
        drawn: the item.
        results: what was read of the runs of each of its parts. Each has bits of its own.
        lone: the bits of qubits that need no simulator.
        shots: of each run.
    """
    item, circuit = drawn.item, drawn.item.circuit
    whole = np.zeros((*item.shape, shots, circuit.num_clbits), dtype=bool)
    if lone is not None and drawn.lone is not None:
        whole[..., drawn.lone.bits] = lone.reshape(*item.shape, *lone.shape[1:])
    read = [drawn.registers.arrays(each, item.shape) for each in results]
    found = dict(drawn.arrays)
    for register in circuit.cregs:
        where = bit_arrays.places(circuit, register)
        # A slice copies nothing.
        chosen = slice(where.start, where.stop) if isinstance(where, range) else where
        bits = whole[..., chosen]
        for each in read:
            bits |= each[register.name].to_bool_array(order="little")
        found[register.name] = bits
    return found


def _circuits(
    inputs: dict[str, Any], program: QuantumProgram
) -> Iterator[tuple[QuantumCircuit, str]]:
    """Yield each item's circuit, and a text that is the same for equal circuits only."""
    given = inputs["quantum_program"]
    shared = json.dumps(given["circuits"]) if "circuits" in given else None
    for place, (item, document) in enumerate(zip(program.items, given["items"], strict=True)):
        text = json.dumps(document["circuit"]) if shared is None else f"{place} {shared}"
        yield item.circuit, text


def _ready(circuit: QuantumCircuit, device: SimulatedDevice, text: str, *, whole: bool) -> Divided:
    """Return a circuit ready to run, from the caches if an equal one ran before.

    Raises:
        RejectedError: for a circuit that the device cannot run as it is.
    """

    def make() -> Divided:
        device.check(circuit)
        plain = measure_variants.plain(circuit)
        division = None if whole else components.divided(plain)
        if division is None:
            in_order = list(range(plain.num_parameters))
            return Divided([Piece(Executable([plain], device.simulator(plain)), in_order)], None)
        pieces = [
            Piece(Executable([part], device.simulator(part)), columns)
            for part, columns in division.parts
        ]
        if not division.lone:
            return Divided(pieces, None)
        errors = device.errors_alone(lone_qubits.uses(division.lone))
        return Divided(pieces, lone_qubits.LoneQubits(plain, division.lone, errors))

    # Templates of samplexes are rebuilt for each job, with another name and other parameters.
    content = caches.circuits.key_of(circuit, text)
    return caches.programs.get((device.name, content, whole), make)


def _read(inputs: dict[str, Any]) -> tuple[QuantumProgram, ExecutorOptions]:
    version = inputs.get("schema_version")
    if not isinstance(version, str) or version not in RESULTS:
        raise RejectedError(
            f"schema_version is {version!r:.80}; this runtime's executor knows "
            f"{', '.join(map(repr, RESULTS))}."
        )
    try:
        converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS[version]
        program, options = converter.decoder(converter.model(**inputs))
        for item in program.items:
            if hasattr(item, "samplex"):
                # Only a finalized samplex can be sampled.
                item.samplex.finalize()
    except Exception as error:
        # Damaged contents can raise any error inside pydantic, numpy, QPY or samplomatic.
        raise RejectedError(f"The job's params cannot be read: {error}") from error
    # Not read from the program: the converters of some versions drop it.
    level = inputs["quantum_program"].get("meas_level", CLASSIFIED)
    if level != CLASSIFIED:
        raise RejectedError(
            f"quantum_program.meas_level is {level!r:.80}; this runtime gives {CLASSIFIED!r} "
            "results only."
        )
    return program, options


def _drawn(
    item: CircuitItem | SamplexItem, generator: np.random.Generator
) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Return the values of a circuit's parameters, and the other arrays drawn with them.

    Returns:
        Values of shape (*item.shape, parameters), and arrays by name.
    """
    if not hasattr(item, "samplex"):
        return item.circuit_arguments, {}
    # It starts threads for each call by itself, which take longer than they save. What is drawn
    # does not depend on them.
    samplex = SimpleNamespace(sample=partial(item.samplex.sample, max_workers=1))
    arrays = dict(broadcast_sample(samplex, item.samplex_arguments, item.shape, generator))
    return arrays.pop("parameter_values"), arrays


def _rounded(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Round angles as IBM's local simulation does, so that Clifford circuits stay Clifford."""
    if not np.isfinite(values).all():
        raise RejectedError("A program's arguments hold nan or inf; they have to be finite.")
    decimals = SimulatorOptions().angle_decimals
    rounded: np.ndarray[Any, Any] = np.round(values / _QUARTER_TURN, decimals) * _QUARTER_TURN
    return rounded


def _answer(
    inputs: dict[str, Any],
    program: QuantumProgram,
    data: Sequence[dict[str, Any]],
    chunks: Sequence[_Chunk],
) -> str:
    """Return the encoded result in the schema in which the program came."""
    version, given = inputs["schema_version"], inputs["quantum_program"]
    tensor = CompressedTensorModel if version == _COMPRESSED else TensorModel
    blank = (
        None
        if version == _WITHOUT_ITEM_METADATA
        else {"scheduler_timing": None, "stretch_values": None}
    )
    items = [
        {
            "results": {name: tensor.from_numpy(array) for name, array in arrays.items()},
            "metadata": blank,
        }
        for arrays in data
    ]
    model = RESULTS[version].model_validate(
        {
            "schema_version": version,
            "data": items,
            "metadata": {"chunk_timing": _timing(program, chunks)},
            "passthrough_data": given.get("passthrough_data"),
            "semantic_role": given.get("semantic_role"),
        }
    )
    document = model.model_dump(mode="json")
    if ignored := ignored_options.of_executor(inputs.get("options") or {}):
        document["metadata"][EXTRA] = {"ignored_options": ignored}
    return json.dumps(document, separators=(",", ":"))


def _timing(program: QuantumProgram, chunks: Sequence[_Chunk]) -> list[dict[str, Any]]:
    """Return when the items ran."""
    return [
        {
            "start": start.replace(tzinfo=None).isoformat(),
            "stop": stop.replace(tzinfo=None).isoformat(),
            "parts": [_part(index, program.items[index].shape) for index in items],
        }
        for items, start, stop in chunks
    ]


def _part(index: int, shape: tuple[int, ...]) -> dict[str, Any]:
    size = math.prod(shape)
    return {
        "idx_item": index,
        "size": size,
        "permutation": list(range(len(shape))),
        "element_range": [0, size, 1],
    }
