"""A folder that several machines share: who serves it, what others are told, and the store."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import requests

from qsession_widget.cli.main import main
from qsession_widget.errors import RuntimeElsewhereError
from qsession_widget.local import process
from qsession_widget.runtime import command
from qsession_widget.runtime.local_disk import Machine
from qsession_widget.server_extension.local_sessions import LocalSessions
from qsession_widget.wire.discovery import LASTS_SECONDS, Discovery
from qsession_widget.wire.fields import API_PREFIX
from tests.client.throwaway import unused_address
from tests.conftest import DEADLINE_SECONDS, eventually, running, use

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVE = """
import pathlib, sys
from qsession_widget.runtime import command, server
from qsession_widget.runtime.local_disk import Machine
server.RENEWED_SECONDS = 0.05
mounts, place, *arguments = sys.argv[1:]
machine = Machine(pathlib.Path(mounts), (pathlib.Path(place),))
raise SystemExit(command.main(arguments, machine=machine))
"""
"""A runtime on a machine whose mounts are handed in, and which renews its file often."""


def on(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Let this process, and those that it starts, be on a machine of that name."""
    monkeypatch.setenv("QSESSION_HOST", host)


def hide(folder: Path) -> Discovery:
    """Change the runtime's address to one without answer: the loopback of another machine."""
    found = Discovery.read(folder)
    assert found is not None
    away = replace(found, url=unused_address())
    away.write(folder)
    return away


def age(folder: Path) -> None:
    """Let the runtime's last sign of life be too old."""
    path = Discovery.path(folder)
    then = path.stat().st_mtime - LASTS_SECONDS - 1
    os.utime(path, (then, then))


class Shared:
    """A folder that says it is on NFS, and a folder on a local disk."""

    def __init__(self, folder: Path) -> None:
        self.home, self.local = folder / "home", folder / "local"
        for each in (self.home, self.local):
            each.mkdir()
        mounts = folder / "mountinfo"
        mounts.write_text(
            f"27 1 254:0 / / rw - ext4 /dev/vda rw\n28 27 0:9 / {self.home} rw - nfs4 srv:/h rw\n"
        )
        self.machine = Machine(mounts, (self.local,))

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-c", SERVE, str(self.machine.mounts), str(self.local)]
        command += ["--home", str(self.home), "--workers", "1"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:  # noqa: S603 - ours
            try:
                yield child
            finally:
                child.kill()

    def refused(self) -> int:
        """Try to start a runtime in this process, which must not come to serve."""
        return command.main(["--home", str(self.home)], machine=self.machine)

    def until_serving(self, child: subprocess.Popen[str]) -> Discovery:
        def answers() -> Discovery | None:
            assert child.poll() is None, child.communicate()[1]
            found = Discovery.read(self.home)
            return found if found is not None and found.pid == child.pid else None

        found = eventually(answers, "a runtime")
        assert isinstance(found, Discovery)
        return found


def test_on_another_machine_one_sentence_says_where_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(tmp_path, monkeypatch)
    on(monkeypatch, "login03")
    with running(tmp_path, "--workers", "1"):
        assert process.endpoint().host == "login03"
        on(monkeypatch, "login04")
        assert process.endpoint().host == "login03", "a machine may be renamed"
        hide(tmp_path)
        said = (
            "runs on login03, and this machine is login04: run your program there, or set "
            "QSESSION_HOME to another folder"
        )
        started = list(process._children)
        for ask in (process.endpoint, process.stop, process.refuse_elsewhere, LocalSessions().list):
            with pytest.raises(RuntimeElsewhereError, match=said) as caught:
                ask()
            assert caught.value.host == "login03"
        assert process._children == started, "no runtime was started"
        assert main(["status"]) == 1
        assert "runs on login03" in capsys.readouterr().err
        assert command.main(["--home", str(tmp_path)]) == command.ALREADY_RUNNING_STATUS
        assert "runs on login03" in capsys.readouterr().err
    # It has ended, and left the file that it did not write.
    assert process.endpoint().host == "login04"
    assert process.stop() is True


def test_the_sentence_names_the_address_for_other_machines(tmp_path: Path) -> None:
    there = Discovery("http://127.0.0.1:1", 1, "0", "t", "https://login03:8443", "", "login03")
    assert "connect to https://login03:8443 with a user's token, or" in there.sentence(tmp_path)


def test_the_store_is_on_a_local_disk_and_has_one_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Shared(tmp_path)
    (shared.home / "runtime.db").write_text("of an older release")
    on(monkeypatch, "login03")
    with shared.serving() as first:
        found = shared.until_serving(first)
        assert (found.host, found.shared) == ("login03", True)
        answer = requests.post(
            f"{found.url}{API_PREFIX}/sessions",
            json={"backend": "fake_manila"},
            headers={"Authorization": f"Bearer {found.token}"},
            timeout=DEADLINE_SECONDS,
        )
        assert answer.status_code == 200
        (store,) = shared.local.iterdir()
        assert (store / "runtime.db").stat().st_size
        assert (shared.home / "runtime.db").read_text() == "of an older release"
        # A lock that the file server does not pass on is as if it were not there.
        (shared.home / "server.lock").unlink()
        assert shared.refused() == command.ALREADY_RUNNING_STATUS
        Discovery.path(shared.home).unlink()
        eventually(lambda: Discovery.read(shared.home) == found, "the file that was removed")
        # A machine where that lock is not seen either has its own store, and now the folder.
        other = replace(found, host="login04", token="another")
        other.write(shared.home)
        log = first.communicate(timeout=DEADLINE_SECONDS)[1]
        assert first.returncode == 0
    assert Discovery.read(shared.home) == other
    assert (
        f"{shared.home} is on a network file system: sessions and jobs are kept in {store}" in log
    )
    assert "runtime.db in the folder is left alone" in log
    assert "the folder is another runtime's now: this one ends" in log


def test_a_runtime_that_died_on_another_machine_is_waited_for_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = Shared(tmp_path)
    on(monkeypatch, "login03")
    with shared.serving() as first:
        found = shared.until_serving(first)
        age(shared.home)
        eventually(lambda: found.is_renewed(shared.home), "a sign of life")
    on(monkeypatch, "login04")
    # It was killed, and its lock is free: but the lock of a machine that lives may be, too.
    with pytest.raises(RuntimeElsewhereError, match="runs on login03"):
        process.endpoint(folder=shared.home)
    assert shared.refused() == command.ALREADY_RUNNING_STATUS
    assert "runs on login03" in capsys.readouterr().err
    age(shared.home)
    process.refuse_elsewhere(folder=shared.home)


def test_without_a_local_disk_it_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = Shared(tmp_path)
    shared.machine.mounts.write_text("27 1 0:9 / / rw - nfs4 srv:/ rw\n")
    assert shared.refused() == 1
    said = capsys.readouterr().err
    assert f"{shared.home} is on a network file system (nfs4)" in said
    assert len(said.strip().splitlines()) == 1
