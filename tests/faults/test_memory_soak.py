"""Hostile and ordinary jobs beside each other: memory stays within what the flags promise.

The work comes in rounds. After each, when everything has ended, memory is measured at rest; its
peaks are measured all the time.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import random
import socket
import statistics
import sys
import threading
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
import requests
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

from qsession_widget import Batch, Estimator, QiskitRuntimeService, Sampler, Session
from qsession_widget.runtime import bounds
from qsession_widget.runtime.control import at_hand
from qsession_widget.runtime.http.job_body import READING_BYTES
from qsession_widget.runtime.http.middleware.connection_guard import MAX_HEAD_BYTES
from qsession_widget.runtime.store.store import LISTERS, READERS
from qsession_widget.runtime.worker import lru_cache
from qsession_widget.wire import codec
from tests.conftest import DEADLINE_SECONDS, running, use
from tests.faults.mutations import Mutator
from tests.faults.test_kill import rows
from tests.faults.test_mutations import good
from tests.runtime.http.test_large_texts import hostile_bodies, unread
from tests.runtime.http.test_users import add
from tests.runtime.server import FINAL, Server, coin, reached, workers
from tests.runtime.worker.test_lru_cache import large

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECONDS = float(os.environ.get("QSESSION_SOAK_SECONDS", "12"))
"""How long the users work; `make soak` runs for an hour."""

ROUND_SECONDS = min(60.0, SECONDS / 2)
SAMPLE_SECONDS = 0.2

MIB = 2**20
LONGEST_SECONDS = 900.0
"""Everything that a round has begun has ended by then, even on a busy machine."""

FLAGS = {
    "--workers": 2,
    "--max-body-bytes": 24 * MIB,
    "--max-job-memory-bytes": 400 * MIB,
    "--max-result-bytes": 24 * MIB,
    "--max-job-seconds": 120,
}
BODY = FLAGS["--max-body-bytes"]
CACHES = lru_cache.bound_for(FLAGS["--max-job-memory-bytes"])

DEVICES = ("fake_manila", "fake_lagos", "fake_brisbane", "aer_simulator")
LARGEST_MIB = 20 if SECONDS > 60 else 8

PAGES = 2_000 * 1024
"""SQLite's page cache of a connection, its default; a new one is empty."""

MANY = 30
"""From how many rests on, half an hour of them, the largest worker tells something."""

NOISE = 30 * MIB
"""Freed memory that the allocator keeps, and what libraries cache after their first use."""


class Rest(NamedTuple):
    """Bytes in use while nothing runs, and the peak since the last rest."""

    at_seconds: float
    server: int
    workers: list[int]
    store: int
    server_peak: int
    worker_peak: int
    reader_peak: int
    descriptors: int
    threads: int
    jobs: int


class Meter:
    """Samples the memory of a runtime's processes on a thread of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._process = psutil.Process(server.pid)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._began = time.monotonic()
        self._peaks = Counter[str]()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ends.wait(SAMPLE_SECONDS):
            # Processes may end between any two questions about them.
            with suppress(psutil.NoSuchProcess):
                self._sample()

    def _sample(self) -> None:
        working = workers(self._server)
        found = {"server": [self._process.memory_info().rss], "worker": [], "reader": []}
        for child in self._process.children():
            if not child.children():
                found["reader"].append(child.memory_info().rss)
        found["worker"] = [psutil.Process(pid).memory_info().rss for pid in working]
        for name, sizes in found.items():
            self._peaks[name] = max(self._peaks[name], *sizes, 0)

    def rest(self, jobs: int) -> Rest:
        """Measure now, and reset the peaks."""
        peaks, self._peaks = self._peaks, Counter[str]()
        own = self._process
        sizes = [psutil.Process(pid).memory_info().rss for pid in workers(self._server)]
        return Rest(
            at_seconds=time.monotonic() - self._began,
            server=own.memory_info().rss,
            workers=sizes,
            store=sum(each.stat().st_size for each in self._server.folder.glob("runtime.db*")),
            server_peak=peaks["server"],
            worker_peak=peaks["worker"],
            reader_peak=peaks["reader"],
            descriptors=own.num_fds(),
            threads=own.num_threads(),
            jobs=jobs,
        )


@dataclass
class Ledger:
    """Which jobs the runtime has taken, and how each may end."""

    taken: dict[str, set[str]] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    acts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, job_id: str, *ends: str) -> str:
        with self.lock:
            assert job_id not in self.taken, "two jobs have one id"
            self.taken[job_id] = set(ends)
        return job_id


class Guest:
    """A user who does one thing after another, each chosen at random."""

    acts: tuple[str, ...] = ()

    def __init__(self, server: Server, ledger: Ledger, seed: int) -> None:
        self.server, self.ledger = server, ledger
        self.random = random.Random(seed)  # noqa: S311 - chooses what comes next

    def work(self, until: float) -> None:
        while time.monotonic() < until:
            name = self.random.choice(self.acts)
            getattr(self, name)()
            with self.ledger.lock:
                self.ledger.acts[f"{type(self).__name__}.{name}"] += 1

    def sent(self, ends: set[str], **body: Any) -> str:
        answer = self.server.send(**body)
        assert answer.status_code == 200, answer.text
        return self.ledger.take(answer.json()["id"], *ends)

    def final(self, job_id: str) -> Any:
        """Wait for the end of a job, by held requests."""
        path = f"/jobs/{job_id}"
        until = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < until:
            held = {"Prefer": "wait=20"}
            self.server.get(f"/qsession{path}/outcome", headers=held)
            job = self.server.job(job_id)
            if job["state"]["status"] in FINAL:
                return job
        raise AssertionError(f"{job_id} has not ended")


class Student(Guest):
    """Uses the package as its users do: sessions, batches, samplers and estimators."""

    acts = ("session", "session", "batch", "alone", "look")

    def session(self) -> None:
        self._inside(Session)

    def batch(self) -> None:
        self._inside(Batch)

    def _inside(self, kind: type[Session]) -> None:
        service = QiskitRuntimeService(channel="local")
        with kind(service=service, backend=self.random.choice(DEVICES)) as session:
            jobs = [self._sampled(Sampler(mode=session)) for _ in range(3)]
            jobs += [self._estimated(Estimator(mode=session))]
            for check in jobs:
                check()

    def alone(self) -> None:
        service = QiskitRuntimeService(channel="local")
        self._sampled(Sampler(mode=service.backend(self.random.choice(DEVICES))))()

    def _circuit(self) -> QuantumCircuit:
        circuit = QuantumCircuit(self.random.randint(2, 5))
        for _ in range(self.random.randint(3, 30)):
            qubit = self.random.randrange(circuit.num_qubits - 1)
            circuit.ry(self.random.random(), qubit)
            circuit.cx(qubit, qubit + 1)
        return circuit

    def _sampled(self, sampler: Sampler) -> Callable[[], None]:
        circuit, shots = self._circuit(), self.random.randint(1, 2_000)
        circuit.measure_all()
        job = sampler.run([circuit], shots=shots)
        self.ledger.take(job.job_id(), "Completed")

        def check() -> None:
            counts = job.result(LONGEST_SECONDS)[0].data.meas.get_counts()
            assert sum(counts.values()) == shots

        return check

    def _estimated(self, estimator: Estimator) -> Callable[[], None]:
        circuit = self._circuit()
        observable = SparsePauliOp(["Z" * circuit.num_qubits, "X" * circuit.num_qubits])
        job = estimator.run([(circuit, observable)], precision=0.1)
        self.ledger.take(job.job_id(), "Completed")

        def check() -> None:
            assert abs(float(job.result(LONGEST_SECONDS)[0].data.evs)) <= 2.0

        return check

    def look(self) -> None:
        service = QiskitRuntimeService(channel="local")
        assert len(service.jobs(limit=20)) <= 20
        assert self.server.json("/qsession/status")["workers"]


class Tester(Guest):
    """Uses what may end in several ways: private, failing and cancelled jobs."""

    __test__ = False

    acts = ("private", "fails", "cancel", "cancel", "end_session", "tags")

    def private(self) -> None:
        job_id = self.sent({"Completed"}, private=True)
        assert self.final(job_id)["status"] == "Completed"
        taken = [
            self.server.get(f"/jobs/{job_id}/results", headers={"Idempotency-Key": key}).status_code
            for key in ("first", "first", "another")
        ]
        assert taken == [200, 200, 204]

    def fails(self) -> None:
        bad = [
            {"pubs": [1]},
            coin(qubits=30),
            {"pubs": [[{"__type__": "QuantumCircuit", "__value__": "AAAA"}, [], 10]]},
        ]
        job_id = self.sent({"Failed"}, params=self.random.choice(bad))
        assert self.final(job_id)["status"] == "Failed"

    def cancel(self) -> None:
        wide = coin(qubits=self.random.randint(1, 20), shots=self.random.choice((10, 100_000)))
        job_id = self.sent({"Completed", "Cancelled"}, backend="aer_simulator", params=wide)
        threading.Event().wait(self.random.uniform(0.0, 0.3))
        assert self.server.ask("POST", f"/jobs/{job_id}/cancel").status_code in {204, 409}

    def end_session(self) -> None:
        session = self.server.open(mode=self.random.choice(("dedicated", "batch")))
        for _ in range(4):
            self.sent({"Completed", "Cancelled"}, session_id=session)
        threading.Event().wait(self.random.uniform(0.0, 0.2))
        assert self.server.ask("DELETE", f"/sessions/{session}/close").status_code == 204

    def tags(self) -> None:
        job_id = self.sent({"Completed"}, tags=["x" * bounds.TAG.most] * bounds.TAGS.most)
        answer = self.server.ask("PUT", f"/jobs/{job_id}/tags", json={"tags": ["y"] * 100})
        assert answer.status_code == 204, answer.text
        assert self.server.json("/jobs", tags="y", limit=200)["jobs"]


class HeavyUser(Guest):
    """Sends large payloads and fetches large results."""

    acts = ("values", "gates", "note", "shots", "leaves")

    def values(self) -> None:
        """Send a circuit with many values."""
        angles = ParameterVector("a", 200)
        circuit = QuantumCircuit(4)
        for place, angle in enumerate(angles):
            circuit.rz(angle, place % 4)
        circuit.measure_all()
        count = self.random.randint(1, LARGEST_MIB) * 500
        values = np.random.default_rng(count).random((count, len(angles)))
        params = codec.dumps({"pubs": [[circuit, values, 1]]})
        # Aer makes a circuit of each row, which may take more than a job may have.
        job_id = self._run_large("aer_simulator", params, fits=count <= 500)
        assert len(self.server.get(f"/jobs/{job_id}").content) > len(params)
        self._remove(job_id)

    def gates(self) -> None:
        """Send a circuit that takes a while to transpile, and that no other job sends."""
        circuit = large(self.random.randrange(10**6), 6_000)
        self._remove(self._run_large("fake_manila", codec.dumps({"pubs": [[circuit, [], 10]]})))

    def note(self) -> None:
        """Send a circuit with a large text beside it."""
        circuit = large(self.random.randrange(10**6), 20)
        size = self.random.randint(1, LARGEST_MIB) * MIB
        circuit.metadata = {"note": self.random.randbytes(size // 2).hex()}
        self._remove(self._run_large("fake_manila", codec.dumps({"pubs": [[circuit, [], 10]]})))

    def shots(self) -> None:
        """Ask for a large result."""
        circuit = QuantumCircuit(14)
        circuit.h(range(14))
        circuit.measure_all()
        pubs = [[circuit, [], 100_000]] * self.random.randint(2, 12)
        job_id = self._run_large("aer_simulator", codec.dumps({"pubs": pubs}))
        result = self.server.get(f"/jobs/{job_id}/results")
        assert len(codec.loads(result.text)) == len(pubs)
        with closing(unread(self.server, f"/jobs/{job_id}/results")) as line:
            line.recv(1)
        self._remove(job_id)

    def leaves(self) -> None:
        """Close the connection in the middle of a body."""
        body = hostile_bodies()[0]
        parts = urlsplit(self.server.url)
        head = (
            f"POST {parts.path}/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            f"Authorization: Bearer {self.server.token}\r\n\r\n"
        )
        with _line(self.server) as line:
            line.sendall(head.encode() + body[: self.random.randrange(len(body))])

    def _run_large(self, backend: str, params: str, *, fits: bool = True) -> str:
        body = json.dumps({"program_id": "sampler", "backend": backend, "params": 0})
        answer = self.server.ask("POST", "/jobs", data=body.replace("0", params))
        assert answer.status_code == 200, answer.text
        ends = ("Completed",) if fits else ("Completed", "Failed")
        job_id = self.ledger.take(answer.json()["id"], *ends)
        state = self.final(job_id)["state"]
        assert state["status"] == "Completed" or (not fits and "memory" in state["reason"]), state
        return job_id

    def _remove(self, job_id: str) -> None:
        assert self.server.ask("DELETE", f"/jobs/{job_id}").status_code == 204
        self.ledger.removed.add(job_id)


class Attacker(Guest):
    """Sends hostile requests."""

    acts = ("body", "mutated", "packed", "old", "hog", "fields", "head", "idle", "stranger", "deep")

    def __init__(self, server: Server, ledger: Ledger, seed: int) -> None:
        super().__init__(server, ledger, seed)
        self._mutated = Mutator(good(), seed).bodies(10**9)

    def _posted(self, body: bytes, *statuses: int) -> None:
        answer = self.server.ask("POST", "/jobs", data=body)
        assert answer.status_code in statuses, (answer.status_code, answer.text[:500])
        if answer.status_code == 200:
            self.ledger.take(answer.json()["id"], *FINAL)

    def body(self) -> None:
        self._posted(self.random.choice(_hostile()), 200, 400)

    def mutated(self) -> None:
        for _ in range(5):
            self._posted(next(self._mutated), 200, 400, 404, 409, 413)

    def packed(self) -> None:
        circuit, array = _packed()
        pubs = self.random.choice(([[circuit, [], 10]], [[coin()["pubs"][0][0], array, 10]]))
        self._fails(pubs)

    def old(self) -> None:
        """Send circuits in old formats, in no valid format, and cut short."""
        written = zlib.decompress(base64.b64decode(coin()["pubs"][0][0]["__value__"]))
        changed = self.random.choice(
            (
                written[:6] + bytes([self.random.randint(1, 12)]) + written[7:],
                written[: self.random.randint(0, len(written) - 1)],
                self.random.randbytes(len(written)),
            )
        )
        self._fails([[_circuit_text(changed), [], 10]])

    def _fails(self, pubs: Any) -> None:
        job = self.final(self.sent({"Failed"}, params={"pubs": pubs}))
        assert job["status"] == "Failed"

    def hog(self) -> None:
        """Ask for more memory than a job may take."""
        circuit = QuantumCircuit(28)
        circuit.h(range(28))
        for place in range(27):
            circuit.cp(0.1, place, place + 1)
        circuit.measure_all()
        params = json.loads(codec.dumps({"pubs": [[circuit, [], 1]]}))
        options = {"simulator": {"seed_simulator": 1}}
        job_id = self.sent(
            {"Failed"}, backend="aer_simulator", params={**params, "options": options}
        )
        assert "memory" in self.final(job_id)["state"]["reason"]

    def fields(self) -> None:
        for more in (
            {"tags": ["x" * (bounds.TAG.most + 1)]},
            {"tags": ["x"] * (bounds.TAGS.most + 1)},
            {"tags": ["x" * MIB]},
            {"runtime": "x" * 10_000},
            {"log_level": "x" * 10_000},
            {"session_id": "x" * 10_000},
        ):
            assert self.server.send(**more).status_code in {400, 404, 413}
        for path in ("/jobs", "/workloads", "/tags"):
            answer = self.server.get(path, params={"tags": ["x"] * 50 + ["y" * 300]})
            assert answer.status_code in {200, 400}
        key = {"Idempotency-Key": "k" * 10_000}
        assert self.server.ask("POST", "/jobs", headers=key, json={}).status_code in {400, 431}

    def head(self) -> None:
        """Send heads that are too long, have too many headers, or never end."""
        for more in (b"X-A: " + b"a" * 2 * MAX_HEAD_BYTES, b"X-A: a\r\n" * 20_000):
            with _line(self.server) as line, suppress(ConnectionError):
                line.sendall(b"GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\n" + more)
                assert line.recv(12) in {b"HTTP/1.1 431", b"HTTP/1.1 400", b""}

    def idle(self) -> None:
        """Open connections, send little, and leave them open."""
        with contextlib.ExitStack() as held:
            for _ in range(40):
                line = held.enter_context(_line(self.server))
                with suppress(ConnectionError):
                    line.sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\n")

    def stranger(self) -> None:
        for token in ("", "x", "x" * 4_000):
            head = {"Authorization": f"Bearer {token}"}
            answer = requests.get(f"{self.server.url}/jobs", headers=head, timeout=DEADLINE_SECONDS)
            assert answer.status_code == 401

    def deep(self) -> None:
        depth = self.random.choice((100, 10_000, MIB))
        nested = b"[" * depth + b"]" * depth
        self._posted(
            b'{"program_id": "sampler", "backend": "fake_manila", "params": {"pubs": %s}}' % nested,
            200,
            400,
        )


@cache
def _hostile() -> list[bytes]:
    """Return hostile bodies of the largest size."""
    return hostile_bodies(BODY)


@cache
def _packed() -> tuple[Any, Any]:
    """Return a circuit and an array that unpack to hundreds of megabytes."""
    zeros = bytes(300 * MIB)
    array = io.BytesIO()
    np.save(array, np.zeros((1, 1)))
    head = array.getvalue()[:128].replace(b"(1, 1)", b"(40000000, 1)").ljust(128)[:128]
    packed = base64.b64encode(zlib.compress(head + zeros)).decode()
    return _circuit_text(zeros), {"__type__": "ndarray", "__value__": packed}


def _circuit_text(written: bytes) -> dict[str, str]:
    text = base64.b64encode(zlib.compress(written)).decode()
    return {"__type__": "QuantumCircuit", "__value__": text}


def _line(server: Server) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((str(parts.hostname), int(parts.port or 0)), DEADLINE_SECONDS)


def listed(server: Server) -> Iterator[dict[str, Any]]:
    offset = 0
    while page := server.json("/jobs", limit=200, offset=offset)["jobs"]:
        yield from page
        offset += len(page)


def check_log(server: Server) -> None:
    """Check that the runtime itself had no error; failures of users' jobs are logged as such."""
    for file in server.folder.glob("runtime.log*"):
        for line in file.read_text(errors="replace").splitlines():
            # The line was cut when the log was rotated, or comes from a library.
            try:
                record = json.loads(line)
            except ValueError:
                assert "Traceback" not in line
                continue
            assert record["level"] in {"INFO", "WARNING"}, record
            assert "exception" not in record, record


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds what a worker takes")
def test_memory_stays_within_what_the_flags_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Students, testers, heavy users and attackers at the same time, with tokens of their own."""
    use(tmp_path, monkeypatch)
    flags = [part for name, value in FLAGS.items() for part in (name, str(value))]
    with running(tmp_path, *flags, "--log-format", "json") as folder:
        server = reached(folder)
        ledger = Ledger()
        names: dict[type[Guest], Server] = {Student: server}
        names |= {
            kind: add(server, kind.__name__.lower()) for kind in (Tester, HeavyUser, Attacker)
        }
        kinds = (Student, Student, Tester, HeavyUser, HeavyUser, Attacker, Attacker)
        guests = [
            kind(replace(names[kind], pid=server.pid), ledger, seed)
            for seed, kind in enumerate(kinds)
        ]
        for backend in ("fake_manila", "aer_simulator"):
            guests[0].final(guests[0].sent({"Completed"}, backend=backend))
        rests: list[Rest] = []
        with Meter(server) as meter, ThreadPoolExecutor(len(guests)) as threads:
            rests.append(meter.rest(len(ledger.taken)))
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                end = min(until, time.monotonic() + ROUND_SECONDS)
                for done in [threads.submit(guest.work, end) for guest in guests]:
                    done.result(ROUND_SECONDS + LONGEST_SECONDS)
                query = "select count(*) from jobs where ended_at is null"
                calm = time.monotonic() + LONGEST_SECONDS
                while rows(folder, query) != [(0,)]:
                    assert time.monotonic() < calm, "jobs that do not end"
                    threading.Event().wait(0.05)
                rests.append(meter.rest(len(ledger.taken)))
                sys.stdout.write(f"{told(rests[-1])}\n")
                sys.stdout.flush()
                check_log(server)
        sys.stdout.write(f"{dict(sorted(ledger.acts.items()))}\n")
        check_jobs(list(names.values()), ledger)
        check_memory(rests)


def told(rest: Rest) -> str:
    sizes = [f"{rest.server / MIB:.0f}", *(f"{each / MIB:.0f}" for each in rest.workers)]
    peaks = [f"{each / MIB:.0f}" for each in (rest.server_peak, rest.worker_peak, rest.reader_peak)]
    return (
        f"{rest.at_seconds:6.0f} s, {rest.jobs} jobs: at rest {' '.join(sizes)} MiB, "
        f"peaks {' '.join(peaks)} MiB, store {rest.store / MIB:.0f} MiB, "
        f"{rest.descriptors} descriptors, {rest.threads} threads"
    )


def check_jobs(users: list[Server], ledger: Ledger) -> None:
    """Check that each accepted job exists once, and has ended in one of the allowed ways."""
    found = [job for user in users for job in listed(user)]
    assert Counter(job["id"] for job in found).most_common(1)[0][1] == 1
    assert {job["id"] for job in found} == ledger.taken.keys() - ledger.removed
    wrong = [job for job in found if job["status"] not in ledger.taken[job["id"]]]
    assert not wrong, wrong[:3]


def check_memory(rests: list[Rest]) -> None:
    """Check that the server and each worker stayed within their limits, and do not keep growing."""
    first, later = rests[0], rests[1:]
    base = max(first.workers)
    # A worker's caches hold twice their bound at most, as measured.
    assert max(max(each.workers) for each in later) <= base + 2 * CACHES + NOISE
    job = FLAGS["--max-job-memory-bytes"]
    # Besides what is in its heap already, a job may take its limit; its payload, as bytes and as
    # text, and its result are there before and after.
    assert max(each.worker_peak for each in later) <= base + 2 * CACHES + job + 3 * BODY + NOISE
    # Payloads and outcomes that are kept at hand, and what SQLite keeps for each connection.
    kept = 2 * at_hand.MOST * at_hand.LARGEST + (1 + READERS + LISTERS) * PAGES
    assert max(each.server for each in later) <= first.server + kept + NOISE
    # Two bodies and two answers of each user who has such, and what is made of them.
    assert max(each.server_peak for each in later) <= first.server + kept + 20 * BODY
    assert max(each.reader_peak for each in later) <= 2 * BODY + READING_BYTES + NOISE
    quarter = len(later) // 4
    if quarter:
        third, last = later[2 * quarter : 3 * quarter], later[3 * quarter :]
        for name in ("server", "descriptors", "threads"):
            before, after = (
                statistics.median(getattr(each, name) for each in part) for part in (third, last)
            )
            noise = NOISE if name == "server" else 8
            assert after <= before + noise, f"{name}: {before} became {after}"
    if len(later) >= MANY:
        # A worker may be new and small, or have full caches: the largest one shows growth. The
        # largest of a few is chance.
        before, after = (
            max(size for each in part for size in each.workers)
            for part in (later[: 3 * quarter], later[3 * quarter :])
        )
        assert after <= before + NOISE, f"workers: {before} became {after}"
