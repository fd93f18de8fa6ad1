"""Times that may grow with the jobs of a store or a session: lists, a start, gc, a watched panel.

Two runtimes answer in turn, one with 100 jobs in its store and one with many. The first start of a
store that another program has filled makes its index of lists; the figures are of later starts.
During the requests a probe sends small ones: the longest answer shows for how long the event loop
stood still, on a machine that does other things too.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comm
import requests
from comm.base_comm import BaseComm
from qiskit import generate_preset_pass_manager
from qiskit.circuit.library import real_amplitudes
from rich.console import Console
from rich.table import Table

from benchmarks.measure import arguments, own_runtime, write
from qsession_widget import QiskitRuntimeService, Sampler, Session, SessionPanel
from qsession_widget.local import process
from qsession_widget.wire.fields import API_PREFIX
from tests.conftest import running
from tests.runtime.many_jobs import SESSION, fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qiskit import QuantumCircuit

FEW = 100
MANY, SHORT_MANY = 100_000, 20_000
STARTED, SHORT_STARTED = 1_000_000, 50_000
WATCHED, SHORT_WATCHED = 10_000, 3_000
OK = 200


@dataclass
class Growth:
    """How long something takes with few jobs and with many, in milliseconds."""

    name: str
    few: float
    many: float
    longest_stall: float = 0.0

    @property
    def ratio(self) -> float:
        """How many times as long it takes with many."""
        return self.many / self.few


def requests_of(count: int) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the requests by name; deep ones are for the page after nine tenths of all."""
    deep = {"offset": count * 9 // 10}
    return {
        "jobs": ("/jobs", {}),
        "jobs, offset of 90 %": ("/jobs", deep),
        "jobs of a backend and program": (
            "/jobs",
            {"backend": "fake_manila", "program": "sampler"},
        ),
        "jobs of a session, deep": ("/jobs", {"session_id": SESSION, "offset": count * 4 // 10}),
        "jobs with a tag": ("/jobs", {"tags": "tag7"}),
        "pending jobs": ("/jobs", {"pending": "true"}),
        "ended jobs since a time": (
            "/jobs",
            {"pending": "false", "created_after": "2026-11-22T12:00:01Z"},
        ),
        "workloads": ("/workloads", {}),
        "completed workloads, deep": (
            "/workloads",
            {"status": "completed", "next": count * 4 // 10},
        ),
        "workloads, search in tags": ("/workloads", {"search": "tag"}),
        "workloads, search for a tag": ("/workloads", {"search": "tag77"}),
        "tags": ("/tags", {"search": "tag"}),
        "usage": ("/instances/usage", {}),
        "status": ("/qsession/status", {}),
    }


class Client:
    """A runtime as plain HTTP, on a connection that is kept."""

    def __init__(self, home: Path) -> None:
        found = process.endpoint(start=False, folder=home)
        self._root = f"{found.url}{API_PREFIX}"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {found.token}"

    def get(self, path: str, query: dict[str, Any]) -> float:
        """Return the milliseconds of a request."""
        began = time.perf_counter()
        answer = self._session.get(self._root + path, params=query, timeout=60)
        took = (time.perf_counter() - began) * 1000
        if answer.status_code != OK:
            raise RuntimeError(f"{path} {query}: {answer.status_code} {answer.text[:300]}")
        return took

    def collect(self, days: float) -> float:
        """Remove old results; return how many milliseconds that took."""
        began = time.perf_counter()
        answer = self._session.post(
            f"{self._root}/qsession/gc", json={"retention_days": days}, timeout=60
        )
        answer.raise_for_status()
        return (time.perf_counter() - began) * 1000


def store(count: int) -> Path:
    """Make the folder of a runtime with so many jobs and a complete index."""
    folder = Path(tempfile.mkdtemp(prefix="qsession-growth-"))
    asyncio.run(fill(folder, count))
    with running(folder, "--workers", "1") as home:
        Client(home).get("/jobs", {})
    return folder


def lists(few: Path, many: Path, count: int, rounds: int) -> Iterator[Growth]:
    """Yield each list with few jobs and with many, in turn."""
    with ExitStack() as stack:
        small, large = (
            Client(stack.enter_context(running(folder, "--workers", "1"))) for folder in (few, many)
        )
        probe = Client(many)
        for name, (path, query) in requests_of(count).items():
            at_start = requests_of(FEW)[name][1]
            with _probed(probe) as stalls:
                times = [(small.get(path, at_start), large.get(path, query)) for _ in range(rounds)]
            first, second = (statistics.median(each) for each in zip(*times, strict=True))
            yield Growth(name, first, second, max(stalls))
        times = [(small.collect(36_500), large.collect(36_500)) for _ in range(rounds)]
        first, second = (statistics.median(each) for each in zip(*times, strict=True))
        yield Growth("gc of nothing", first, second)


class _probed:  # noqa: N801 - read as a statement
    """Sends small requests for as long as a block runs."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._took = [0.0]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._done.wait(0.002):
            self._took.append(self._client.get(f"/sessions/{SESSION}", {}))

    def __enter__(self) -> list[float]:
        self._thread.start()
        return self._took

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def start(few: Path, many: Path, rounds: int) -> Growth:
    """Return the time from the call of a runtime until it answers."""
    times: dict[Path, list[float]] = {few: [], many: []}
    for _ in range(rounds):
        for folder, took in times.items():
            began = time.perf_counter()
            with running(folder, "--workers", "1"):
                took.append((time.perf_counter() - began) * 1000)
    return Growth("start", statistics.median(times[few]), statistics.median(times[many]))


@dataclass
class Watched:
    """A loop of small jobs in a session with many, without and with a panel that is looked at.

    Attributes:
        p90: of an iteration without the panel, in milliseconds.
        watched_p90: with it.
        core_share: what the panel's thread takes of a core.
    """

    jobs: int
    p90: float
    watched_p90: float
    core_share: float
    updates_per_second: float
    threads_left: int

    @property
    def ratio(self) -> float:
        """How many times as long an iteration takes beside a panel."""
        return self.watched_p90 / self.p90


def watched(count: int, rounds: int, iterations: int) -> Watched:
    """Run the loop, without and with a panel in turn."""
    comm.create_comm = _Silent
    with own_runtime() as home:
        service = QiskitRuntimeService(channel="local")
        session = Session(service, "fake_manila", max_time=28_000)
        circuit = real_amplitudes(5, reps=2)
        circuit.measure_all()
        backend = service.backend("fake_manila")
        circuit = generate_preset_pass_manager(1, backend=backend).run(circuit)
        sampler = Sampler(mode=session)
        _run(sampler, circuit)
        process.stop(folder=home)
        _age(home, count)
        for _ in range(20):
            _run(sampler, circuit)
        alone: list[float] = []
        beside: list[float] = []
        used = seconds = 0.0
        updates = 0
        for _ in range(rounds):
            alone += [_run(sampler, circuit) for _ in range(iterations)]
            panel = _shown(session)
            thread = _monitor_of(session)
            before = _cpu_seconds(thread), panel.beat["n"], time.perf_counter()
            beside += [_run(sampler, circuit) for _ in range(iterations)]
            used += _cpu_seconds(thread) - before[0]
            updates += panel.beat["n"] - before[1]
            seconds += time.perf_counter() - before[2]
            panel.close()
            thread.join(10)
        left = sum(each.name.startswith("qsession-monitor") for each in threading.enumerate())
        session.cancel()
    return Watched(count, _p90(alone), _p90(beside), used / seconds, updates / seconds, left)


class _Silent(BaseComm):
    """A comm to a browser that does not exist."""

    def publish_msg(self, *args: Any, **keys: Any) -> None:
        """Drop a message."""


def _shown(session: Session) -> SessionPanel:
    """Return a panel that has been on a screen for a while."""
    panel = SessionPanel(session)
    update = {"method": "update", "state": {"_view_count": 1}, "buffer_paths": []}
    panel._handle_msg({"content": {"data": update}, "buffers": []})  # noqa: SLF001 - as the browser does
    time.sleep(3)
    return panel


def _monitor_of(session: Session) -> threading.Thread:
    name = f"qsession-monitor-{session.session_id}"
    return next(each for each in threading.enumerate() if each.name == name)


def _cpu_seconds(thread: threading.Thread) -> float:
    path = Path(f"/proc/self/task/{thread.native_id}/schedstat")
    return int(path.read_text().split()[0]) / 1e9 if path.exists() else 0.0


def _age(home: Path, count: int) -> None:
    """Put many copies of the first job into its session."""
    with closing(sqlite3.connect(home / "runtime.db")) as connection, connection:
        cursor = connection.execute("select * from jobs limit 1")
        names = [each[0] for each in cursor.description]
        first = dict(zip(names, cursor.fetchone(), strict=True))
        marks = ",".join("?" * len(names))
        for number in range(count):
            row = {
                **first,
                "id": f"{number:020x}",
                "idempotency_key": None,
                "revision": first["revision"] + number + 1,
            }
            connection.execute(f"insert into jobs values ({marks})", tuple(row.values()))  # noqa: S608 - marks
        connection.execute("update sessions set revision = ?", (first["revision"] + count + 1,))


def _run(sampler: Sampler, circuit: QuantumCircuit) -> float:
    values = [0.1] * circuit.num_parameters
    began = time.perf_counter()
    sampler.run([(circuit, values, 1024)]).result()
    return (time.perf_counter() - began) * 1000


def _p90(times: list[float]) -> float:
    return sorted(times)[len(times) * 9 // 10]


def table(title: str, rows: list[Growth], few: int, many: int) -> None:
    """Print the times with few jobs and with many."""
    found = Table(title=title, title_justify="left")
    heads = ("", f"{few:,} jobs, ms", f"{many:,} jobs, ms", "ratio", "longest stall, ms")
    for head in heads:
        found.add_column(head, justify="right" if head else "left")
    for each in rows:
        stall = f"{each.longest_stall:.1f}" if each.longest_stall else ""
        found.add_row(each.name, f"{each.few:.2f}", f"{each.many:.2f}", f"{each.ratio:.2f}", stall)
    Console(width=110).print(found)


def main() -> None:
    """Print the tables, and write the figures if a file is named."""
    parser = arguments(__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=("lists", "start", "panel"), help="one of the tables")
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    parts: dict[str, Callable[[bool], Any]] = {"lists": _lists, "start": _start, "panel": _panel}
    for name, part in parts.items():
        if given.only in {None, name}:
            figures[name] = part(given.short)
    write(given.json, figures)


def _lists(short: bool) -> Any:
    count = SHORT_MANY if short else MANY
    rows = list(lists(store(FEW), store(count), count, 20 if short else 60))
    table("lists, by the number of jobs in the store", rows, FEW, count)
    return [asdict(each) | {"ratio": each.ratio} for each in rows]


def _start(short: bool) -> Any:
    count = SHORT_STARTED if short else STARTED
    found = start(store(FEW), store(count), 2 if short else 5)
    table("from the start of a runtime until it answers", [found], FEW, count)
    return [asdict(found) | {"ratio": found.ratio}]


def _panel(short: bool) -> Any:
    count = SHORT_WATCHED if short else WATCHED
    found = watched(count, 2 if short else 3, 100 if short else 1000)
    print(
        f"a loop in a session of {found.jobs:,} jobs: p90 {found.p90:.1f} ms, beside a panel "
        f"{found.watched_p90:.1f} ms ({found.ratio:.2f} times), whose thread takes "
        f"{found.core_share:.2%} of a core for {found.updates_per_second:.1f} updates a second; "
        f"{found.threads_left} threads left when it is closed"
    )
    return asdict(found) | {"ratio": found.ratio}


if __name__ == "__main__":
    main()
