"""Milliseconds for one iteration of a parametrised loop: new parameters, run, result.

Each contestant is given the same circuit, in the device's instruction set unless its name says
otherwise, and new parameters in every round. All are timed in turn, in one process. What an
iteration of ours takes beside the processor time of its worker is the cost of HTTP, the codec, the
durable writes and the scheduler.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import generate_preset_pass_manager
from qiskit.circuit.library import real_amplitudes
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.primitives import EstimatorV2 as AerEstimator
from qiskit_aer.primitives import SamplerV2 as AerSampler
from qiskit_ibm_runtime import EstimatorV2, SamplerV2
from qiskit_ibm_runtime import Session as OfficialSession

from benchmarks.loops import (
    IN_A_ROW,
    IN_ONE_ROW,
    LOOPS,
    OFFICIAL,
    OURS,
    PRECISION,
    SHOTS,
    WARM_UP,
    Contest,
    Loop,
    official_device,
    plain_simulator,
)
from benchmarks.measure import (
    arguments,
    as_json,
    compare,
    in_turn,
    own_runtime,
    processes_of,
    write,
)
from qsession_widget import Estimator, QiskitRuntimeService, Sampler, Session
from qsession_widget.local import process
from qsession_widget.local.ibm_client import NO_USAGE_DATA

if TYPE_CHECKING:
    from pathlib import Path

    from qiskit import QuantumCircuit
    from qiskit_aer import AerSimulator


@dataclass(frozen=True)
class Case:
    """A device, a width and a program."""

    device: str
    qubits: int
    program: str
    rounds: int

    @property
    def title(self) -> str:
        """The title of the table."""
        return f"{self.program}, {self.qubits} qubits on {self.device}"


CASES = (
    Case("fake_manila", 2, "sampler", 60),
    Case("fake_manila", 5, "sampler", 60),
    Case("fake_manila", 5, "estimator", 40),
    Case("fake_sherbrooke", 2, "sampler", 30),
    Case("fake_sherbrooke", 5, "sampler", 30),
    Case("fake_sherbrooke", 5, "estimator", 30),
    Case("fake_torino", 2, "sampler", 20),
    Case("fake_torino", 5, "sampler", 20),
    Case("fake_torino", 5, "estimator", 20),
    Case("aer_simulator", 5, "sampler", 100),
    Case("aer_simulator", 12, "sampler", 60),
    Case("aer_simulator", 20, "sampler", 10),
)
SHORT = (CASES[1], CASES[4], CASES[9], *LOOPS[1:4])


def contestants(case: Case, home: Path, session: Session) -> dict[str, Any]:
    """Return the contestants that can run a case."""
    bare = real_amplitudes(case.qubits, reps=2)
    observable = _hamiltonian(case.qubits)
    if case.program == "sampler":
        bare.measure_all()
    device = official_device(case.device)
    manager = generate_preset_pass_manager(1, backend=device, seed_transpiler=0)
    isa = manager.run(bare)
    random = np.random.default_rng(1)

    def values() -> Any:
        return random.uniform(0, math.tau, bare.num_parameters)

    def sampled(sampler: Any, circuit: QuantumCircuit, _round: int) -> Any:
        return sampler.run([(circuit, values(), SHOTS)]).result()[0].data.meas

    def estimated(estimator: Any, circuit: QuantumCircuit, _round: int) -> Any:
        laid_out = observable if circuit.layout is None else observable.apply_layout(circuit.layout)
        pub = (circuit, laid_out, values())
        return estimator.run([pub], precision=PRECISION).result()[0].data.evs

    def transpiled(run: Any, primitive: Any, number: int) -> Any:
        fresh = generate_preset_pass_manager(1, backend=device, seed_transpiler=0)
        return run(primitive, fresh.run(bare), number)

    def raw(simulator: AerSimulator, _round: int) -> Any:
        binds = {name: [value] for name, value in zip(isa.parameters, values(), strict=True)}
        job = simulator.run(isa, parameter_binds=[binds], shots=SHOTS, memory=True)
        return job.result().get_counts()

    sampler = case.program == "sampler"
    run = sampled if sampler else estimated
    simulator = plain_simulator(case.device)
    ours = (Sampler if sampler else Estimator)(mode=session)
    official = SamplerV2 if sampler else EstimatorV2
    local_mode = official(mode=OfficialSession(backend=device))
    found: dict[str, Any] = {
        OURS: partial(run, ours, isa),
        IN_A_ROW: partial(run, ours, isa),
        "ours, bare circuit": partial(run, ours, bare),
        OFFICIAL: partial(run, local_mode, isa),
        "official local mode, transpiled each time": partial(transpiled, run, local_mode),
        "Qiskit's Backend primitive": partial(
            run, (BackendSamplerV2 if sampler else BackendEstimatorV2)(backend=simulator), isa
        ),
        "Aer's primitive": partial(run, _aer_primitive(case, simulator), isa),
    }
    if sampler:
        found["raw AerSimulator.run"] = partial(raw, simulator)
    if case.device != "aer_simulator":
        remote = process.official_service(folder=home)
        # The same session: two of them would wait for each other's device.
        mode = OfficialSession.from_id(session.session_id, service=remote)
        found["official client on our runtime"] = partial(run, official(mode=mode), isa)
    return found


def _aer_primitive(case: Case, simulator: AerSimulator) -> Any:
    noise = {"backend_options": {"noise_model": simulator.options.noise_model}}
    return (AerSampler if case.program == "sampler" else AerEstimator)(options=noise)


def _hamiltonian(qubits: int) -> SparsePauliOp:
    """Return sum ZZ + 0.5 sum X: two groups of measurements."""
    terms: list[tuple[str, list[int], float]] = [
        ("ZZ", [each, each + 1], 1.0) for each in range(qubits - 1)
    ]
    terms += [("X", [each], 0.5) for each in range(qubits)]
    return SparsePauliOp.from_sparse_list(terms, num_qubits=qubits)


def main() -> None:
    """Run the cases and print a table for each."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", default="", help="cases whose title contains this")
    parser.add_argument(
        "--peers",
        default="",
        help="of the peers only those whose names end with this; several are parted by commas",
    )
    parser.add_argument("--rounds", type=int, help="instead of each case's own number")
    parser.add_argument("--seconds", type=float, default=20.0, help="longest for a contestant")
    parser.add_argument("--loops", action="store_true", help="only the loops that people write")
    given = parser.parse_args()
    os.environ.update(NO_USAGE_DATA)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    figures: dict[str, Any] = {}
    seconds = 4.0 if given.short else given.seconds
    cases: tuple[Case | Loop, ...] = SHORT if given.short else (*CASES, *LOOPS)
    with own_runtime() as home:
        for case in LOOPS if given.loops else cases:
            if given.only not in case.title:
                continue
            rounds = given.rounds or (min(10, case.rounds) if given.short else case.rounds)
            # Closed at the end: a session holds its device, and the next case may want it.
            with Session(QiskitRuntimeService(channel="local"), case.device) as session:
                if isinstance(case, Loop):
                    contest = Contest(case, session, rounds)
                    callers = contest.callers
                else:
                    contest, callers = None, contestants(case, home, session)
                chosen = {
                    name: call
                    for name, call in callers.items()
                    if name.startswith("ours") or name.endswith(tuple(given.peers.split(",")))
                }
                chosen[OURS](-1)
                samples = in_turn(
                    chosen,
                    rounds=rounds,
                    seconds_each=seconds,
                    warm_up=WARM_UP,
                    watched=processes_of(home),
                    in_a_row={IN_A_ROW: IN_ONE_ROW},
                )
            compare(case.title, samples, OURS)
            figures[case.title] = as_json(samples)
            for each in samples:
                if each.name == IN_A_ROW:
                    beside = each.median - each.cpu.get("workers", 0.0)
                    print(f"{IN_A_ROW}: {beside:.1f} ms beside the worker's own time")
            if contest is not None:
                print("\n".join([*contest.reached(samples), *contest.judge()]))
            print()
    write(given.json, figures)


if __name__ == "__main__":
    main()
