"""The runtime's status, for its administrator and for other users."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from qsession_widget.cli.main import main
from tests.conftest import eventually, running, use
from tests.runtime.http.test_users import add
from tests.runtime.server import Server, reached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QSESSION = [sys.executable, "-P", "-c", "from qsession_widget.cli.main import main; exit(main())"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    arguments = ("--workers", "2", "--min-job-seconds", "3600", "--policy", "dedicated")
    with running(tmp_path_factory.mktemp("status"), *arguments) as folder:
        yield reached(folder)


def status(server: Server) -> Any:
    return server.json("/qsession/status")


def test_the_status_describes_devices_workers_and_queues(server: Server) -> None:
    eventually(
        lambda: [each["state"] for each in status(server)["workers"]] == ["idle"] * 2, "workers"
    )
    quiet = status(server)
    assert (quiet["devices"], quiet["sessions"], quiet["rate"]) == ([], [], 1.0)
    assert quiet["store"]["bytes"] > 10_000
    assert quiet["version"] == server.json("/qsession")["version"]
    ada, eve = add(server, "ada"), add(server, "eve")
    session = ada.open()
    first, second = (ada.submit(session_id=session) for _ in range(2))
    ada.running(first)
    third = eve.submit(backend="aer_simulator")
    eve.running(third)
    seen = status(server)
    device = {"name": "fake_manila", "queued": 1, "running": 1}
    simulator = {"name": "aer_simulator", "queued": 0, "running": 1, "session_id": None}
    assert seen["devices"] == [simulator, {**device, "session_id": session}]
    assert [(each["id"], each["user_id"]) for each in seen["sessions"]] == [(session, "ada")]
    assert {each["job_id"] for each in seen["workers"]} == {first, third}
    assert {each["device"] for each in seen["workers"]} == {"fake_manila", "aer_simulator"}
    names = [psutil.Process(each["pid"]).parent() for each in seen["workers"]]
    assert all(each is not None for each in names)
    # Other users see the lengths of the queues, but not the owners.
    seen = status(eve)
    assert seen["devices"] == [simulator, {**device, "session_id": None}]
    assert seen["sessions"] == []
    assert {each["job_id"] for each in seen["workers"]} == {None, third}
    assert {each["pid"] for each in seen["workers"]} == {None}
    assert session not in str(seen)
    assert second not in str(seen)
    mine = status(ada)
    assert [each["id"] for each in mine["sessions"]] == [session]
    assert mine["devices"][1]["session_id"] == session


def test_without_reservations_no_session_holds_a_device(tmp_path: Path) -> None:
    with running(tmp_path, "--policy", "shared", "--min-job-seconds", "3600") as folder:
        found = reached(folder)
        session = found.open()
        found.running(found.submit(session_id=session))
        seen = status(found)
    assert seen["policy"] == "shared"
    assert [each["session_id"] for each in seen["devices"]] == [None]
    assert [each["id"] for each in seen["sessions"]] == [session]


def test_the_status_is_drawn(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(server.folder, monkeypatch)
    session = server.open(backend="fake_torino")
    job_id = server.submit()
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    for each in (session[:8], "fake_torino", "fake_manila", "owner", "Worker", "Store:"):
        assert each in said
    assert "\x1b" not in said, "no colours where there is no terminal"
    assert main(["status", "--live"]) == 0, "and it is drawn once there"
    server.ask("POST", f"/jobs/{job_id}/cancel")
    server.ask("DELETE", f"/sessions/{session}/close")


def test_the_live_status_is_updated_until_ctrl_c(server: Server) -> None:
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "QSESSION_HOME": str(server.folder),
        "TERM": "xterm",
        "COLUMNS": "120",
        "LINES": "40",
    }
    with subprocess.Popen(  # noqa: S603 - ours
        [*QSESSION, "status", "--live"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as child:
        os.close(theirs)
        screen = Screen(ours)
        eventually(lambda: "Worker" in screen.read(), "a picture")
        assert "fake_oslo" not in screen.read()
        session = server.open(backend="fake_oslo")
        eventually(lambda: "fake_oslo" in screen.read(), "the picture of what came after it")
        child.send_signal(signal.SIGINT)
        eventually(lambda: screen.read() is not None and child.poll() is not None, "its end")
    os.close(ours)
    assert child.returncode == 0
    assert "Traceback" not in screen.text
    server.ask("DELETE", f"/sessions/{session}/close")


class Screen:
    """What a program has drawn on a terminal so far."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.text = ""

    def read(self) -> str:
        while select.select([self._descriptor], [], [], 0)[0]:
            try:
                found = os.read(self._descriptor, 65_536)
            except OSError:
                # On Linux: the other side is closed.
                break
            if not found:
                break
            self.text += found.decode(errors="replace")
        return self.text
