"""What the client's own work on a job costs: writing its body, and reading its result.

A circuit that is sent again is compared with the cached one, and not encoded again; results are
compressed. Both are timed beside qiskit-ibm-runtime's encoder and decoder on the same job.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from qiskit import generate_preset_pass_manager
from qiskit.circuit.library import real_amplitudes
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeTorino

from benchmarks.measure import arguments, as_json, compare, in_turn, write
from qsession_widget.client.circuits.circuit_cache import EncodedCircuits
from qsession_widget.wire import codec

SHOTS = 1024
CASES = ((FakeManilaV2, 5), (FakeTorino, 12), (FakeTorino, 100))


def pub_of(device: Any, qubits: int) -> SamplerPub:
    """Return a parametrised circuit for a device, with values."""
    bare = real_amplitudes(qubits, reps=2)
    bare.measure_all()
    circuit = generate_preset_pass_manager(1, backend=device(), seed_transpiler=0).run(bare)
    values = np.random.default_rng(1).uniform(0, 1, circuit.num_parameters)
    return SamplerPub.coerce((circuit, values, SHOTS))


def result_of(qubits: int) -> PrimitiveResult:
    """Return a result with random shots."""
    bits = np.random.default_rng(2).integers(0, 2, (SHOTS, qubits), dtype=bool)
    data = DataBin(meas=BitArray.from_bool_array(bits))
    return PrimitiveResult([SamplerPubResult(data)])


def writers(pub: SamplerPub) -> dict[str, Any]:
    """Return the contestants that can write a job."""
    kept, job = EncodedCircuits(), {"pubs": [pub]}
    return {
        "ours, kept": lambda _: codec.dumps(job, circuit=kept.text),
        "ours, encoded each time": lambda _: codec.dumps(job),
        "qiskit-ibm-runtime": lambda _: json.dumps(job, cls=RuntimeEncoder),
    }


def readers(text: str) -> dict[str, Any]:
    """Return the contestants that can read a result."""
    return {
        "ours": lambda _: codec.loads(text),
        "qiskit-ibm-runtime": lambda _: json.loads(text, cls=RuntimeDecoder),
    }


def main() -> None:
    """Time them, and print a table for each circuit."""
    given = arguments(__doc__ or "").parse_args()
    rounds = 20 if given.short else 200
    figures: dict[str, Any] = {}
    for device, qubits in CASES[:2] if given.short else CASES:
        pub, result = pub_of(device, qubits), codec.dumps(result_of(qubits))
        for what, size, callers in (
            ("write a job", len(codec.dumps(pub)), writers(pub)),
            ("read a result", len(result), readers(result)),
        ):
            title = f"{what}, {qubits} qubits on {device().name}, {size} bytes"
            samples = in_turn(callers, rounds=rounds, seconds_each=5.0)
            compare(title, samples, next(iter(callers)))
            figures[title] = as_json(samples)
    write(given.json, figures)


if __name__ == "__main__":
    main()
