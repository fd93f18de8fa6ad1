"""The executor program: a quantum program of circuits and samplexes. Lives in a worker process.

What it means is written down in two packages of IBM's alone, the schemas of ibm-quantum-schemas
and the local simulation of qiskit-ibm-runtime, so both are used as they are.
"""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ibm_quantum_schemas.common import CompressedTensorModel
from qiskit_ibm_runtime.fake_provider.executor.run_quantum_program import run_quantum_program
from qiskit_ibm_runtime.options_models.simulator import SimulatorOptions
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

from qsession_widget.runtime import stages, variants
from qsession_widget.runtime.limits import NO_LIMITS
from qsession_widget.runtime.simulation import Device, Outcome, RejectedError

if TYPE_CHECKING:
    from qiskit_ibm_runtime.quantum_program import QuantumProgram

    from qsession_widget.runtime.limits import Limits

SCHEMA_VERSION = "v2.0"


def run(params: str, device_name: str, limits: Limits = NO_LIMITS) -> Outcome:
    """Run a quantum program with the noise of a device.

    Args:
        params: JSON text of the job's `params`, schema v2.0.
        device_name: name of the recorded device.
        limits: of the runtime.

    Raises:
        RejectedError: for a payload that cannot be read or run on this device.
    """
    inputs = json.loads(params)
    version = inputs.get("schema_version")
    if version != SCHEMA_VERSION:
        raise RejectedError(
            f"schema_version is {version!r:.80}; this runtime's executor knows {SCHEMA_VERSION!r}."
        )
    try:
        converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS[version]
        program, options = converter.decoder(converter.model(**inputs))
        for item in program.items:
            if hasattr(item, "samplex"):
                # Sampling refuses one that is not.
                item.samplex.finalize()
    except Exception as error:
        # Damaged contents surface as whatever pydantic, numpy, QPY or samplomatic stumble over.
        raise RejectedError(f"The job's params cannot be read: {error}") from error
    device = Device(device_name, optimization_level=0, limits=limits)
    circuits = [item.circuit for item in program.items]
    for circuit in circuits:
        device.check(circuit)
    device.check_shots(program.shots)
    for item in program.items:
        item.circuit = variants.plain(item.circuit)
    seed = (options.experimental or {}).get("seed_simulator")
    started, began = datetime.now(UTC), time.perf_counter()
    simulator = device.simulator(*(item.circuit for item in program.items))
    with stages.on_device():
        result = run_quantum_program(simulator, program, SimulatorOptions(seed_simulator=seed))
    busy_seconds = time.perf_counter() - began
    quantum_program = inputs["quantum_program"]
    document = {
        "schema_version": SCHEMA_VERSION,
        "data": [_item(dict(item.items())) for item in result],
        "metadata": {"chunk_timing": _timing(program, started, datetime.now(UTC))},
        "passthrough_data": quantum_program.get("passthrough_data"),
        "semantic_role": quantum_program.get("semantic_role"),
    }
    return Outcome(json.dumps(document, separators=(",", ":")), busy_seconds)


def _item(arrays: dict[str, Any]) -> dict[str, Any]:
    return {
        "results": {
            name: CompressedTensorModel.from_numpy(array).model_dump(mode="json")
            for name, array in arrays.items()
        },
        "metadata": {"scheduler_timing": None, "stretch_values": None},
    }


def _timing(program: QuantumProgram, start: datetime, stop: datetime) -> list[dict[str, Any]]:
    """Say when which items ran: here all of them in one chunk."""
    parts = [
        {
            "idx_item": index,
            "size": math.prod(item.shape),
            "permutation": list(range(len(item.shape))),
            "element_range": [0, math.prod(item.shape), 1],
        }
        for index, item in enumerate(program.items)
    ]
    times = {
        name: when.replace(tzinfo=None).isoformat()
        for name, when in (("start", start), ("stop", stop))
    }
    return [{**times, "parts": parts}]
