"""Finding and starting the runtime's process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from starlette.responses import JSONResponse, Response

from qsession_widget import QiskitRuntimeService, Sampler, Session
from qsession_widget.errors import RuntimeStartError, ServiceUnavailableError
from qsession_widget.local import process
from qsession_widget.wire.discovery import Discovery
from tests.client.circuits import bell
from tests.client.throwaway import Script, serving, unused_address
from tests.conftest import eventually, running

if TYPE_CHECKING:
    from pathlib import Path


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_starts_on_first_use_and_is_found_again(own_runtime: Path) -> None:
    assert process.status() is None
    first = process.endpoint()
    assert first.url.startswith("http://127.0.0.1:")
    assert Discovery.path(own_runtime).stat().st_mode & 0o777 == 0o600
    assert process.endpoint() == first
    assert process.endpoint(start=False) == first
    found = process.status()
    assert found is not None
    assert (found["pid"], found["url"]) == (first.pid, first.url)
    assert {"watch", "interim", "transpile"} <= set(found["features"])
    assert os.getsid(first.pid) != os.getsid(0), "Ctrl-C in the client does not reach it"


def test_stops(own_runtime: Path) -> None:
    first = process.endpoint()
    assert process.stop() is True
    eventually(lambda: process._children[-1].poll() is not None, "the end of the process")
    assert not is_alive(first.pid)
    assert not Discovery.path(own_runtime).exists()
    assert process.stop() is False
    assert process.status() is None
    with pytest.raises(ServiceUnavailableError, match="no local runtime answers"):
        process.endpoint(start=False)


def test_a_runtime_of_an_older_release_is_named_and_can_be_stopped(own_runtime: Path) -> None:
    first = process.endpoint()
    # With another token it answers like a release that cannot prove its identity.
    replace(first, token="another", version="0.0.1").write(own_runtime)
    with pytest.raises(RuntimeStartError, match=rf"process {first.pid}.*0\.0\.1.*qsession stop"):
        process.endpoint()
    assert is_alive(first.pid)
    assert process.status() is None
    assert process.stop() is True
    assert process.stop() is False
    assert process.endpoint().pid != first.pid


def test_a_process_that_is_no_runtime_is_not_stopped(own_runtime: Path) -> None:
    first = process.endpoint()
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    replace(first, token="another", pid=other.pid).write(own_runtime)
    assert process.stop() is False
    assert other.poll() is None
    other.communicate()
    first.write(own_runtime)
    assert process.stop() is True


@pytest.mark.usefixtures("own_runtime")
def test_two_starters_get_one_runtime() -> None:
    code = "from qsession_widget import local; print(local.endpoint().pid)"
    starters = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
        for _ in range(4)
    ]
    pids = {starter.communicate()[0].strip() for starter in starters}
    assert pids == {str(process.endpoint(start=False).pid)}


@pytest.mark.usefixtures("own_runtime")
def test_a_killed_runtime_is_started_again_by_the_next_request() -> None:
    service = QiskitRuntimeService("local")
    with Session(service, "fake_manila") as session:
        done = Sampler(mode=session).run(bell(), shots=10)
        done.result()
        first = process.endpoint()
        os.kill(first.pid, signal.SIGKILL)
        assert session.status() == "In progress, accepting new jobs"
        second = process.endpoint(start=False)
        assert second.pid != first.pid
        assert second.url == first.url
        assert second.token != first.token, "another process may have seen the old token"
        job = Sampler(mode=session).run(bell(), shots=20)
        assert job.result()[0].data.cr.num_shots == 20
        assert [each.job_id() for each in session.jobs()] == [done.job_id(), job.job_id()]


def test_waiting_for_a_job_survives_a_kill(own_runtime: Path) -> None:
    with running(own_runtime, "--min-job-seconds", "2"):
        job = Sampler("fake_manila").run(bell(), shots=10)
        eventually(job.running, "a running job")
        os.kill(process.endpoint().pid, signal.SIGKILL)
        assert job.result()[0].data.cr.num_shots == 10


def test_a_stale_discovery_file_is_ignored(own_runtime: Path) -> None:
    Discovery(unused_address(), 2**22, "0", "t").write(own_runtime)
    assert process.endpoint().pid != 2**22


@pytest.mark.parametrize(
    "answer", [JSONResponse({"hello": 1}), JSONResponse([]), Response("x"), Response("", 404)]
)
def test_another_server_on_the_port_is_not_taken_for_the_runtime(
    own_runtime: Path, answer: Response
) -> None:
    with serving(Script(answer).app) as root:
        Discovery(root, 2**22, "0", "t").write(own_runtime)
        assert process.status() is None
        assert process.endpoint().url != root


def test_a_failed_start_is_explained(own_runtime: Path) -> None:
    (own_runtime / "runtime.db").mkdir()
    with pytest.raises(RuntimeStartError, match="ended with status") as caught:
        process.endpoint()
    assert str(own_runtime / "runtime.log") in str(caught.value)
    assert "unable to open database" in str(caught.value), "the end of its log"
    (own_runtime / "runtime.db").rmdir()
    assert process.endpoint().pid


@pytest.mark.usefixtures("own_runtime")
def test_files_in_the_working_directory_are_not_imported(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "starlette.py").write_text("raise SystemExit('a notebook of mine')")
    monkeypatch.chdir(folder)
    assert process.endpoint().pid


@pytest.mark.parametrize(
    ("home", "said"),
    [
        ("~/runtime", "not an absolute path.*write '/"),
        ("runtime", "not an absolute path.*write '/"),
        ("./runtime", "not an absolute path.*write '/"),
        ("{file}", "is not a folder"),
        ("{file}/below", "Not a directory"),
        ("/{long}", "too long"),
    ],
)
def test_an_unusable_home_is_named(
    home: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("QSESSION_HOME", home.format(file=file, long="x" * 300))
    for start in (process.endpoint, lambda: QiskitRuntimeService("local")):
        with pytest.raises(RuntimeStartError, match=said):
            start()
    if "{file}" in home:
        assert process.status() is None, "nothing can run there"
        assert process.stop() is False
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "mine"
