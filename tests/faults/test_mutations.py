"""Mutated job bodies leave the runtime up and the next job unharmed."""

from __future__ import annotations

import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit_ibm_runtime.quantum_program import QuantumProgram

from qsession_widget.wire import codec
from tests.conftest import eventually, running
from tests.faults.mutations import Mutator
from tests.runtime.server import COIN, Server, reached
from tests.runtime.worker.test_executor_program import params as of_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = int(os.environ.get("QSESSION_MUTATIONS", "150"))
"""How many bodies; `make soak` sends 10,000."""

BATCH = 50
SEED = 20_261_122

LIMITS = {
    # Some mutations request a million times as much.
    "--max-shots": 5_000,
    "--max-job-seconds": 20,
    "--max-job-memory-bytes": 300 * 2**20,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    arguments = [part for name, value in LIMITS.items() for part in (name, str(value))]
    folder: Path
    with running(tmp_path_factory.mktemp("mutations"), "--workers", "2", *arguments) as folder:
        yield reached(folder)


def good() -> list[dict[str, Any]]:
    angle = Parameter("angle")
    rotation = QuantumCircuit(2, name="rotation", metadata={"of": "mine"})
    rotation.rx(angle, 0)
    rotation.cx(0, 1)
    sampled = rotation.copy()
    sampled.measure_all()
    branching = QuantumCircuit(2, 2)
    branching.h(0)
    branching.measure(0, 0)
    with branching.if_test((branching.clbits[0], 1)):
        branching.x(1)
    branching.measure(1, 1)
    values = np.linspace(0, np.pi, 3)[:, np.newaxis]
    options = {"default_shots": 20, "simulator": {"seed_simulator": 7}}
    sampling = {"pubs": [[sampled, values, 20], [branching, [], 20]], "options": options}
    estimating = {"pubs": [[rotation, [[{"ZZ": 1.0, "XI": 0.5}]], values, 0.2]], "options": options}
    program = QuantumProgram(20)
    program.append_circuit_item(QuantumCircuit(1, 1))
    bodies: list[dict[str, Any]] = [COIN]
    for program_id, text in (
        ("sampler", codec.dumps(sampling)),
        ("estimator", codec.dumps(estimating)),
        ("executor", of_program(program)),
    ):
        body = {"program_id": program_id, "backend": "aer_simulator", "params": json.loads(text)}
        bodies.append({**body, "tags": ["x"], "cost": 20, "qsession": {"optimization_level": 1}})
    return bodies


def test_mutated_bodies_do_no_harm(server: Server) -> None:
    bodies = good()
    for body in bodies:
        job = server.ended(server.submit(**body))
        assert job["status"] == "Completed", job["state"]
    mutated = Mutator(bodies, SEED).bodies(COUNT)
    answers: Counter[int] = Counter()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(0, COUNT, BATCH):
            batch = list(islice(mutated, BATCH))
            answers.update(pool.map(lambda body: posted(server, body), batch))
            eventually(lambda: not server.json("/jobs", pending="true")["count"], "their ends")
            fresh = server.ended(server.submit())
            assert fresh["status"] == "Completed", fresh["state"]
            result = codec.loads(server.get(f"/jobs/{fresh['id']}/results").text)
            assert result[0].data.meas.num_shots == 10
    assert max(answers) < 500, answers
    assert {200, 400} <= answers.keys(), answers
    ended = Counter(
        job["status"] for page in pages(server) for job in page if job["status"] != "Completed"
    )
    assert ended["Failed"] > COUNT // 5, ended
    log = (server.folder / "runtime.log").read_text()
    assert "Exception in ASGI" not in log
    assert "a step of the runtime failed" not in log


def posted(server: Server, body: bytes) -> int:
    answer = server.ask("POST", "/jobs", data=body)
    assert answer.status_code < 500, (answer.text, body[:2000])
    if answer.status_code != 200:
        assert answer.json()["errors"][0]["message"]
    return answer.status_code


def pages(server: Server) -> Iterator[list[dict[str, Any]]]:
    offset = 0
    while found := server.json("/jobs", limit=200, offset=offset)["jobs"]:
        yield found
        offset += len(found)
