"""Requests beyond a limit are refused with the value and the limit, and affect no other user."""

from __future__ import annotations

import base64
import io
import json
import pickle
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit

from qsession_widget.wire import codec
from tests.conftest import DEADLINE_SECONDS, running
from tests.runtime.http.test_users import add
from tests.runtime.server import COIN, Server, problem, reached, workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MEMORY = 100 * 2**20
LIMITS = {
    "--max-body-bytes": 4_000_000,
    "--max-circuits": 3,
    "--max-qubits": 28,
    "--max-shots": 5_000,
    "--max-job-memory-bytes": MEMORY,
    "--max-result-bytes": 10_000,
    "--max-pending-jobs": 4,
    "--max-pending-jobs-in-total": 6,
    "--max-open-sessions": 2,
}


def flags(**more: int) -> list[str]:
    chosen = LIMITS | {f"--{name.replace('_', '-')}": value for name, value in more.items()}
    return [part for name, value in chosen.items() for part in (name, str(value))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("limits"), "--workers", "1", *flags()) as folder:
        yield reached(folder)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    arguments = ("--workers", "1", "--min-job-seconds", "3600", *flags())
    with running(tmp_path_factory.mktemp("slow-limits"), *arguments) as folder:
        yield reached(folder)


def failed(server: Server, named: list[str], **body: Any) -> None:
    """Check that a job fails with a reason that contains these texts; the next one must run."""
    state = server.ended(server.submit(**body))["state"]
    assert state["status"] == "Failed"
    for each in named:
        assert each in state["reason"]
    following = server.ended(server.submit())
    assert following["status"] == "Completed", "the next job is unaffected"
    assert following["qsession"]["attempts"] == 1


# -- refused at once -----------------------------------------------------------------------


def asking(program_id: str, *pubs: list[Any], **more: Any) -> dict[str, Any]:
    params = json.loads(codec.dumps({"pubs": [list(pub) for pub in pubs], **more}))
    return {"program_id": program_id, "params": params}


BIT = QuantumCircuit(1, 1)
BIT.measure(0, 0)
PLAIN = QuantumCircuit(1)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (asking("sampler", [BIT, None, 6_000]), ["pub 0: 6000 shots", "this runtime takes 5000"]),
        (asking("sampler", [BIT], [BIT, None, 200_000]), ["pub 1: 200000", "fake_manila takes"]),
        (asking("sampler", [BIT], options={"default_shots": 6_000}), ["default_shots: 6000"]),
        (asking("estimator", [PLAIN, "Z", None, 0.01]), ["pub 0: Precision 0.01", "10000 shots"]),
        (
            asking("estimator", [PLAIN, "Z"], options={"default_precision": 0.001}),
            ["default_precision: Precision 0.001", "1000000 shots; fake_manila takes 100000"],
        ),
        (
            {"program_id": "executor", "params": {"quantum_program": {"items": [], "shots": 6000}}},
            ["6000 shots", "5000"],
        ),
    ],
)
def test_too_many_shots_are_refused_before_they_wait(
    server: Server, body: dict[str, Any], named: list[str]
) -> None:
    before = server.get("/jobs").json()["count"]
    said = problem(server.send(**body), 400)
    for each in named:
        assert each in said
    assert server.get("/jobs").json()["count"] == before


@pytest.mark.parametrize(
    "body",
    [
        asking("sampler", [BIT, None, 5_000]),
        asking("estimator", [PLAIN, "Z", None, 5_000**-0.5]),
        # A pub's own shots take precedence over the default.
        asking("sampler", [BIT, None, 10], options={"default_shots": 6_000}),
    ],
)
def test_the_largest_allowed_number_of_shots(server: Server, body: dict[str, Any]) -> None:
    assert server.ended(server.submit(**body))["status"] == "Completed"


@pytest.mark.parametrize(
    "params",
    [
        {"pubs": [["x", None, "6000"], 5, {"a": 6_000}, None], "options": [6_000]},
        {"pubs": [["x", None, [6_000]]], "options": {"default_shots": True}},
        {"pubs": {"a": 1}, "options": {"default_shots": 10**30}},
        {"pubs": [["x", None]], "options": {"default_shots": -1}},
    ],
)
def test_values_that_are_not_numbers_are_left_to_the_worker(
    server: Server, params: dict[str, Any]
) -> None:
    params["pubs"] = params["pubs"][:3] if isinstance(params["pubs"], list) else params["pubs"]
    assert server.ended(server.submit(params=params))["status"] == "Failed"


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1e-200", "-0.01", "0", "null", "NaN"])
def test_absurd_numbers_are_no_server_error(server: Server, text: str) -> None:
    for program_id, pub in (
        ("sampler", f'["x", [], {text}]'),
        ("estimator", f'["x", "Z", [], {text}]'),
    ):
        named = f'"program_id": "{program_id}", "backend": "fake_manila"'
        body = f'{{{named}, "params": {{"pubs": [{pub}]}}}}'
        assert server.ask("POST", "/jobs", data=body).status_code in {200, 400}


def test_too_many_shots_found_by_the_worker(server: Server) -> None:
    twirling = {"enable_gates": True, "num_randomizations": 60, "shots_per_randomization": 100}
    body = asking("estimator", [PLAIN, "Z"], options={"twirling": twirling})
    failed(server, ["6000 shots", "5000"], **body)


def test_a_request_that_is_too_large(server: Server) -> None:
    said = problem(server.send(params={"pubs": [], "x": "y" * 4_000_000}), 413)
    assert "4000000" in said


@pytest.mark.parametrize(
    "params",
    [{"pubs": [[]] * 4}, {"circuits": [1] * 4}, {"quantum_program": {"items": [{}] * 4}}],
)
def test_too_many_circuits(server: Server, params: dict[str, Any]) -> None:
    said = problem(server.send(params=params), 400)
    assert " 4 " in said
    assert " 3" in said


def test_too_many_jobs_of_one_owner_and_of_all(slow: Server) -> None:
    ada, eve = add(slow, "ada"), add(slow, "eve")
    jobs = [ada.submit(backend=name) for name in ("fake_manila", "aer_simulator") for _ in (1, 2)]
    answer = ada.send()
    assert "limit of 4 pending jobs" in problem(answer, 400)
    assert answer.json()["errors"][0]["code"] == 3458, "as IBM's"
    assert ada.json("/jobs")["count"] == 4
    eve.submit()
    last = eve.submit()
    assert "limit of 6 pending jobs of all users" in problem(eve.send(), 400)
    key = {"Idempotency-Key": "again"}
    eve.ask("DELETE", f"/jobs/{last}")
    first = eve.ask("POST", "/jobs", json=COIN, headers=key)
    replayed = eve.ask("POST", "/jobs", json=COIN, headers=key)
    assert (replayed.status_code, replayed.json()) == (200, first.json()), "a replay is no new job"
    ada.ask("POST", f"/jobs/{jobs[0]}/cancel")
    assert ada.send().status_code == 200, "one has ended"


def test_too_many_open_sessions(server: Server) -> None:
    first, _second = server.open(), server.open()
    body = {"backend": "fake_manila"}
    assert "limit of 2 open sessions" in problem(server.ask("POST", "/sessions", json=body), 400)
    server.ask("DELETE", f"/sessions/{first}/close")
    server.open()


# -- found by the worker ---------------------------------------------------------------


def test_a_result_that_is_too_large(server: Server) -> None:
    wide = QuantumCircuit(20)
    wide.h(range(20))
    wide.measure_all()
    pub = json.loads(codec.dumps({"pubs": [[wide, [], 5_000]]}))
    # 20 random bits of 5,000 shots cannot be packed into less.
    failed(server, ["10000", "--max-result-bytes"], params=pub, backend="aer_simulator")


def test_too_many_qubits(server: Server) -> None:
    wide = QuantumCircuit(40)
    wide.h(range(29))
    wide.measure_all(add_bits=True)
    pub = json.loads(codec.dumps({"pubs": [[wide, [], 10]]}))
    failed(server, ["40 qubits", "28"], params=pub, backend="fake_torino")
    narrow = QuantumCircuit(40, 1)
    narrow.x(39)
    narrow.measure(39, 0)
    pub = json.loads(codec.dumps({"pubs": [[narrow, [], 10]]}))
    job = server.ended(server.submit(params=pub, backend="fake_torino"))
    assert job["status"] == "Completed", (job["state"], "only used qubits count")


def bomb(size: int) -> str:
    """Return text that decompresses to so many zeros."""
    packer = zlib.compressobj(1)
    pieces = [packer.compress(bytes(2**20)) for _ in range(size // 2**20)]
    return base64.b64encode(b"".join([*pieces, packer.flush()])).decode()


def huge_state() -> dict[str, Any]:
    circuit = QuantumCircuit(26)
    for qubit in range(26):
        circuit.rx(0.1 + qubit, qubit)
    circuit.measure_all()
    return dict(json.loads(codec.dumps({"pubs": [[circuit, [], 10]]})))


def array(header: str) -> dict[str, Any]:
    """Return an array of which only the beginning exists."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": header, "fortran_order": False, "shape": (2**30,)}
    )
    text = base64.b64encode(zlib.compress(file.getvalue())).decode()
    return {"__type__": "ndarray", "__value__": text}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")
@pytest.mark.parametrize(
    "make",
    [
        lambda: {"pubs": [[{"__type__": "QuantumCircuit", "__value__": bomb(2 * MEMORY)}]]},
        lambda: {"pubs": [[{"__type__": "ndarray", "__value__": bomb(2 * MEMORY)}]]},
        lambda: {"pubs": [[COIN["params"]["pubs"][0][0], array("<f8"), 10]]},
        huge_state,
    ],
    ids=["a circuit that unpacks to much", "an array that does", "a long array", "a wide state"],
)
def test_a_job_that_needs_too_much_memory(
    server: Server, make: Callable[[], dict[str, Any]]
) -> None:
    params = make()
    server.ended(server.submit())
    before = workers(server)
    failed(server, ["more memory than", str(MEMORY)], params=params, backend="aer_simulator")
    assert not before & workers(server), "its worker was replaced"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")
def test_jobs_without_memory_fail_with_a_reason(tmp_path: Path) -> None:
    """Both where Python raises, and where C++ ends the process."""
    with running(tmp_path, "--workers", "1", *flags(max_job_memory_bytes=1)) as folder:
        server = reached(folder)
        for backend in ("fake_torino", "aer_simulator"):
            state = server.ended(server.submit(backend=backend, params=huge_state()))["state"]
            assert state["status"] == "Failed"
            assert " 1 bytes" in state["reason"]
        assert server.get("/qsession").status_code == 200


# -- never unpickled -----------------------------------------------------------------------


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (open, (str(self._path), "w"))


def test_nothing_is_unpickled(server: Server, tmp_path: Path) -> None:
    """No pickle in a payload of any kind is loaded."""
    sprung = tmp_path / "sprung"
    pickled = pickle.dumps(Trap(sprung))
    pickle.loads(pickled).close()  # noqa: S301 - our own
    assert sprung.exists(), "the trap works"
    sprung.unlink()
    file = io.BytesIO()
    np.save(file, np.array([Trap(sprung)], dtype=object), allow_pickle=True)
    texts = [base64.b64encode(zlib.compress(each)).decode() for each in (pickled, file.getvalue())]
    texts += [base64.b64encode(pickled).decode()]
    circuit = COIN["params"]["pubs"][0][0]
    names = ("ndarray", "QuantumCircuit", "pickle", "object", "Result", "settings", "spmatrix")
    for name in names:
        for text in texts:
            for params in (
                {"pubs": [[circuit, {"__type__": name, "__value__": text}, 10]]},
                {"pubs": [[circuit, [], 10]], "options": {"__type__": name, "__value__": text}},
            ):
                state = server.ended(server.submit(params=params))["state"]
                # What a noise learner gave is handed on as the text it is.
                handed_on = name == "settings" and "options" in params
                assert state["status"] == ("Completed" if handed_on else "Failed")
                assert handed_on or name in state["reason"]
    assert not sprung.exists()
    assert server.ended(server.submit())["status"] == "Completed"


@pytest.mark.parametrize("flag", ["--max-circuits", "--max-pending-jobs", "--max-shots"])
def test_invalid_limits_are_refused(flag: str) -> None:
    command = [sys.executable, "-m", "qsession_widget.runtime", flag, "-1"]
    ended = subprocess.run(  # noqa: S603 - ours
        command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )
    assert ended.returncode == 2
    assert "-1 is too small" in ended.stderr
