"""What a running job delays: other threads of the kernel, requests and, once cancelled, its worker.

A thread that wants to run every millisecond notes by how much it is late; two other processes note
how long small requests wait. On a machine that others use too, some of that is theirs: the rows
"nothing" show how much.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit.library import real_amplitudes
from qiskit_ibm_runtime import SamplerV2
from qiskit_ibm_runtime import Session as OfficialSession
from rich.console import Console
from rich.table import Table

from benchmarks.large import Runtime, Wait, coin, params_of
from benchmarks.loops import SHOTS, official_device
from benchmarks.measure import Samples, arguments, as_json, compare, own_runtime, write
from qsession_widget import QiskitRuntimeService, Sampler, Session
from tests.client import circuits

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD_SECONDS = 0.001
DEVICE = "fake_manila"
LARGE = "fake_sherbrooke"


@dataclass
class Stalls:
    """How late a thread was while something else went on, in milliseconds."""

    name: str
    longest: float
    median_of_longest: float
    rounds: int


def longest_stall(during: Callable[[], object]) -> float:
    """Return the longest time, in seconds, that a thread of this process was late during a call."""
    done = threading.Event()
    late = [0.0]

    def tick() -> None:
        before = time.perf_counter()
        while not done.is_set():
            time.sleep(PERIOD_SECONDS)
            now = time.perf_counter()
            late.append(now - before - PERIOD_SECONDS)
            before = now

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        during()
    finally:
        done.set()
        thread.join()
    return max(late)


def stalls(rounds: int) -> list[Stalls]:
    """Measure how a job of each kind delays another thread, in turn."""
    random = np.random.default_rng(1)
    service = QiskitRuntimeService(channel="local")
    wide = QuantumCircuit(20)
    wide.compose(real_amplitudes(20, reps=2).assign_parameters([0.3] * 60), inplace=True)
    wide.measure_all()
    with Session(service, DEVICE) as small, Session(service, LARGE) as large:
        contestants: dict[str, Callable[[], object]] = {
            "nothing, for 50 ms": partial(time.sleep, 0.05)
        }
        for session, device in ((small, DEVICE), (large, LARGE)):
            bare = real_amplitudes(5, reps=2)
            bare.measure_all()
            backend = official_device(device)
            circuit = generate_preset_pass_manager(1, backend=backend, seed_transpiler=0).run(bare)
            values = random.uniform(0, 6, bare.num_parameters)
            for whose, sampler in (
                ("ours", Sampler(mode=session)),
                ("official local mode", SamplerV2(mode=OfficialSession(backend=backend))),
            ):
                pub = (circuit, values, SHOTS)
                contestants[f"{whose}, 5 qubits on {device}"] = partial(_run, sampler, pub)
        ideal = Sampler(mode=service.backend("aer_simulator"))
        contestants["ours, 20 ideal qubits"] = partial(_run, ideal, (wide, None, SHOTS))
        simulator = official_device("aer_simulator")
        contestants["AerSimulator.run, 20 ideal qubits"] = partial(
            _raw, simulator, wide.decompose(reps=2)
        )
        for call in contestants.values():
            call()
        found = {
            name: [longest_stall(call) * 1000 for _ in range(rounds)]
            for name, call in contestants.items()
        }
    return [
        Stalls(name, max(times), float(np.median(times)), len(times))
        for name, times in found.items()
    ]


def _run(sampler: Any, pub: Any) -> object:
    return sampler.run([pub]).result()


def _raw(simulator: Any, circuit: QuantumCircuit) -> object:
    return simulator.run(circuit, shots=SHOTS).result()


def answers(seconds: float) -> list[Wait]:
    """Measure how long small requests wait beside a job of 20 qubits, which has all processors."""
    there = Runtime()
    small = there.ended(there.post(params_of(coin())))
    sampler = Sampler(mode=QiskitRuntimeService(channel="local").backend("aer_simulator"))
    found = [_waits("nothing", there, small, seconds)]
    job = sampler.run([circuits.heavy()])
    while not job.running():
        time.sleep(0.02)
    found.append(_waits("a job of 20 qubits", there, small, seconds))
    job.cancel()
    return found


def _waits(beside: str, there: Runtime, job_id: str, seconds: float) -> Wait:
    with there.probes(job_id) as probed:
        time.sleep(seconds)
    reads, writes = (sorted(each) for each in probed)
    return Wait(beside, reads[-1], reads[len(reads) * 99 // 100], writes[-1], seconds)


def cancellation(rounds: int) -> Samples:
    """Time from cancelling a job of 20 qubits to the result of the next one by the same worker.

    Two jobs of minutes keep both workers of the runtime busy, so that the next one can only run
    where the cancelled one was.
    """
    service = QiskitRuntimeService(channel="local")
    names = ("aer_simulator", "ibmq_qasm_simulator")
    samplers = {name: Sampler(mode=service.backend(name)) for name in names}
    heavy, light = circuits.heavy(), circuits.measured_bell()
    samplers[names[0]].run([light]).result()
    other = samplers[names[1]].run([heavy])
    samples = Samples("from cancel to the next result")
    for number in range(rounds):
        job = samplers[names[0]].run([heavy])
        while not (job.running() and other.running()):
            time.sleep(0.02)
        # Well inside Aer, during which no other thread of its process runs.
        time.sleep(0.5)
        started = time.perf_counter()
        job.cancel()
        samplers[names[0]].run([light]).result()
        samples.milliseconds[number] = (time.perf_counter() - started) * 1000
    other.cancel()
    return samples


def main() -> None:
    """Print all tables."""
    given = arguments(__doc__ or "").parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rounds = 3 if given.short else 10
    with own_runtime():
        found = stalls(rounds)
        waits = answers(rounds / 2)
        cancelled = cancellation(rounds)
    table = Table(title="longest stall of another thread during a job", title_justify="left")
    for head in ("", "median ms", "longest ms", "n"):
        table.add_column(head, justify="right" if head else "left")
    for each in found:
        table.add_row(
            each.name, f"{each.median_of_longest:.1f}", f"{each.longest:.1f}", str(each.rounds)
        )
    Console(width=110).print(table)
    table = Table(title="longest wait of a request meanwhile", title_justify="left")
    for head in ("", "read ms", "p99", "write ms"):
        table.add_column(head, justify="right" if head else "left")
    for wait in waits:
        times = (wait.read, wait.read_p99, wait.write)
        table.add_row(wait.beside, *(f"{each:.1f}" for each in times))
    Console(width=110).print(table)
    compare("cancelling a running job of 20 qubits", [cancelled], cancelled.name)
    figures = {
        "stalls": [asdict(each) for each in found],
        "waits": [asdict(each) for each in waits],
        "cancel": as_json([cancelled]),
    }
    write(given.json, figures)


if __name__ == "__main__":
    main()
