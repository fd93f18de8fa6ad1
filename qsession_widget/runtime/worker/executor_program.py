"""The executor program: runs a quantum program of circuits and samplexes.

Its meaning is defined only by two packages of IBM: the schemas of ibm-quantum-schemas, and the
converters and the sampling of qiskit-ibm-runtime. Those are used as they are.
"""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from ibm_quantum_schemas.common import CompressedTensorModel, TensorModel
from ibm_quantum_schemas.executor import (
    version_0_1,
    version_0_2,
    version_1_0,
    version_1_1,
    version_2_0,
)
from qiskit_ibm_runtime.fake_provider.executor.broadcast_sample import broadcast_sample
from qiskit_ibm_runtime.options_models.simulator import SimulatorOptions
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

from qsession_widget.runtime.worker import measure_variants, progress
from qsession_widget.runtime.worker.aer import Executable, Run
from qsession_widget.runtime.worker.device import SimulatedDevice
from qsession_widget.runtime.worker.inputs import seeds
from qsession_widget.runtime.worker.limits import NO_LIMITS
from qsession_widget.runtime.worker.outcome import Outcome, RejectedError
from qsession_widget.runtime.worker.results import bit_arrays
from qsession_widget.wire import ignored_options
from qsession_widget.wire.fields import CLASSIFIED, EXTRA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qiskit_ibm_runtime.options_models import ExecutorOptions
    from qiskit_ibm_runtime.quantum_program import QuantumProgram
    from samplomatic.quantum_program import CircuitItem, SamplexItem

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
    circuits = [item.circuit for item in program.items]
    for circuit in circuits:
        device.check(circuit)
    device.check_shots(program.shots)
    experimental = options.experimental or {}
    seed = seeds.checked("experimental.seed_simulator", experimental.get("seed_simulator"))
    supply, generator = seeds.Seeds(seed), np.random.default_rng(seed)
    for item in program.items:
        item.circuit = measure_variants.plain(item.circuit)
    simulator = device.simulator(*(item.circuit for item in program.items))
    progress.expect(len(circuits))
    began = time.perf_counter()
    data, times = [], []
    for item in program.items:
        values, arrays = _drawn(item, generator)
        rows = _rounded(values).reshape(math.prod(item.shape), item.circuit.num_parameters)
        started = datetime.now(UTC)
        results = Executable([item.circuit], simulator).execute(
            [Run(0, row) for row in rows.tolist()],
            shots=program.shots,
            seed=supply.take(len(rows)),
            memory=True,
        )
        times.append((started, datetime.now(UTC)))
        read = bit_arrays.registers(item.circuit, results, item.shape, program.shots)
        classified = {name: each.to_bool_array(order="little") for name, each in read.items()}
        data.append({**arrays, **classified})
    busy_seconds = time.perf_counter() - began
    return Outcome(_answer(inputs, program, data, times), busy_seconds)


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
                # Sampling refuses one that is not.
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
    arguments = item.samplex_arguments
    arrays = dict(broadcast_sample(item.samplex, arguments, item.shape, generator))
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
    times: Sequence[tuple[datetime, datetime]],
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
            "metadata": {"chunk_timing": _timing(program, times)},
            "passthrough_data": given.get("passthrough_data"),
            "semantic_role": given.get("semantic_role"),
        }
    )
    document = model.model_dump(mode="json")
    if ignored := ignored_options.of_executor(inputs.get("options") or {}):
        document["metadata"][EXTRA] = {"ignored_options": ignored}
    return json.dumps(document, separators=(",", ":"))


def _timing(
    program: QuantumProgram, times: Sequence[tuple[datetime, datetime]]
) -> list[dict[str, Any]]:
    """Return when the items ran: here each in a chunk of its own."""
    return [
        {
            "start": start.replace(tzinfo=None).isoformat(),
            "stop": stop.replace(tzinfo=None).isoformat(),
            "parts": [
                {
                    "idx_item": index,
                    "size": math.prod(item.shape),
                    "permutation": list(range(len(item.shape))),
                    "element_range": [0, math.prod(item.shape), 1],
                }
            ],
        }
        for index, (item, (start, stop)) in enumerate(zip(program.items, times, strict=True))
    ]
