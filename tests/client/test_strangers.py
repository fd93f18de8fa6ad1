"""A process that takes a dead runtime's port learns nothing; the runtime restarts as it was."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import requests

from qsession_widget import QiskitRuntimeService, Sampler, Session
from qsession_widget.errors import RuntimeStartError, ServiceUnavailableError
from qsession_widget.local import process as local
from qsession_widget.runtime import kept_settings
from qsession_widget.transport.addresses import is_here
from qsession_widget.wire import environment, proof
from qsession_widget.wire.discovery import Discovery
from tests.client.circuits import bell
from tests.conftest import DEADLINE_SECONDS, eventually, gone, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def killed(found: Discovery) -> None:
    os.kill(found.pid, signal.SIGKILL)
    eventually(lambda: gone(found.pid), "the end of the runtime")


class Taker:
    """Listens on a port, records all that it receives, and answers as it is told."""

    def __init__(self, port: int, answer: bytes) -> None:
        self.heard = b""
        self._answer = answer
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        eventually(lambda: self._bound(port), "the port")
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _bound(self, port: int) -> bool:
        try:
            self._listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
                with caller:
                    self.heard += caller.recv(2**16)
                    caller.sendall(self._answer)
                    self.heard += caller.recv(2**16)
            except OSError:
                if self._listener.fileno() < 0:
                    return

    def close(self) -> None:
        self._listener.close()


@contextmanager
def taken(found: Discovery, answer: bytes) -> Iterator[Taker]:
    taker = Taker(int(found.url.rpartition(":")[2]), answer)
    try:
        yield taker
    finally:
        taker.close()


ANSWERS = {
    "its own page": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a wrong proof": f"HTTP/1.1 204 No Content\r\n{proof.HEADER}: {'0' * 64}\r\n\r\n".encode(),
    "nothing": b"",
}


def test_a_process_that_takes_the_port_sees_neither_token_nor_job(own_runtime: Path) -> None:
    service = QiskitRuntimeService("local")
    theirs = local.official_service()
    for name, answer in ANSWERS.items():
        first = local.endpoint()
        killed(first)
        with taken(first, answer) as taker:
            assert service.backends("fake_manila"), name
            second = local.endpoint(start=False)
            assert second.url != first.url
            assert [each.name for each in theirs.backends("fake_manila")] == ["fake_manila"]
            assert local.status() is not None
            assert b"GET /api/v1/qsession/proof?challenge=" in taker.heard
            for secret in (first.token, second.token, "Authorization", "eyJ", "fake_manila"):
                assert secret.encode() not in taker.heard, name
        assert second.token != first.token
        root = f"{second.url}/api/v1/backends"
        for token, status in ((first.token, 401), (second.token, 200)):
            header = {"Authorization": f"Bearer {token}"}
            found = requests.get(root, headers=header, timeout=DEADLINE_SECONDS)
            assert found.status_code == status
        assert Discovery.read(own_runtime) == second


def test_objects_keep_working_after_a_kill_and_after_a_stop(own_runtime: Path) -> None:
    theirs = local.official_service()
    with Session(backend="fake_manila") as session:
        job = Sampler(mode=session).run(bell(), shots=10)
        job.result()
        killed(local.endpoint())
        assert theirs.job(job.job_id()).status() == "DONE"
        assert session.jobs()[0].job_id() == job.job_id()
        assert local.stop(folder=own_runtime)
        assert Sampler(mode=session).run(bell(), shots=20).result()[0].data.cr.num_shots == 20
        assert theirs.job(job.job_id()).status() == "DONE", "its port and its token are new"


@pytest.mark.usefixtures("own_runtime")
def test_another_users_discovery_file_is_ignored(
    own_runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Discovery("http://127.0.0.1:1", 1, "0", "t").write(own_runtime)
    assert Discovery.read(own_runtime)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if os.stat(Discovery.path(own_runtime)).st_uid != 0:  # noqa: PTH116 - the owner of the file
        assert Discovery.read(own_runtime) is None
    else:
        os.chown(Discovery.path(own_runtime), 54321, -1)
        assert Discovery.read(own_runtime) is None


def test_a_killed_runtime_comes_back_with_its_settings(own_runtime: Path) -> None:
    flags = ("--host", "127.0.0.1", "--max-shots", "77", "--alias", "fake_mine=fake_manila")
    with running(own_runtime, *flags):
        first = local.endpoint(start=False)
        killed(first)
        second = local.endpoint(revive_only=True)
        assert second.public_url == first.public_url, "other clients find it where it was"
        assert second.pid != first.pid
        settings = kept_settings.read(own_runtime, needed=True)
        assert settings is not None
        assert (settings.max_shots, settings.host) == (77, "127.0.0.1")
        with pytest.raises(Exception, match="77"):
            Sampler("fake_mine").run(bell(), shots=78).result()
        # Once another process has its port it cannot restart, and says so.
        killed(second)
        port = int(first.public_url.rpartition(":")[2])
        taker = Taker(port, b"")
        with pytest.raises(RuntimeStartError, match=f"cannot serve at 127.0.0.1 port {port}"):
            local.endpoint()
        taker.close()
    assert local.stop() is False
    assert local.endpoint().public_url == "", "`qsession stop` forgets the dead one"


def test_a_stopped_runtime_stays_stopped_while_a_client_waits(
    own_runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(own_runtime, "--min-job-seconds", "3600"):
        job = Sampler("fake_manila").run(bell(), shots=10)
        eventually(job.running, "a running job")
        found: list[Any] = []
        asked = threading.Event()
        waiting = threading.Thread(target=lambda: found.append(job.result()))
        pause = job._service.api.transport.pause

        def noted(seconds: float) -> None:
            if seconds > 0:
                asked.set()
            pause(seconds)

        monkeypatch.setattr(job._service.api.transport, "pause", noted)
        waiting.start()
        eventually(lambda: local.status(folder=own_runtime), "the runtime")
        assert local.stop(folder=own_runtime)
        assert asked.wait(DEADLINE_SECONDS), "its requests failed"
        assert local.status() is None
        with pytest.raises(ServiceUnavailableError):
            local.endpoint(start=False)
        local.endpoint()
        waiting.join(DEADLINE_SECONDS)
        assert found[0][0].data.cr.num_shots == 10


def test_neither_runtime_nor_worker_sees_the_secrets_of_a_kernel(
    own_runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ("QISKIT_IBM_TOKEN", "AWS_SECRET_ACCESS_KEY", "JUPYTERHUB_API_TOKEN", "MY_PASSWORD")
    for name in secrets:
        monkeypatch.setenv(name, "a-secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    QiskitRuntimeService("local")
    started = local.endpoint(folder=own_runtime)

    def family(pid: int) -> list[psutil.Process]:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]

    def workers(pid: int) -> bool:
        return len(family(pid)) > 3

    eventually(lambda: workers(started.pid), "workers")
    for each in family(started.pid):
        assert "a-secret" not in each.environ().values()
        assert each.environ()["OMP_NUM_THREADS"] == "1"
    assert local.stop()
    with running(own_runtime):
        by_hand = local.endpoint(start=False)
        eventually(lambda: workers(by_hand.pid), "workers")
        # The shell passes its environment to the runtime; the workers get the runtime's.
        for each in family(by_hand.pid)[1:]:
            assert "a-secret" not in each.environ().values()


def test_which_environment_variables_a_runtime_inherits() -> None:
    given = {"PATH": "p", "LC_ALL": "C", "PYTHONPATH": "x", "GITHUB_TOKEN": "t", "IAM_URL": "u"}
    assert environment.for_runtime(given).keys() == {"PATH", "LC_ALL", "PYTHONPATH"}


SCENARIO = """
import os, sys
os.umask(int(sys.argv[1], 8))
from qiskit import QuantumCircuit
from qsession_widget import QiskitRuntimeService, Sampler, local
from qsession_widget.cli.main import main
circuit = QuantumCircuit(1)
circuit.measure_all()
Sampler("fake_manila").run([circuit], shots=10).result()
assert main(["connect", "--format", "account"]) == 0
QiskitRuntimeService.save_account("key", name="another", instance="crn:v1:a:b:c:us-east:d:e::")
os.kill(local.endpoint().pid, 9)
local.endpoint()
"""


@pytest.mark.parametrize("umask", ["022", "000"])
def test_every_file_and_folder_is_private_to_its_owner(tmp_path: Path, umask: str) -> None:
    top = tmp_path / "new"
    home = top / "below" / "runtime"
    variables = {**os.environ, "HOME": str(top / "home"), "QSESSION_HOME": str(home)}
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", SCENARIO, umask],
        env={name: text for name, text in variables.items() if "QISKIT" not in name},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS * 3,
        check=False,
    )
    try:
        assert done.returncode == 0, done.stderr
        found = [each for each in (top, *top.rglob("*")) if "matplotlib" not in str(each)]
        names = {each.name for each in found}
        wanted = {"runtime.db", "runtime.db-wal", "runtime.json", "runtime.log", "settings.json"}
        assert wanted | {"qiskit-ibm.json", "start.lock", "server.lock"} <= names
        # qiskit-ibm-runtime itself may create this one on import.
        others = {
            str(each.relative_to(top)): stat.filemode(each.stat().st_mode)
            for each in found
            if each.stat().st_mode & 0o077
        }
        assert not others
    finally:
        local.stop(folder=home)


@pytest.mark.parametrize("named", ["~/runtime", "runtime", "./a/b", "../x"])
def test_a_home_that_is_not_absolute(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QSESSION_HOME", named)
    for ask in (QiskitRuntimeService, local.endpoint, local.status, local.stop):
        with pytest.raises(RuntimeStartError, match=re.escape(repr(named))):
            ask(*(["local"] if ask is QiskitRuntimeService else []))
    assert not list(tmp_path.iterdir())


def test_a_server_refuses_a_relative_home_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QSESSION_HOME", "~/runtime")
    done = subprocess.run(
        [sys.executable, "-m", "qsession_widget.runtime"],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "~/runtime" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["a file", "below a file", "a long name"])
def test_a_home_that_cannot_be_a_folder(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    folder = {
        "a file": file,
        "below a file": file / "runtime",
        "a long name": tmp_path / ("x" * 300),
    }[kind]
    with pytest.raises(RuntimeStartError, match=re.escape(str(folder)[:200])):
        local.endpoint(folder=folder)
    assert [each.name for each in tmp_path.iterdir()] == ["file"], "nothing was created"
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1", "127.0.0.2", "127.1", "localhost", "LOCALHOST", "localhost.", "a.localhost"),
        *("[::1]", "[::ffff:127.0.0.1]"),
    ],
)
def test_every_address_of_this_machine(url: str) -> None:
    assert is_here(f"http://{url}:8080/api/v1")


@pytest.mark.parametrize(
    "url", ["10.0.0.1", "localhost.evil.com", "evil.com", "128.0.0.1", "[::2]"]
)
def test_another_machine(url: str) -> None:
    assert not is_here(f"http://{url}:8080/api/v1")


CONNECTED = """
from qiskit_ibm_runtime import QiskitRuntimeService
{more}
print([each.name for each in {service}.backends("fake_manila")])
"""


@pytest.mark.parametrize("form", ["env", "python", "account", "ours"])
def test_proxies_of_the_environment_are_bypassed_by_every_client(
    runtime_home: Path, tmp_path: Path, form: str
) -> None:
    nowhere = dict.fromkeys(
        ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9"
    )
    local.endpoint(folder=runtime_home)
    variables = {
        **{name: text for name, text in os.environ.items() if name.lower() != "no_proxy"},
        **nowhere,
        "QSESSION_HOME": str(runtime_home),
        "HOME": str(tmp_path),
        "NO_PROXY": "example.org",
        "no_proxy": "example.org",
    }
    use = Path(sys.executable).parent / "qsession"
    code = {
        "env": CONNECTED.format(more="", service="QiskitRuntimeService()"),
        "account": CONNECTED.format(more="", service='QiskitRuntimeService(name="local")'),
        "python": None,
        "ours": CONNECTED.format(
            more="from qsession_widget import local", service="local.official_service()"
        ),
    }[form]
    if code is None:
        code = subprocess.check_output(  # noqa: S603 - ours
            [use, "connect", "--format", "python"], env=variables, text=True
        )
        code += "print([each.name for each in service.backends('fake_manila')])\n"
    script = tmp_path / "script.py"
    script.write_text(code)
    lead = f'eval "$({use} connect --format {form})" && ' if form in {"env", "account"} else ""
    done = subprocess.run(  # noqa: S602 - what a user types
        f"{lead}{sys.executable} {script}",
        shell=True,
        env=variables,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS * 3,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["['fake_manila']"], done.stderr


USES = """
import json, sys
import qiskit_ibm_runtime
from qsession_widget import local
service = local.official_service()
print(json.dumps([qiskit_ibm_runtime.__version__, [each.name for each in service.backends()],
    type(service) is qiskit_ibm_runtime.QiskitRuntimeService, len(service.instances())]))
"""


def test_an_older_official_client_without_an_iam_setting(
    runtime_home: Path, tmp_path: Path
) -> None:
    release = "0.45.0"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    installed = subprocess.run(  # noqa: S603 - ours
        [*command, str(tmp_path), f"qiskit-ibm-runtime=={release}"], check=False
    )
    if installed.returncode:
        pytest.skip("there is no network to install it from")
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", USES],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "QSESSION_HOME": str(runtime_home)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=DEADLINE_SECONDS * 3,
    )
    version, names, genuine, instances = json.loads(done.stdout.splitlines()[-1])
    assert version == release
    assert "fake_manila" in names
    assert genuine
    assert instances == 1
