"""The first job of a session, from opening it to the result.

In each round ours is a fresh local runtime, each of whose two workers has tossed one coin, on an
ideal simulator: they are up, but have not seen the device. The official local mode is given the
same device and circuit, and builds the noise of the whole device for each job. The same circuit as
a program of the executor is the first such job of its worker.
"""

from __future__ import annotations

import logging
import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit.library import real_amplitudes
from qiskit_ibm_runtime import SamplerV2
from qiskit_ibm_runtime import Session as OfficialSession
from qiskit_ibm_runtime.quantum_program import QuantumProgram

from benchmarks.loops import SHOTS, official_device
from benchmarks.measure import Samples, arguments, as_json, compare, own_runtime, write
from qsession_widget import Executor, QiskitRuntimeService, Sampler, Session

if TYPE_CHECKING:
    from collections.abc import Callable

DEVICES = ("fake_sherbrooke", "fake_torino")
OURS = "ours, through HTTP"
AFTER_A_SECOND = "ours, a second after opening"
EXECUTOR = "ours, executor, at once"
EXECUTOR_AFTER_TWO_SECONDS = "ours, executor, two seconds after opening"
OFFICIAL = "official local mode"
SIMULATORS = ("aer_simulator", "ibmq_qasm_simulator")


def main() -> None:
    """Take turns, and print a table for each device."""
    parser = arguments(__doc__ or "")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    figures: dict[str, Any] = {}
    for device in DEVICES[:1] if given.short else DEVICES:
        title = f"first job of a session, sampler, 5 qubits on {device}"
        samples = measure(device, rounds=2 if given.short else 5)
        compare(title, samples, OURS)
        figures[title] = as_json(samples)
    write(given.json, figures)


def measure(device: str, rounds: int) -> list[Samples]:
    """Time each contestant once in every round."""
    bare = real_amplitudes(5, reps=2)
    bare.measure_all()
    backend = official_device(device)
    circuit = generate_preset_pass_manager(1, backend=backend, seed_transpiler=0).run(bare)
    pub = (circuit, np.linspace(0.1, 3.0, bare.num_parameters), SHOTS)
    contestants: dict[str, Callable[[], float]] = {
        OURS: partial(ours, device, pub, 0.0),
        AFTER_A_SECOND: partial(ours, device, pub, 1.0),
        EXECUTOR: partial(ours, device, pub, 0.0, executor=True),
        EXECUTOR_AFTER_TWO_SECONDS: partial(ours, device, pub, 2.0, executor=True),
        OFFICIAL: partial(official, backend, pub),
    }
    samples = {name: Samples(name) for name in contestants}
    for number in range(rounds):
        for name, call in contestants.items():
            samples[name].milliseconds[number] = call() * 1000
    return list(samples.values())


def ours(device: str, pub: Any, pause_seconds: float, *, executor: bool = False) -> float:
    """Return the seconds on a fresh runtime, without the pause between opening and running."""
    circuit, values, shots = pub
    program = QuantumProgram(shots)
    program.append_circuit_item(circuit, circuit_arguments=values)
    with own_runtime():
        service = QiskitRuntimeService(channel="local")
        service.backend(device)
        coin = QuantumCircuit(1)
        coin.h(0)
        coin.measure_all()
        jobs = [Sampler(mode=service.backend(name)).run([coin]) for name in SIMULATORS]
        for job in jobs:
            job.result()
        started = time.perf_counter()
        with Session(service, device) as session:
            time.sleep(pause_seconds)
            if executor:
                Executor(mode=session).run(program).result()
            else:
                Sampler(mode=session).run([pub]).result()
            return time.perf_counter() - started - pause_seconds


def official(backend: Any, pub: Any) -> float:
    """Return the seconds in this process."""
    started = time.perf_counter()
    with OfficialSession(backend=backend) as session:
        SamplerV2(mode=session).run([pub]).result()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
