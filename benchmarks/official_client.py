"""One iteration of a session by IBM's own client, with and without held requests.

The client asks for a job's state at once, and then every tenth of a second: an end between two
requests is noticed late. The same small job runs again and again in a session on fake_manila, on
two runtimes that differ in nothing else; our own client, which asks to be held, is there for
comparison.

IBM's client-side primitives (program "executor") are compared with the server-side ones in sessions
on one runtime, and with IBM's local mode, which simulates in this process. All run a parametrised
circuit of two qubits with new values each time. What IBM's own code takes of that in this process,
to prepare the job and to read its result, is a row of its own: no runtime can save it. Our own
primitives send the same jobs to a runtime that takes no others.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime import EstimatorV2, SamplerV2
from qiskit_ibm_runtime import Session as OfficialSession
from qiskit_ibm_runtime.decoders.defaults import DEFAULT_DECODERS
from qiskit_ibm_runtime.executor_estimator import Estimator as ClientSideEstimator
from qiskit_ibm_runtime.executor_estimator.prepare import prepare
from qiskit_ibm_runtime.executor_sampler import Sampler as ClientSideSampler
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeSherbrooke
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

from benchmarks.measure import arguments, as_json, compare, in_turn, write
from qsession_widget import Estimator, QiskitRuntimeService, Sampler, Session
from qsession_widget.errors import ServiceUnavailableError
from qsession_widget.local import process as local
from qsession_widget.local.ibm_client import NO_USAGE_DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICE = "fake_manila"
SHOTS = 100
HELD = "official client, held"
SERVER_SIDE = "server-side"
OURS = "our own, as a program"
IBMS_CODE = "of client-side, IBM's code"
NOT_HELD = ("--no-hold-quick-polls", "--hold-new-jobs-seconds", "0")
PROGRAMS_ONLY = ("--programs", "executor")
START_SECONDS = 60.0
DEVICES = {DEVICE: FakeManilaV2, "fake_sherbrooke": FakeSherbrooke}
"""With 5 and with 127 qubits."""

PRECISION = 1 / 32
JOB_SECONDS = (0.0, 0.15, 1.0)
"""How long jobs last at least; the first is only as long as the simulation."""


@contextmanager
def runtime(*settings: str, module: str = "qsession_widget.runtime") -> Iterator[Path]:
    """Run a runtime with settings of its own, and yield its folder.

    Args:
        settings: arguments of its command line.
        module: what runs it.
    """
    with tempfile.TemporaryDirectory(prefix="qsession-benchmark-") as name:
        command = [sys.executable, "-m", module, "--home", name, *settings]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet)  # noqa: S603 - ours
        try:
            _await(Path(name))
            yield Path(name)
        finally:
            process.terminate()
            process.wait()


def _await(folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            local.endpoint(start=False, folder=folder)
        except ServiceUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def contestants(held: Path, unheld: Path, stack: ExitStack) -> dict[str, Any]:
    """Return each client in a session of its own; the stack closes them."""
    bare = QuantumCircuit(2)
    bare.h(0)
    bare.cx(0, 1)
    bare.measure_all()

    def iterate(sampler: Any, circuit: QuantumCircuit, _round: int) -> Any:
        return sampler.run([circuit], shots=SHOTS).result()[0].data.meas

    found: dict[str, Any] = {}
    for name, folder in ((HELD, held), ("official client, not held", unheld)):
        service = local.official_service(folder=folder)
        backend = service.backend(DEVICE)
        circuit = generate_preset_pass_manager(1, backend=backend).run(bare)
        session = stack.enter_context(OfficialSession(backend))
        found[name] = partial(iterate, SamplerV2(mode=session), circuit)
    ours = stack.enter_context(QiskitRuntimeService("local", *_address(held)))
    # Another device: a session has its own to itself.
    mode = stack.enter_context(Session(ours, "fake_quito"))
    found["our client"] = partial(iterate, Sampler(mode=mode), circuit)
    return found


def primitives(
    device: str, folder: Path, programs_only: Path, stack: ExitStack
) -> dict[str, dict[str, Any]]:
    """Return the forms of each primitive; the stack closes their sessions.

    Args:
        device: its name.
        folder: of a runtime.
        programs_only: of a runtime that runs quantum programs only.
        stack: closes the sessions.
    """
    backend = local.official_service(folder=folder).backend(device)
    ours = stack.enter_context(QiskitRuntimeService("local", *_address(programs_only)))
    mode = stack.enter_context(Session(ours, device))
    session = stack.enter_context(OfficialSession(backend))
    fake = DEVICES[device]()
    bare = QuantumCircuit(2)
    bare.h(0)
    bare.cx(0, 1)
    bare.ry(Parameter("angle"), 0)
    manager = generate_preset_pass_manager(1, backend=backend, seed_transpiler=1)
    state = manager.run(bare)
    observable = SparsePauliOp("ZZ").apply_layout(state.layout)
    bare.measure_all()
    measured = manager.run(bare)

    def sample(sampler: Any, number: int) -> Any:
        return sampler.run([(measured, [0.1 * number])], shots=SHOTS).result()[0].data.meas

    def estimate(estimator: Any, number: int) -> Any:
        pub = (state, observable, [0.1 * number])
        return estimator.run([pub], precision=PRECISION).result()[0].data.evs

    def client_side(mode: Any, level: int) -> Any:
        return partial(estimate, _at_level(mode, level))

    def ibms_code(estimator: ClientSideEstimator) -> Any:
        job = estimator.run([(state, observable, [0.1])], precision=PRECISION)
        job.result()
        with QiskitRuntimeService("local", *_address(folder)) as reading:
            text = reading.api.results(job.job_id())

        def act(number: int) -> Any:
            pubs = [(state, observable, [0.1 * number])]
            program, options = prepare(pubs, estimator.options, PRECISION, backend=backend)
            convert = QUANTUM_PROGRAM_PARAMS_CONVERTERS["v2.0"]
            convert.encoder(program, options).model_dump_json()
            result: Any = text
            for decoder in DEFAULT_DECODERS["executor"]:
                if decoder.is_applicable(result):
                    result = decoder.decode(result)
            return result[0].data.evs

        return act

    found = {
        "sampler": {
            SERVER_SIDE: partial(sample, SamplerV2(mode=session)),
            "client-side": partial(sample, ClientSideSampler(mode=session)),
            OURS: partial(sample, Sampler(mode=mode)),
            "client-side, IBM's local mode": partial(sample, ClientSideSampler(mode=fake)),
        },
        "estimator": {
            SERVER_SIDE: partial(estimate, EstimatorV2(mode=session)),
            "client-side, level 0": client_side(session, 0),
            "client-side, level 1": client_side(session, 1),
            **{
                f"{OURS}, level {level}": partial(
                    estimate, Estimator(mode=mode, options={"resilience_level": level})
                )
                for level in (0, 1)
            },
            **{
                f"{IBMS_CODE}, level {level}": ibms_code(_at_level(session, level))
                for level in (0, 1)
            },
        },
    }
    if device == DEVICE:
        # For a template on all of 127 qubits its local mode has not enough memory.
        found["estimator"]["client-side, level 0, IBM's local mode"] = client_side(fake, 0)
    return found


def _at_level(mode: Any, level: int) -> ClientSideEstimator:
    estimator = ClientSideEstimator(mode=mode)
    estimator.options.resilience_level = level
    return estimator


def _address(folder: Path) -> tuple[str, str]:
    found = local.endpoint(start=False, folder=folder)
    return found.token, found.url


def compare_primitives(devices: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Measure, and print a table for each device and primitive."""
    figures: dict[str, Any] = {}
    for device in devices:
        with (
            runtime() as folder,
            runtime(*PROGRAMS_ONLY) as programs_only,
            ExitStack() as stack,
        ):
            for name, callers in primitives(device, folder, programs_only, stack).items():
                samples = in_turn(callers, rounds=rounds, seconds_each=seconds, warm_up=3)
                title = f"{name} on {device}"
                compare(title, samples, SERVER_SIDE)
                figures[title] = as_json(samples)
    return figures


def main() -> None:
    """Measure, and print a table for each length of a job."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    os.environ.update(NO_USAGE_DATA)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rounds, seconds = (10, 5.0) if given.short else (given.rounds, 40.0)
    figures: dict[str, Any] = {}
    for job_seconds in JOB_SECONDS[:2] if given.short else JOB_SECONDS:
        lasting = ("--min-job-seconds", str(job_seconds))
        with (
            runtime(*lasting) as held,
            runtime(*NOT_HELD, *lasting) as unheld,
            ExitStack() as stack,
        ):
            callers = contestants(held, unheld, stack)
            samples = in_turn(callers, rounds=rounds, seconds_each=seconds, warm_up=3)
        title = f"an iteration whose job lasts {job_seconds * 1000:.0f} ms at least"
        compare(title, samples, HELD)
        figures[title] = as_json(samples)
    devices = [DEVICE] if given.short else [*DEVICES]
    figures |= compare_primitives(devices, rounds, seconds)
    write(given.json, figures)


if __name__ == "__main__":
    main()
