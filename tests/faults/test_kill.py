"""The runtime's process is killed, stopped, started twice, or finds its port or folder taken."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import requests
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from qsession_widget import QiskitRuntimeService, Sampler, Session
from qsession_widget.local import process as local
from qsession_widget.wire.discovery import Discovery
from qsession_widget.wire.fields import API_PREFIX
from tests.client.circuits import measured_bell as bell
from tests.client.throwaway import serving
from tests.conftest import DEADLINE_SECONDS, eventually, gone, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

SERVE = [sys.executable, "-m", "qsession_widget.runtime", "--home"]


def kill(pid: int) -> None:
    """Kill a process and wait until it is gone, whether it is a child of this one or not."""
    os.kill(pid, signal.SIGKILL)
    eventually(partial(gone, pid), "its end")


def rows(folder: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "runtime.db")) as connection:
        return connection.execute(query).fetchall()


def states(folder: Path) -> dict[str, int]:
    return dict(rows(folder, "select state, count(*) from jobs group by state"))


def serve(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a runtime that is expected to end by itself."""
    return subprocess.run(  # noqa: S603 - ours
        [*SERVE, str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def ask(found: Discovery, method: str, path: str, **options: Any) -> requests.Response:
    return requests.request(
        method,
        found.url + API_PREFIX + path,
        headers={"Authorization": f"Bearer {found.token}"},
        timeout=DEADLINE_SECONDS,
        **options,
    )


@pytest.fixture
def folder(own_runtime: Path) -> Iterator[Path]:
    yield own_runtime
    local.stop(folder=own_runtime)


# -- killed --------------------------------------------------------------------------------


def test_a_server_that_is_killed_in_the_middle_of_a_queue_loses_nothing(folder: Path) -> None:
    """Threads wait in result() without new calls; every job ends exactly once."""
    service = QiskitRuntimeService(channel="local")
    before = local.endpoint(start=False, folder=folder)
    count = 24
    with Session(service=service, backend="fake_manila") as session:
        sampler = Sampler(mode=session)
        jobs = [sampler.run([bell()], shots=2_000) for _ in range(count)]
        with ThreadPoolExecutor(count) as pool:
            waiting = [pool.submit(job.result) for job in jobs]
            eventually(lambda: states(folder).get("Completed", 0) >= 3, "some results")
            kill(before.pid)
            # No process changes the store now.
            ended_before = dict(
                rows(folder, "select id, ended_at from jobs where ended_at is not null")
            )
            results = [each.result(DEADLINE_SECONDS) for each in waiting]
        assert 3 <= len(ended_before) < count, "some jobs were unfinished at the kill"
        assert {result[0].data.meas.num_shots for result in results} == {2_000}
        # The client leaves the session's block only now: its close is the first new call.
    after = local.endpoint(start=False, folder=folder)
    assert after.pid != before.pid
    assert after.url == before.url
    assert after.token != before.token
    assert states(folder) == {"Completed": count}
    assert rows(folder, "select count(*), count(distinct job_id) from results") == [(count, count)]
    ended = dict(rows(folder, "select id, ended_at from jobs"))
    assert ended.keys() == {job.job_id() for job in jobs}
    assert {job_id: ended[job_id] for job_id in ended_before} == ended_before
    eventually(lambda: session.status() == "Closed", "the end of the session")
    order = [job_id for (job_id,) in rows(folder, "select id from jobs order by ended_at")]
    assert order == [job.job_id() for job in jobs], "the queue kept its order"


def test_a_job_is_not_retried_forever_when_its_runtime_dies_each_time(folder: Path) -> None:
    """The job may be the cause; each death is counted on disk, and the job's reason names it."""
    command = [*SERVE, str(folder), "--min-job-seconds", "3600"]
    body = {"program_id": "sampler", "backend": "fake_manila", "params": json.loads(_coin())}
    job_id, ends = "", list[dict[str, Any]]()
    while not ends or (ends[-1]["status"] == "Running" and len(ends) < 4):
        with subprocess.Popen(command) as child:  # noqa: S603 - ours
            try:
                eventually(lambda: Discovery.read(folder), "a runtime")
                found = local.endpoint(start=False, folder=folder)
                job_id = job_id or ask(found, "POST", "/jobs", json=body).json()["id"]
                # Until the last death has been counted, the row is as that runtime left it.
                deaths = len(ends)
                query = f"select 1 from jobs where state != 'Queued' and interruptions = {deaths}"  # noqa: S608 - a count
                eventually(partial(rows, folder, query), "its start, or its end")
                path = f"/jobs/{job_id}?exclude_params=true"
                ends.append(ask(found, "GET", path).json()["state"])
            finally:
                kill(child.pid)
        Discovery.path(folder).unlink(missing_ok=True)
    assert [each["status"] for each in ends] == ["Running", "Running", "Failed"]
    assert "2 times when the runtime died" in ends[-1]["reason"]


def test_workers_do_not_outlive_a_server_that_is_killed(folder: Path) -> None:
    found = local.endpoint(folder=folder)
    process = psutil.Process(found.pid)
    eventually(lambda: len(process.children(recursive=True)) >= 4, "its workers")
    children = process.children(recursive=True)
    kill(found.pid)
    for child in children:
        eventually(partial(gone, child.pid), "the end of a worker")


def test_a_session_goes_on_after_the_kill_where_it_was(folder: Path) -> None:
    service = QiskitRuntimeService(channel="local")
    session = Session(service=service, backend="fake_manila", max_time=600)
    Sampler(mode=session).run([bell()]).result()
    before = session.details()
    kill(local.endpoint(start=False, folder=folder).pid)
    after = session.details()
    assert before is not None
    assert after is not None
    for name in ("id", "state", "started_at", "activated_at", "last_job_completed", "timestamps"):
        assert after[name] == before[name], name
    assert Sampler(mode=session).run([bell()]).result()[0].data.meas.num_shots == 4096
    session.cancel()


# -- stopped --------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_its_jobs_resume_at_the_next_start(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = [*SERVE, str(tmp_path), "--min-job-seconds"]
    with subprocess.Popen([*command, "3600"], stderr=subprocess.PIPE, text=True) as child:  # noqa: S603 - our own command, no shell
        eventually(lambda: Discovery.read(tmp_path), "a runtime")
        found = local.endpoint(start=False, folder=tmp_path)
        params = {"pubs": [1]}
        good = json.loads(_coin())
        body = {"program_id": "sampler", "backend": "fake_manila", "params": good}
        job_id = ask(found, "POST", "/jobs", json=body).json()["id"]
        ask(found, "POST", "/jobs", json={**body, "params": params})
        path = f"/jobs/{job_id}?exclude_params=true"
        eventually(
            lambda: ask(found, "GET", path).json()["state"]["status"] == "Running", "a running job"
        )
        job = ask(found, "GET", path)
        held: list[int] = []

        def hold() -> None:
            headers = {"If-None-Match": job.headers["ETag"], "Prefer": "wait=30"}
            headers["Authorization"] = f"Bearer {found.token}"
            url = found.url + API_PREFIX + path
            held.append(requests.get(url, headers=headers, timeout=60).status_code)

        waiting = threading.Thread(target=hold)
        waiting.start()
        eventually(lambda: len(connections(child.pid)) >= 1, "a held request")
        child.send_signal(number)
        assert child.stderr is not None
        log = child.stderr.read()
        waiting.join(DEADLINE_SECONDS)
    assert child.returncode == 0, log
    assert "Traceback" not in log
    assert "Cancel" not in log, "held requests are answered, not dropped"
    assert held == [304]
    assert not Discovery.path(tmp_path).exists()
    # After a crash it would be found running.
    assert states(tmp_path) == {"Queued": 2}
    assert rows(tmp_path, "select attempts, interruptions from jobs") == [(0, 0), (0, 0)]
    with running(tmp_path):
        eventually(
            lambda: states(tmp_path) == {"Completed": 1, "Failed": 1}, "the end of both jobs"
        )


def connections(pid: int) -> list[Any]:
    """Return the connections that a server has accepted and not closed."""
    found = psutil.Process(pid).net_connections("tcp")
    return [each for each in found if each.status == psutil.CONN_ESTABLISHED]


def _coin() -> str:
    from qsession_widget.wire import codec  # noqa: PLC0415 - beside its only use

    return codec.dumps({"pubs": [[bell(), [], 10]]})


def test_it_ends_when_idle_but_not_with_an_open_session(tmp_path: Path) -> None:
    command = [*SERVE, str(tmp_path), "--idle-exit-seconds", "1", "--first-job-seconds", "3"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:  # noqa: S603 - ours
        eventually(lambda: Discovery.read(tmp_path), "a runtime")
        found = local.endpoint(start=False, folder=tmp_path)
        body = {"backend": "fake_manila"}
        ask(found, "POST", "/sessions", json=body)
        # Without more requests the session closes by its own timer, after 3 s.
        assert child.wait(DEADLINE_SECONDS) == 0
        assert child.stderr is not None
        assert "nothing to do for 1 s" in child.stderr.read()
    assert not Discovery.path(tmp_path).exists()
    query = "select state, (closed_at - created_at) / 1e6 from sessions"
    assert rows(tmp_path, query) == [("closed", 3.0)], "it lived until the end of the session"


# -- two of them ---------------------------------------------------------------------------


def test_two_starters_at_once_get_one_server(folder: Path) -> None:
    code = (
        "import pathlib, sys; from qsession_widget import local; "
        "sys.stdin.read(1); found = local.endpoint(folder=pathlib.Path(sys.argv[1])); "
        "print(found.pid, found.url, found.token)"
    )
    starters = [
        subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-c", code, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("go")
        starter.stdin.flush()
    answers = {starter.communicate(timeout=DEADLINE_SECONDS)[0] for starter in starters}
    assert [starter.returncode for starter in starters] == [0] * 4
    (answer,) = answers
    assert answer.split()[0] == str(local.endpoint(start=False, folder=folder).pid)


def test_a_second_server_on_the_same_folder_is_refused(folder: Path) -> None:
    found = local.endpoint(folder=folder)
    ended = serve(folder)
    assert ended.returncode == 3
    assert str(folder) in ended.stderr
    assert "another runtime" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert local.endpoint(start=False, folder=folder) == found, "the first one is unharmed"


# -- obstacles --------------------------------------------------------------------


def test_an_occupied_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = serve(tmp_path, "--port", str(port))
    assert ended.returncode == 1
    assert f"cannot serve on port {port}" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["--port", "99999"], 1, "99999"),
        (["--workers", "0"], 2, "the least is 1"),
        (["--workers", "many"], 2, "many"),
    ],
)
def test_invalid_arguments(tmp_path: Path, arguments: list[str], status: int, named: str) -> None:
    ended = serve(tmp_path, *arguments)
    assert ended.returncode == status
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_unreadable_store_ends_the_start_with_an_explanation(tmp_path: Path) -> None:
    (tmp_path / "runtime.db").write_bytes(b"this is no database" * 1000)
    ended = serve(tmp_path)
    assert ended.returncode == 1
    assert "runtime.db" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_stale_discovery_file_is_replaced(folder: Path) -> None:
    first = local.endpoint(folder=folder)
    kill(first.pid)
    assert local.status(folder=folder) is None
    second = local.endpoint(folder=folder)
    assert second.url == first.url
    assert second.token != first.token
    assert second.pid != first.pid


def test_another_process_on_the_old_port_is_left_alone_and_sees_no_token(
    folder: Path,
) -> None:
    shown: list[str] = []

    def stranger(request: Request) -> JSONResponse:
        shown.append(request.headers.get("Authorization", ""))
        return JSONResponse({"something": "else"})

    first = local.endpoint(folder=folder)
    local.stop(folder=folder)
    with serving(Starlette(routes=[Route("/{path:path}", stranger)])) as url:
        stale = Discovery(url=url, pid=first.pid, version=first.version, token=first.token)
        stale.write(folder)
        second = local.endpoint(folder=folder)
        assert second.url != url
        assert shown, "the client connected to it"
        assert set(shown) == {""}, "and sent no token"
    assert local.endpoint(start=False, folder=folder) == second
    assert ask(second, "GET", "/qsession").status_code == 200


def test_a_failed_start_ends_the_process_and_names_the_log(tmp_path: Path) -> None:
    with running(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "runtime.db")) as connection:
        connection.execute("drop table jobs")
    ended = serve(tmp_path)
    assert ended.returncode == 1, "3 would mean that another one runs"
    assert f"could not start in {tmp_path}" in ended.stderr
    assert "no such table: jobs" in ended.stderr
    assert not Discovery.path(tmp_path).exists()


def test_a_store_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    with running(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "runtime.db", isolation_level=None)) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    ended = serve(tmp_path)
    assert ended.returncode == 1
    assert "9999" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 5}', '{"url":"x","pid":"y"}'])
def test_a_discovery_file_that_cannot_be_read_is_replaced(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    Discovery.path(folder).write_text(text)
    found = local.endpoint(folder=folder)
    assert os.getpid() != found.pid
    assert Discovery.read(folder) == found
