"""From `python` to the first result: in a fresh process, with its parts.

Each contestant is a program of ten lines that measures a Bell pair on a device with noise, run by
an interpreter of its own in every round. "No runtime" starts the local runtime as well; "runtime
up" finds one whose workers have run a job of another session. The official local mode simulates in
the program's own process, and wants a circuit that is transpiled already, which is part of its run.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Samples, arguments, as_json, compare, own_runtime, write
from qsession_widget import QiskitRuntimeService, Sampler, Session
from qsession_widget.local import process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qiskit import QuantumCircuit

OFFICIAL = "official local mode"
COLD = "ours, no runtime"
WARM = "ours, runtime up"
PARTS = ("python", "imports", "session", "run", "result")
DEVICES = {"fake_manila": "FakeManilaV2", "fake_sherbrooke": "FakeSherbrooke"}
ROUNDS = 9

BEGIN = """
import json, sys, time
started = float(sys.argv[1])
marks = {}
def mark(part):
    marks[part] = time.monotonic() - started
mark("python")
"""
BELL = """
bell = QuantumCircuit(2)
bell.h(0)
bell.cx(0, 1)
bell.measure_all()
"""
OURS = (
    BEGIN
    + """
from qiskit import QuantumCircuit
from qsession_widget import Sampler, Session
mark("imports")
"""
    + BELL
    + """
with Session(backend="{device}") as session:
    mark("session")
    job = Sampler(mode=session).run([bell])
    mark("run")
    assert job.result()[0].data.meas.num_shots == 4096
    mark("result")
print(json.dumps(marks))
"""
)
THEIRS = (
    BEGIN
    + """
import warnings
warnings.simplefilter("ignore")
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit_ibm_runtime import SamplerV2, Session
from qiskit_ibm_runtime.fake_provider import {official}
mark("imports")
"""
    + BELL
    + """
device = {official}()
with Session(backend=device) as session:
    mark("session")
    isa = generate_preset_pass_manager(1, backend=device).run(bell)
    job = SamplerV2(mode=session).run([isa], shots=4096)
    mark("run")
    assert job.result()[0].data.meas.num_shots == 4096
    mark("result")
print(json.dumps(marks))
"""
)


def run(program: str) -> dict[str, float]:
    """Run a program in an interpreter of its own, and return the seconds of each of its parts."""
    command = [sys.executable, "-c", program, str(time.monotonic())]
    found = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own interpreter and text
    ends = json.loads(found.stdout.splitlines()[-1])
    starts = [0.0, *(ends[part] for part in PARTS[:-1])]
    return {part: ends[part] - start for part, start in zip(PARTS, starts, strict=True)}


def warm(device: str, bell: QuantumCircuit) -> None:
    """Start a runtime whose workers have simulated the device in another session."""
    with QiskitRuntimeService(channel="local") as service, Session(service, device) as session:
        Sampler(mode=session).run([bell]).result()


def contestants(device: str, home: Path) -> dict[str, tuple[Callable[[], object], str]]:
    """Return the untimed preparation of each program, and the program."""
    from qiskit import QuantumCircuit  # noqa: PLC0415 - this process is none of the measured ones

    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    bell.measure_all()
    ours = OURS.replace("{device}", device)
    return {
        COLD: (partial(process.stop, folder=home), ours),
        WARM: (partial(warm, device, bell), ours),
        OFFICIAL: (lambda: None, THEIRS.replace("{official}", DEVICES[device])),
    }


def measured(device: str, home: Path, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Run every contestant once in each round; a first round, which fills caches, is left out."""
    callers = contestants(device, home)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in callers}
    for number in range(-1, rounds):
        for name, (prepare, program) in callers.items():
            prepare()
            parts = run(program)
            if number >= 0:
                found[name].append(parts)
    return found


def show_parts(title: str, found: dict[str, list[dict[str, float]]]) -> None:
    """Print the median of each part in milliseconds."""
    table = Table(title=title, title_justify="left")
    table.add_column("median ms")
    for head in (*PARTS, "after imports"):
        table.add_column(head, justify="right")
    for name, rounds in found.items():
        after = [sum(each[part] for part in PARTS[2:]) for each in rounds]
        medians = [statistics.median(each[part] for each in rounds) for part in PARTS]
        cells = [f"{seconds * 1000:.0f}" for seconds in (*medians, statistics.median(after))]
        table.add_row(name, *cells)
    Console(width=110).print(table)


def totals(found: dict[str, list[dict[str, float]]], parts: tuple[str, ...]) -> list[Samples]:
    """Add up parts of each round, in milliseconds."""
    return [
        Samples(
            name,
            {n: 1000 * sum(each[part] for part in parts) for n, each in enumerate(rounds)},
        )
        for name, rounds in found.items()
    ]


def main() -> None:
    """Run the programs, and print what they took for each device."""
    given = arguments(__doc__ or "").parse_args()
    figures: dict[str, Any] = {}
    with own_runtime() as home:
        for device in DEVICES:
            found = measured(device, home, 3 if given.short else ROUNDS)
            show_parts(f"parts, {device}", found)
            for what, parts in (
                ("from `python` to the first result", PARTS),
                ("from Session(...) to the first result", PARTS[2:]),
            ):
                samples = totals(found, parts)
                compare(f"{what}, {device}", samples, OFFICIAL)
                figures[f"{what}, {device}"] = as_json(samples)
            figures[f"parts in seconds, {device}"] = found
    write(given.json, figures)


if __name__ == "__main__":
    main()
