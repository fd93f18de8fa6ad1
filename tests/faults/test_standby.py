"""A runtime with its store in PostgreSQL is killed, and the one that waits takes over."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psutil

from qsession_widget import QiskitRuntimeService, Sampler
from qsession_widget.wire.discovery import Discovery
from tests.client.circuits import bell
from tests.conftest import DEADLINE_SECONDS, eventually
from tests.runtime import stores
from tests.runtime.server import reached

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.postgresql import Cluster

JOBS = 30
WORD = "hidden-word"
"""The password of the store."""


def start(home: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a runtime; on one machine both may have the same port, one after the other."""
    home.mkdir()
    command = [sys.executable, "-m", "qsession_widget.runtime", "--home", str(home)]
    options = ["--port", str(port), "--workers", "2", "--min-job-seconds", "0.1"]
    with (home / "runtime.log").open("wb") as log:
        return subprocess.Popen([*command, *options], stdout=log, stderr=log)  # noqa: S603 - ours


def test_a_standby_takes_over_and_no_waiting_client_loses_its_job(
    postgresql: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.keep_in(postgresql)
    monkeypatch.setenv("QSESSION_STORE", stores.place(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    homes = [tmp_path / "primary", tmp_path / "standby"]
    processes = [start(homes[0], port)]
    try:
        eventually(lambda: Discovery.read(homes[0]), "a runtime")
        primary = reached(homes[0])
        token = primary.ask("POST", "/qsession/users", json={"name": "ada"}).json()["token"]
        processes.append(start(homes[1], port))
        log = homes[1] / "runtime.log"
        eventually(lambda: "takes over when it ends" in log.read_text(), "a standby")
        service = QiskitRuntimeService(channel="local", url=f"http://127.0.0.1:{port}", token=token)
        sampler = Sampler(mode=service.backend("fake_manila"))
        jobs = [sampler.run([bell()], shots=100) for _ in range(JOBS)]
        ended = "select id, ended_at from jobs where ended_at is not null"
        with ThreadPoolExecutor(JOBS) as pool:
            waiting = [pool.submit(job.result) for job in jobs]
            eventually(lambda: len(stores.rows(tmp_path, ended)) >= 3, "some results")
            processes[0].send_signal(signal.SIGKILL)
            processes[0].wait(DEADLINE_SECONDS)
            killed = time.monotonic()
            before = dict(stores.rows(tmp_path, ended))
            eventually(lambda: Discovery.read(homes[1]), "the other one in its place")
            took = time.monotonic() - killed
            results = [each.result(DEADLINE_SECONDS) for each in waiting]
        assert 3 <= len(before) < JOBS
        assert {each[0].data.cr.num_shots for each in results} == {100}
        after = dict(stores.rows(tmp_path, ended))
        assert after.keys() == {job.job_id() for job in jobs}
        assert {job_id: after[job_id] for job_id in before} == before
        counts = "select count(*), count(distinct job_id) from results"
        assert stores.rows(tmp_path, counts) == [(JOBS, JOBS)]
        shown = [each.read_text() for each in (log, *homes[1].glob("runtime.json"))]
        assert WORD not in "".join([*shown, (homes[0] / "runtime.log").read_text()])
        for each in psutil.Process(processes[1].pid).children(recursive=True):
            assert WORD not in "".join([*each.environ().values(), *each.cmdline()])
        status = reached(homes[1]).get("/qsession/status")
        assert WORD not in status.text
        # `pytest -s` shows it, for docs/performance.rst.
        sys.stdout.write(f"the standby served {took:.1f} s after the kill\n")
    finally:
        for each in processes:
            each.terminate()
            each.wait(DEADLINE_SECONDS)
        stores.keep_in(None)
