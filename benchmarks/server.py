"""Requests a second, and how long they take, as more and more clients ask at once.

Reads are of one session; submissions are of small jobs, each with a key as our client sends it, and
each on disk before it is answered; how many of them come of that is seen beside a runtime that
answers them without storing them. A client here is a connection that is kept open and asks again
as soon as it has its answer, so the load is as high as the runtime lets it be. All connections are
driven by this one process, which shares the machine with the runtime. At last, one client reads
while another one sends large jobs: the longest read shows how long they block other clients.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from qiskit import QuantumCircuit
from rich.console import Console
from rich.table import Table

from benchmarks.measure import arguments, write
from benchmarks.official_client import runtime
from qsession_widget.local import process
from qsession_widget.wire import codec
from qsession_widget.wire.fields import API_PREFIX, IDEMPOTENCY_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.wire.discovery import Discovery

DEVICE = "fake_manila"
CLIENTS = (1, 10, 100)
LARGE_MEGABYTES = (1, 8, 60)
ENOUGH = 1_000_000
"""Pending jobs that the runtime takes: none of them ever ends."""
TURNS = 4
"""How often each of two runtimes has its turn."""
OK = 200


@dataclass
class Load:
    """The responses to so many clients.

    Attributes:
        milliseconds: of each request.
        seconds: in all.
    """

    what: str
    clients: int
    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.milliseconds) / self.seconds

    @property
    def p50(self) -> float:
        """What half of the requests took at most, in milliseconds."""
        return statistics.median(self.milliseconds)

    @property
    def longest(self) -> float:
        """What all took at most, in milliseconds."""
        return max(self.milliseconds)

    @property
    def p99(self) -> float:
        """What all but one in a hundred took at most, in milliseconds."""
        return sorted(self.milliseconds)[len(self.milliseconds) * 99 // 100]


class Server:
    """A runtime, as plain HTTP."""

    def __init__(self, there: Discovery) -> None:
        parts = urlsplit(there.url)
        self._host, self._port = str(parts.hostname), parts.port
        self._head = f"Host: {parts.netloc}\r\nAuthorization: Bearer {there.token}\r\n"
        body = {"mode": "dedicated", "backend": DEVICE}
        answer = requests.post(
            f"{there.url}{API_PREFIX}/sessions",
            json=body,
            headers={"Authorization": f"Bearer {there.token}"},
            timeout=30,
        )
        session_id = answer.json()["id"]
        circuit = QuantumCircuit(2)
        circuit.h(0)
        circuit.cx(0, 1)
        circuit.measure_all()
        params = json.loads(codec.dumps({"pubs": [[circuit, [], 100]], "version": 2}))
        job = {"program_id": "sampler", "backend": DEVICE, "session_id": session_id}
        self._job = json.dumps({**job, "params": params}).encode()
        self._read = f"GET {API_PREFIX}/sessions/{session_id} HTTP/1.1\r\n{self._head}\r\n".encode()

    def read(self) -> bytes:
        """Return a request for the session."""
        return self._read

    def submission(self, job: bytes = b"") -> bytes:
        """Return a request with a new job, by default a small one."""
        body = job or self._job
        head = (
            f"POST {API_PREFIX}/jobs HTTP/1.1\r\n{self._head}{IDEMPOTENCY_KEY}: {uuid.uuid4()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def large(self, megabytes: int) -> bytes:
        """Return a request with a job of many numbers."""
        pub = ["a circuit", [0.1234567890123456] * (megabytes * 50_000), 100]
        job = {"program_id": "sampler", "backend": DEVICE, "params": {"pubs": [pub]}}
        return self.submission(json.dumps(job).encode())

    async def press(self, load: Load, ask: Callable[[], bytes], seconds: float) -> None:
        """Send requests by all clients at once for so many seconds."""
        connections = [
            await asyncio.open_connection(self._host, self._port) for _ in range(load.clients)
        ]
        began = time.perf_counter()

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while time.perf_counter() - began < seconds:
                asked = time.perf_counter()
                writer.write(ask())
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                body = await reader.readexactly(length)
                load.milliseconds.append((time.perf_counter() - asked) * 1000)
                if int(head.split(b" ", 2)[1]) != OK:
                    raise RuntimeError(f"{load.what}: {head!r} {body!r}")

        await asyncio.gather(*(client(*each) for each in connections))
        load.seconds = time.perf_counter() - began
        for _, writer in connections:
            writer.close()

    async def hold_up(self, megabytes: int, load: Load, seconds: float) -> None:
        """Read by one client while another one sends large jobs, one after the other."""
        request = self.large(megabytes)
        sending = Load(f"{megabytes} MB", 1)
        await asyncio.gather(
            self.press(load, self.read, seconds),
            asyncio.to_thread(asyncio.run, self.press(sending, lambda: request, seconds)),
        )


def compared(stored: Server, forgetful: Server, seconds: float) -> list[Load]:
    """Send jobs by many clients to a runtime, and to one that does not store them, in turn."""
    loads = [Load("stored", CLIENTS[-1]), Load("not stored", CLIENTS[-1])]
    lasted = [0.0, 0.0]
    for _ in range(TURNS):
        for place, server in enumerate((stored, forgetful)):
            asyncio.run(server.press(loads[place], server.submission, seconds))
            lasted[place] += loads[place].seconds
    for load, in_all in zip(loads, lasted, strict=True):
        load.seconds = in_all
    return loads


def arguments_of(settings: dict[str, str]) -> list[str]:
    """Return settings as arguments of a command line."""
    return [part for each in settings.items() for part in each]


def show(title: str, loads: list[Load]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left")
    for head in ("", "clients", "requests/s", "p50 ms", "p99 ms", "longest ms", "n"):
        table.add_column(head, justify="right")
    for each in loads:
        table.add_row(
            each.what,
            str(each.clients),
            f"{each.rate:.0f}",
            f"{each.p50:.2f}",
            f"{each.p99:.2f}",
            f"{each.longest:.2f}",
            str(len(each.milliseconds)),
        )
    Console(width=110).print(table)


def as_numbers(load: Load) -> dict[str, Any]:
    """Return a load's figures for a file."""
    return {
        "what": load.what,
        "clients": load.clients,
        "requests": len(load.milliseconds),
        "rate": load.rate,
        "p50": load.p50,
        "p99": load.p99,
        "longest": load.longest,
    }


def main() -> None:
    """Apply the load, and print a table for each kind of request."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each number of clients")
    given = parser.parse_args()
    seconds = 2.0 if given.short else given.seconds
    figures: dict[str, Any] = {}
    # An hour for each job: none of them takes the processor from what is measured.
    settings = {
        "--min-job-seconds": "3600",
        "--max-pending-jobs": str(ENOUGH),
        "--max-pending-jobs-in-total": str(ENOUGH),
    }
    with runtime(*arguments_of(settings)) as home:
        server = Server(process.endpoint(start=False, folder=home))
        kinds = {"reads of a session": server.read, "durable submissions": server.submission}
        for what, ask in kinds.items():
            loads = [Load(what, clients) for clients in CLIENTS]
            for load in loads:
                asyncio.run(server.press(load, ask, seconds))
            show(what, loads)
            figures[what] = [as_numbers(each) for each in loads]
        beside = [Load("beside none", 1)]
        asyncio.run(server.press(beside[0], server.read, seconds))
        for megabytes in LARGE_MEGABYTES:
            beside.append(Load(f"beside {megabytes} MB", 1))
            asyncio.run(server.hold_up(megabytes, beside[-1], seconds))
        show("reads beside large jobs", beside)
        figures["reads beside large jobs"] = [as_numbers(each) for each in beside]
        # Both at the same time on the same machine, one after the other in short turns.
        with runtime(*arguments_of(settings), module="benchmarks.unstored") as other:
            forgetful = Server(process.endpoint(start=False, folder=other))
            turns = compared(server, forgetful, seconds / TURNS)
        show("submissions, in turn", turns)
        ratio = turns[0].rate / turns[1].rate
        print(f"Stored submissions are {ratio:.2f} times as many as those that are not stored.\n")
        figures["submissions, in turn"] = [as_numbers(each) for each in turns]
    write(given.json, figures)


if __name__ == "__main__":
    main()
