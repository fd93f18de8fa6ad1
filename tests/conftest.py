"""Real local runtimes for tests, each with its own folder."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import hypothesis
import psutil
import pytest
import requests

from qsession_widget.errors import ServiceUnavailableError
from qsession_widget.local import process
from tests.marks import marks_of
from tests.runtime import stores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from qsession_widget import QiskitRuntimeService
    from tests.postgresql import Cluster

# The time of an example depends on the machine; a deadline would fail on a busy one.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

DEADLINE_SECONDS = 60.0
"""How long anything in a test may take before the test fails; no test measures time by it."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need a process, a browser or a minute, unless they are marked already."""
    for item in items:
        for name in sorted(marks_of(item)):
            item.add_marker(name)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Return the event loop of asynchronous tests and fixtures: the runtime runs on asyncio."""
    return "asyncio"


def eventually(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Wait until a condition holds, and return its value."""
    tick = threading.Event()
    for _ in range(int(DEADLINE_SECONDS / 0.02)):
        found = condition()
        if found:
            return found
        tick.wait(0.02)
    pytest.fail(f"{what} did not come about in {DEADLINE_SECONDS} s")


def gone(pid: int) -> bool:
    """Whether a process has ended, also if its parent has not waited for it yet."""
    # Asked once: it may end between any two questions about it.
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers_at(url: str) -> bool:
    """Whether a server answers a GET."""
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


@contextmanager
def served(
    command: Sequence[str],
    answers: Callable[[], bool],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    killed_after: float | None = None,
) -> Iterator[None]:
    """Run a server from when it answers until the block ends.

    Args:
        command: starts it in the foreground.
        answers: whether it does.
        log: takes its output, after what is there.
        environment: in which it runs; None is this process's.
        folder: its working directory; None is this process's.
        killed_after: seconds that it has to end by itself; None is `DEADLINE_SECONDS`, after which
            the test fails.
    """
    with log.open("ab") as output:
        server = subprocess.Popen(  # noqa: S603 - ours
            command, stdout=output, stderr=output, env=environment, cwd=folder
        )

    def ready() -> bool:
        assert server.poll() is None, log.read_text()
        return answers()

    try:
        eventually(ready, f"an answer of {command[0]}")
        yield
    finally:
        server.terminate()
        try:
            server.wait(killed_after or DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(DEADLINE_SECONDS)
            if killed_after is None:
                raise


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Path]:
    """Run a runtime with its own arguments, and yield its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "qsession_widget.runtime", "--home", str(folder), *arguments]

    def answers() -> bool:
        try:
            return bool(process.endpoint(start=False, folder=folder))
        except ServiceUnavailableError:
            return False

    with served(command, answers, folder / "runtime.log"):
        yield folder


@pytest.fixture(scope="session")
def runtime_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a runtime that all tests share; it is stopped after the last one."""
    folder = tmp_path_factory.mktemp("runtime")
    yield folder
    process.stop(folder=folder)


@pytest.fixture
def runtime(runtime_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use the shared runtime as this process's local runtime; it starts at its first use."""
    use(runtime_home, monkeypatch)
    return runtime_home


@pytest.fixture
def own_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Use a new folder in this process, for tests that stop and kill; nothing runs yet."""
    use(tmp_path, monkeypatch)
    yield tmp_path
    process.stop(folder=tmp_path)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """Run a server of PostgreSQL that all tests share."""
    from tests import postgresql as servers  # noqa: PLC0415 - needs a driver, which few tests do

    if servers.programs() is None:
        pytest.skip("no server of PostgreSQL is installed; `make postgresql` tries to")
    with servers.cluster(fsync="off") as found:
        yield found


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def each_store(request: pytest.FixtureRequest) -> Iterator[str]:
    """Keep the stores of a test in files, and once more in PostgreSQL."""
    if request.param == "postgresql":
        stores.keep_in(request.getfixturevalue("postgresql"))
    yield request.param
    stores.keep_in(None)


@pytest.fixture
def service(runtime: Path) -> Iterator[QiskitRuntimeService]:
    """Yield a connection to that runtime."""
    from qsession_widget.client.service import QiskitRuntimeService  # noqa: PLC0415 - Qiskit

    assert runtime
    with QiskitRuntimeService("local") as found:
        yield found


@pytest.fixture(scope="session")
def slow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a runtime whose jobs take an hour: a running job surely still runs."""
    folder = tmp_path_factory.mktemp("slow")
    with running(folder, "--min-job-seconds", "3600", "--workers", "4"):
        yield folder


@pytest.fixture
def slow_runtime(slow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use the slow runtime as this process's local runtime."""
    use(slow_home, monkeypatch)
    return slow_home


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a folder for this process's local runtime, and forget every saved account."""
    from qsession_widget.client import default_service, service  # noqa: PLC0415 - Qiskit
    from qsession_widget.client.kept_service import KeptService  # noqa: PLC0415 - Qiskit
    from qsession_widget.transport import accounts  # noqa: PLC0415 - not all tests need it

    monkeypatch.setenv("QSESSION_HOME", str(folder))
    monkeypatch.setattr(accounts, "account_file", lambda: folder / "no-accounts.json")
    monkeypatch.setattr(service, "kept_default", KeptService())
    monkeypatch.setattr(default_service, "_local", KeptService())
    for name in ("TOKEN", "URL", "INSTANCE", "CHANNEL"):
        monkeypatch.delenv(f"QISKIT_IBM_{name}", raising=False)
