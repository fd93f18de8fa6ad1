"""How long other users' requests wait beside a body, a job or a result of 60 MB.

Two processes send small requests, one that reads and one that writes to the store, with 2 ms
between an answer and the next request, and record the longest wait. On a machine that does other
things too, some of the wait comes from those: the row "nothing" shows how much.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import requests
from qiskit import QuantumCircuit
from rich.console import Console
from rich.table import Table

from benchmarks.measure import arguments, own_runtime, write
from qsession_widget.local import process
from qsession_widget.wire import codec
from qsession_widget.wire.fields import API_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEVICE = "fake_manila"
SIZE = 60_000_000
PAUSE_SECONDS = 0.002
TIMEOUT_SECONDS = 120.0
MOST = 50.0
"""The goal, in milliseconds: no request waits longer."""


@dataclass
class Wait:
    """The longest waits of small requests beside something large, in milliseconds."""

    beside: str
    read: float
    read_p99: float
    write: float
    seconds: float


class Runtime:
    """The runtime in use, as plain HTTP."""

    def __init__(self) -> None:
        found = process.endpoint()
        self.url = found.url + API_PREFIX
        self.head = {"Authorization": f"Bearer {found.token}"}

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request; raise for an error status."""
        answer = requests.request(
            method, self.url + path, headers=self.head, timeout=TIMEOUT_SECONDS, **options
        )
        answer.raise_for_status()
        return answer

    def post(self, params: str) -> str:
        """Send a job; return its id."""
        body = f'{{"program_id": "sampler", "backend": "{DEVICE}", "params": {params}}}'
        return str(self.ask("POST", "/jobs", data=body).json()["id"])

    def ended(self, job_id: str) -> str:
        """Wait for the end of a job; return its id."""
        while True:
            job = self.ask("GET", f"/jobs/{job_id}?exclude_params=true").json()
            if job["state"]["status"] not in {"Queued", "Running"}:
                return job_id
            time.sleep(0.05)

    @contextmanager
    def probes(self, job_id: str) -> Iterator[list[list[float]]]:
        """Send small requests from other processes; yield their waits, filled at the end."""
        asked = (("GET", f"/jobs/{job_id}?exclude_params=true"), ("PUT", f"/jobs/{job_id}/tags"))
        found: list[list[float]] = []
        children = [
            subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
                [sys.executable, "-m", "benchmarks.large", "--probe", method, self.url + path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "QSESSION_PROBE": self.head["Authorization"]},
            )
            for method, path in asked
        ]
        for child in children:
            assert child.stdout is not None  # noqa: S101 - asked for above
            child.stdout.readline()
        try:
            yield found
        finally:
            found += [json.loads(child.communicate("\n")[0]) for child in children]


def probe(method: str, url: str) -> None:
    """Send requests until a line arrives, then write how long each answer took."""
    ends = threading.Event()

    def wait() -> None:
        sys.stdin.readline()
        ends.set()

    threading.Thread(target=wait, daemon=True).start()
    session = requests.Session()
    session.headers["Authorization"] = os.environ["QSESSION_PROBE"]
    waits: list[float] = []
    while not ends.wait(PAUSE_SECONDS):
        started = time.perf_counter()
        body = {"tags": [f"a{len(waits) % 10}"]} if method == "PUT" else None
        session.request(method, url, json=body, timeout=TIMEOUT_SECONDS).raise_for_status()
        waits.append((time.perf_counter() - started) * 1000)
        if len(waits) == 1:
            sys.stdout.write("\n")
            sys.stdout.flush()
            waits.append(0.0)
    sys.stdout.write(json.dumps(waits[1:]))


def params_of(circuit: QuantumCircuit, more: str = "") -> str:
    """Return the params of a job, with more members beside its pub."""
    return codec.dumps({"pubs": [[circuit, [], 10]]})[:-1] + more + "}"


def coin(size: int = 0) -> QuantumCircuit:
    """Return a small circuit, with so many characters that come back with its result."""
    circuit = QuantumCircuit(1, metadata={"note": os.urandom(size // 2).hex()} if size else {})
    circuit.x(0)
    circuit.measure_all()
    return circuit


def waits(rounds: int) -> list[Wait]:
    """Measure the longest waits beside each kind of large text."""
    there = Runtime()
    small = there.ended(there.post(params_of(coin())))
    text = params_of(coin(), ',"x":"' + "x" * SIZE + '"')
    floats = params_of(coin(), ',"x":[' + "0.12345678901," * (SIZE // 14) + "0]")
    answered = there.ended(there.post(params_of(coin(SIZE * 3 // 4))))
    job_id = there.ended(there.post(text))
    contestants: dict[str, Callable[[], object]] = {
        "nothing, for a second": partial(time.sleep, 1.0),
        "POST of a text, and its job": lambda: there.ended(there.post(text)),
        "POST of floats, and its job": lambda: there.ended(there.post(floats)),
        "GET of the job": partial(there.ask, "GET", f"/jobs/{job_id}"),
        "a job with such a result": lambda: there.ended(there.post(params_of(coin(SIZE * 3 // 4)))),
        "GET of the result": partial(there.ask, "GET", f"/jobs/{answered}/results"),
        "GET of the outcome": partial(there.ask, "GET", f"/qsession/jobs/{answered}/outcome"),
        "GET of the list of jobs": partial(there.ask, "GET", "/jobs?limit=50"),
        "DELETE of the job": lambda: there.ask("DELETE", f"/jobs/{there.post(text)}"),
    }
    found = []
    for name, act in contestants.items():
        took = []
        with there.probes(small) as probed:
            for _ in range(rounds):
                started = time.perf_counter()
                act()
                took.append(time.perf_counter() - started)
        reads, writes = (sorted(each) for each in probed)
        found.append(Wait(name, reads[-1], reads[len(reads) * 99 // 100], writes[-1], min(took)))
    return found


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--probe", nargs=2, metavar=("METHOD", "URL"))
    given = parser.parse_args()
    if given.probe:
        probe(*given.probe)
        return
    with own_runtime():
        found = waits(2 if given.short else 5)
    table = Table(title=f"longest waits beside {SIZE // 10**6} MB", title_justify="left")
    for head in ("", "read ms", "p99 ms", "write ms", "it took s"):
        table.add_column(head, justify="right" if head else "left")
    for each in found:
        late = "[bold]" if max(each.read, each.write) > MOST else ""
        table.add_row(
            f"{late}{each.beside}",
            f"{each.read:.1f}",
            f"{each.read_p99:.1f}",
            f"{each.write:.1f}",
            f"{each.seconds:.2f}",
        )
    Console(width=110).print(table)
    write(given.json, [asdict(each) for each in found])


if __name__ == "__main__":
    main()
