"""What it costs to watch a session: requests, bytes, and processor time of both sides.

A session has one job that runs and others that wait. Every few seconds one of them gets another
tag, which a watcher has to notice; at last, nothing changes any more. Ours are panels, one or
twenty of them; the official way is to ask `session.details()` and `service.jobs(session_id=...)`
once a second, as a program does that has no panel. All watch the same runtime, one after the other.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import warnings
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
from qiskit import QuantumCircuit
from qiskit_ibm_runtime import Session as OfficialSession
from requests.adapters import HTTPAdapter
from rich.console import Console
from rich.table import Table

from benchmarks.measure import arguments, write
from benchmarks.official_client import runtime
from qsession_widget import QiskitRuntimeService, Session, SessionPanel
from qsession_widget.local import process
from qsession_widget.local.ibm_client import NO_USAGE_DATA
from qsession_widget.monitoring.monitor import Monitor
from qsession_widget.wire import codec
from qsession_widget.wire.fields import API_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from requests import PreparedRequest, Response

    from qsession_widget.wire.discovery import Discovery

DEVICE = "fake_manila"
JOBS = (1, 100, 10_000)
OFFICIAL_PAUSE_SECONDS = 1.0
CHANGE_EVERY_SECONDS = 2.0
SENDERS = 8
SETTLE_SECONDS = 3.0
"""Seconds after a watcher's start, which costs more, before the measurement begins."""


@dataclass
class Cost:
    """What one way of watching cost.

    Attributes:
        looks: how often all of the session was known anew.
        requests: how many were answered.
        kilobytes: of their bodies and heads, both ways.
        client_seconds: processor time of the watching process.
        runtime_seconds: of the runtime's server and its workers.
        seconds: how long it was watched.
    """

    name: str
    looks: int = 0
    requests: int = 0
    kilobytes: float = 0.0
    client_seconds: float = 0.0
    runtime_seconds: float = 0.0
    seconds: float = 0.0


@contextmanager
def counting(cost: Cost, server: psutil.Process) -> Iterator[None]:
    """Count all that goes through requests, which both clients use."""
    send, lock = HTTPAdapter.send, threading.Lock()

    def counted(self: HTTPAdapter, request: PreparedRequest, *rest: Any, **more: Any) -> Response:
        response = send(self, request, *rest, **more)
        size = _size(request.headers, request.body) + _size(response.headers, response.content)
        with lock:
            cost.requests += 1
            cost.kilobytes += size / 1000
        return response

    began, ours, theirs = time.perf_counter(), time.process_time(), _processor_seconds(server)
    HTTPAdapter.send = counted  # type: ignore[method-assign] # both clients send through it
    try:
        yield
    finally:
        HTTPAdapter.send = send  # type: ignore[method-assign] # as it was
    cost.seconds = time.perf_counter() - began
    cost.client_seconds = time.process_time() - ours
    cost.runtime_seconds = _processor_seconds(server) - theirs


def await_more(looks: Callable[[], int]) -> None:
    """Wait for the end of a look."""
    before = looks()
    while looks() == before:
        time.sleep(0.02)


def _size(headers: Any, body: bytes | str | None) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers.items()) + len(body or b"")


def _processor_seconds(server: psutil.Process) -> float:
    times = [each.cpu_times() for each in (server, *server.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


class Notifier:
    """Sets another tag on a job every few seconds, through a connection that is not counted."""

    def __init__(self, there: Discovery, job_id: str) -> None:
        self._there, self._job_id = there, job_id
        self._stop = threading.Event()

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(CHANGE_EVERY_SECONDS):
            number += 1
            ask(self._there, "PUT", f"/jobs/{self._job_id}/tags", {"tags": [f"change-{number}"]})


def ask(there: Discovery, method: str, path: str, body: Any) -> Any:
    """Send a request without requests."""
    parts = urlsplit(there.url)
    connection = HTTPConnection(str(parts.hostname), parts.port)
    headers = {"Authorization": f"Bearer {there.token}", "Content-Type": "application/json"}
    connection.request(method, API_PREFIX + path, json.dumps(body), headers)
    text = connection.getresponse().read()
    connection.close()
    return json.loads(text) if text else None


def fill(session: Session, there: Discovery, count: int) -> list[str]:
    """Send jobs until a session has so many, and return the ids of the new ones."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    params = json.loads(codec.dumps({"pubs": [[circuit, [], 10]], "version": 2}))
    body = {"program_id": "sampler", "backend": DEVICE, "session_id": session.session_id}
    ids: list[str] = []

    def send(number: int) -> None:
        job = {**body, "params": params}
        ids.extend(ask(there, "POST", "/jobs", job)["id"] for _ in range(number))

    shares = [count // SENDERS + (each < count % SENDERS) for each in range(SENDERS)]
    threads = [threading.Thread(target=send, args=(share,)) for share in shares]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return ids


@contextmanager
def panels(session: Session, count: int) -> Iterator[Callable[[], int]]:
    """Start panels that count as looked at; return a counter of their updates."""
    opened = [SessionPanel(session) for _ in range(count)]
    for panel in opened:
        # What a browser says when it shows a widget.
        panel._view_count = 1  # noqa: SLF001 - nothing public says it
    time.sleep(SETTLE_SECONDS)
    yield lambda: Monitor.of(session).snapshot.beat
    for panel in opened:
        panel.close()


@contextmanager
def official(session: Any) -> Iterator[Callable[[], int]]:
    """Start a thread that asks for everything repeatedly; return a counter of its looks."""
    stop, looks = threading.Event(), 0

    def poll() -> None:
        nonlocal looks
        while not stop.wait(OFFICIAL_PAUSE_SECONDS):
            session.details()
            session.service.jobs(session_id=session.session_id, limit=None)
            looks += 1

    thread = threading.Thread(target=poll)
    thread.start()
    time.sleep(SETTLE_SECONDS)
    yield lambda: looks
    stop.set()
    thread.join()


def measure(home: Path, session: Session, changing: str | None, seconds: float) -> list[Cost]:
    """Watch in each way for so long, while a job is given other tags or nothing happens."""
    there = process.endpoint(start=False, folder=home)
    theirs = OfficialSession.from_id(
        session.session_id, service=process.official_service(folder=home)
    )
    ways = {
        "one panel": panels(session, 1),
        "twenty panels": panels(session, 20),
        "the official way": official(theirs),
    }
    server = psutil.Process(there.pid)
    costs = []
    for name, way in ways.items():
        cost = Cost(name)
        changes = nullcontext() if changing is None else Notifier(there, changing)
        with way as looks, changes:
            # From the end of a look to the end of another one, which may take its time.
            await_more(looks)
            before = looks()
            with counting(cost, server):
                time.sleep(seconds)
                await_more(looks)
            cost.looks = looks() - before
        costs.append(cost)
    return costs


def ratio(value: float, of: float) -> str:
    """Return a ratio as text."""
    return f"1/{of / value:,.0f}" if value else "0"


def show(title: str, costs: list[Cost]) -> None:
    """Print a table; the last columns compare with the last way."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    heads = ("looks", "requests", "kB", "client CPU s", "runtime CPU s", "seconds")
    for head in (*heads, "kB a look", "CPU a look"):
        table.add_column(head, justify="right")
    dearest = costs[-1]
    for each in costs:
        table.add_row(
            each.name,
            str(each.looks),
            str(each.requests),
            f"{each.kilobytes:.1f}",
            f"{each.client_seconds:.2f}",
            f"{each.runtime_seconds:.2f}",
            f"{each.seconds:.1f}",
            ratio(each.kilobytes / each.looks, dearest.kilobytes / dearest.looks),
            ratio(each.client_seconds / each.looks, dearest.client_seconds / dearest.looks),
        )
    Console(width=110).print(table)


def main() -> None:
    """Watch sessions of several sizes, and print a table for each."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each way watches")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    os.environ.update(NO_USAGE_DATA)
    seconds = 5.0 if given.short else given.seconds
    figures: dict[str, Any] = {}
    # An hour for each job: the first one runs, and all others wait.
    lasting = ("--min-job-seconds", "3600", "--hold-new-jobs-seconds", "0")
    with runtime(*lasting) as home, ExitStack() as stack:
        there = process.endpoint(start=False, folder=home)
        service = stack.enter_context(QiskitRuntimeService("local", there.token, there.url))
        session = Session(service, DEVICE)
        stack.callback(session.cancel)
        ids: list[str] = []
        sizes = JOBS[:2] if given.short else JOBS
        for count in sizes:
            ids += fill(session, there, count - len(ids))
            watched: dict[str, str | None] = {f"a session of {count} jobs": ids[-1]}
            if count == sizes[-1]:
                watched[f"{count} jobs, and nothing changes"] = None
            for title, changing in watched.items():
                costs = measure(home, session, changing, seconds)
                show(title, costs)
                figures[title] = [asdict(each) for each in costs]
    write(given.json, figures)


if __name__ == "__main__":
    main()
