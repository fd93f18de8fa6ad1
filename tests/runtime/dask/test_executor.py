"""A runtime, a Dask scheduler and hosts, each a process of its own."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget.cli.main import main
from tests.conftest import eventually, gone, use
from tests.runtime.dask.cluster import Cluster, a_cluster, wait_for
from tests.runtime.server import coin

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLS = int(os.environ.get("QSESSION_HOST_KILLS", "4"))
"""How many processes are killed; `make soak` kills more."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    # Without reservations, no session of one test is waited for in another.
    arguments = ("--min-job-seconds", "0.2", "--policy", "shared")
    with a_cluster(tmp_path_factory.mktemp("cluster"), *arguments) as found:
        yield found


@pytest.fixture
def one_host(cluster: Cluster) -> Iterator[Cluster]:
    cluster.start_host("a")
    cluster.ready("a")
    yield cluster
    for name in list(cluster.processes):
        if name not in {"scheduler", "server"}:
            cluster.kill(name)
    eventually(lambda: not cluster.hosts(), "the end of the hosts")


def session_of(cluster: Cluster, session_id: str) -> Any:
    return cluster.server.json(f"/sessions/{session_id}")["qsession"]


def test_a_job_waits_for_a_host_and_runs_on_the_first_one_that_joins(cluster: Cluster) -> None:
    server = cluster.server
    session = server.open()
    job_id = server.submit(session_id=session)
    found = session_of(cluster, session)
    assert (found["workers"], found["waits_for_worker"]) == (0, True)
    cluster.start_host("first")
    (job,) = wait_for(cluster, [job_id])
    assert (job["state"]["status"], job["qsession"]["attempts"]) == ("Completed", 1)
    found = session_of(cluster, session)
    assert (found["workers"], found["waits_for_worker"]) == (1, False)
    # Without a job it leaves at once, and says so itself.
    assert cluster.kill("first", signal.SIGTERM) == 0
    eventually(lambda: session_of(cluster, session)["workers"] == 0, "its end")


def test_a_session_keeps_its_slot_though_others_are_free(one_host: Cluster) -> None:
    one_host.start_host("b")
    one_host.ready("a", "b")
    server = one_host.server
    session = server.open()
    misses = []
    for _ in range(10):
        jobs = [server.submit(session_id=session), server.submit(backend="aer_simulator")]
        wait_for(one_host, jobs)
        misses.append(session_of(one_host, session)["cache"]["misses"])
    assert set(misses) == {misses[0]}


def test_a_cancelled_job_frees_its_slot(one_host: Cluster) -> None:
    server = one_host.server
    heavy = server.submit(params=coin(20, 1_000_000), backend="aer_simulator")
    server.running(heavy)
    assert server.ask("POST", f"/jobs/{heavy}/cancel").status_code == 204
    assert server.status(heavy) == "Cancelled"
    (job,) = wait_for(one_host, [server.submit()])
    assert job["state"]["status"] == "Completed"


def test_a_host_that_is_drained_finishes_its_job_and_leaves(
    one_host: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(one_host.folder, monkeypatch)
    server = one_host.server
    job_id = server.submit()
    server.running(job_id)
    host = one_host.hosts()["a"]["host"]
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert host in said
    assert "Slots" in said
    child = one_host.processes.pop("a")
    assert main(["drain", host]) == 0
    assert "takes no more jobs" in capsys.readouterr().out
    waiting = server.submit()
    assert child.wait(60) == 0
    (job,) = wait_for(one_host, [job_id])
    assert (job["state"]["status"], job["qsession"]["attempts"]) == ("Completed", 1)
    assert server.status(waiting) == "Queued"
    assert main(["drain", "unknown"]) == 1
    assert "Host not found: unknown" in capsys.readouterr().err
    one_host.start_host("b")
    wait_for(one_host, [waiting])


def test_a_host_with_other_versions_is_refused_in_a_sentence(
    cluster: Cluster, tmp_path: Any
) -> None:
    package = tmp_path / "qiskit_aer-0.0.1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: qiskit-aer\nVersion: 0.0.1\n")
    cluster.start_host("old", PYTHONPATH=str(tmp_path))
    assert cluster.processes.pop("old").wait(60) == 1
    assert "this host is refused. It has qiskit-aer 0.0.1 instead of" in cluster.log("old")
    assert "qiskit-aer 0.0.1 instead of" in cluster.log("server")


def test_a_host_that_hangs_is_lost_and_its_job_ends_once_elsewhere(one_host: Cluster) -> None:
    server = one_host.server
    job_id = server.submit()
    server.running(job_id)
    one_host.processes["a"].send_signal(signal.SIGSTOP)
    before = one_host.workers("a")
    one_host.start_host("b")
    (job,) = wait_for(one_host, [job_id])
    assert (job["state"]["status"], job["qsession"]["attempts"]) == ("Completed", 1)
    one_host.processes["a"].send_signal(signal.SIGCONT)
    for each in before:
        eventually(partial(gone, each.pid), "the end of its processes")
    one_host.ready("a", "b")
    assert server.job(job_id) == job


def test_no_job_is_lost_or_ends_twice_whatever_is_killed(one_host: Cluster) -> None:
    random_kinds = random.Random(KILLS)  # noqa: S311 - not a secret
    kinds = ["worker", "host", "scheduler", "server"]
    kills = [kinds[number % 4] for number in range(KILLS)]
    random_kinds.shuffle(kills)
    one_host.start_host("b")
    one_host.ready("a", "b")
    jobs: list[str] = []
    for number, kind in enumerate(kills):
        server = one_host.server
        backends = ("fake_manila", "fake_torino", "aer_simulator")
        jobs += [server.submit(backend=each) for each in backends for _ in range(2)]
        name = random_kinds.choice("ab")
        one_host.ready(name)
        match kind:
            case "worker":
                for each in one_host.workers(name):
                    each.send_signal(signal.SIGKILL)
            case "host":
                one_host.kill(name)
                one_host.start_host(name)
            case "scheduler":
                one_host.kill("scheduler")
                one_host.start_scheduler()
            case _:
                one_host.kill("server")
                one_host.start_server()
        if number % 3 == 2:
            wait_for(one_host, jobs[-6:])
    ended = wait_for(one_host, jobs)
    for job in ended:
        reason = job["state"].get("reason", "")
        assert job["state"]["status"] == "Completed" or " 2 times" in reason, job
    log = one_host.log("server")
    assert "ERROR" not in log, log
    assert "InvalidTransition" not in log


def test_nothing_of_dask_is_imported_without_it() -> None:
    code = (
        "import sys; from qsession_widget.runtime import server; "
        "assert not {'dask', 'distributed', 'tornado.ioloop'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - ours


def test_without_dask_it_is_said_what_to_install(tmp_path: Any) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError('No module named distributed')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    serve = ["qsession_widget.runtime", "--home", str(tmp_path), "--executor", "dask"]
    worker = ["qsession_widget.runtime.dask", "dask://127.0.0.1:1"]
    for each in (serve, worker):
        done = subprocess.run(  # noqa: S603 - ours
            [sys.executable, "-m", *each],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "pip install 'qsession-widget[dask]'" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("address", ["dask", "dask://host", "tcp", "http://host:1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    command = [sys.executable, "-m", "qsession_widget.runtime.dask", address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 2
    assert "dask://HOST:PORT" in done.stderr
