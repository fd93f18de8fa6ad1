from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import Sampler, Session
from qsession_widget.cli import demo
from qsession_widget.cli.main import main
from qsession_widget.client import service
from qsession_widget.client.kept_service import KeptService
from qsession_widget.local import process
from qsession_widget.local.admin import Administration
from qsession_widget.transport import accounts
from tests.client.circuits import bell
from tests.conftest import DEADLINE_SECONDS, running

if TYPE_CHECKING:
    from collections.abc import Iterator

QSESSION = [sys.executable, "-P", "-c", "from qsession_widget.cli.main import main; exit(main())"]


@pytest.fixture
def demo_folder(tmp_path: Path) -> Iterator[Path]:
    """Yield an empty folder to run the demo in, with its own runtime."""
    yield tmp_path
    process.stop(folder=tmp_path / "qsession")


def test_status_and_stop(own_runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 1
    assert "does not run" in capsys.readouterr().out
    assert main(["stop"]) == 0
    assert "does not run" in capsys.readouterr().out

    session = Session(backend="fake_manila")
    found = process.status(folder=own_runtime)
    assert found is not None
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert found["url"] in said
    assert "Open sessions: 1" in said
    session.close()

    assert main(["stop"]) == 0
    assert "Stopped" in capsys.readouterr().out
    assert main(["status"]) == 1


def test_jobs_that_were_left_behind_are_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QSESSION_HOME", str(tmp_path))
    monkeypatch.setattr(service, "kept_default", KeptService())
    assert main(["cancel", "--all"]) == 1
    assert "no local runtime answers" in capsys.readouterr().err, "the command starts no runtime"
    with running(tmp_path, "--min-job-seconds", "3600", "--workers", "1"):
        token = Administration().add_user("ada")
        url = process.endpoint().url
        ada = service.QiskitRuntimeService("local", token=token, url=url)
        others = Sampler(ada.backend("fake_manila")).run(bell())
        mine = service.QiskitRuntimeService("local")
        jobs = [Sampler(mine.backend(name)).run(bell()) for name in ("fake_lima", "fake_quito") * 2]
        assert main(["cancel", jobs[0].job_id()]) == 0
        assert "Cancelled 1 job." in capsys.readouterr().out
        jobs[0].wait_for_final_state()
        assert main(["cancel", "--all"]) == 0
        assert "Cancelled 3 jobs." in capsys.readouterr().out
        for job in jobs:
            job.wait_for_final_state()
            assert job.cancelled()
        assert main(["cancel", jobs[0].job_id()]) == 0
        assert "1 had already ended" in capsys.readouterr().out
        assert not others.in_final_state()
        assert main(["cancel", "nothing"]) == 1
        assert "nothing" in capsys.readouterr().err
        for each in (ada, mine):
            each.close()
    with pytest.raises(SystemExit):
        main(["cancel"])
    assert "--all JOB_ID is required" in capsys.readouterr().err


def test_time_passes_on_a_virtual_clock_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QSESSION_HOME", str(tmp_path))
    assert main(["clock", "advance", "8h"]) == 1
    assert "no local runtime answers" in capsys.readouterr().err
    with running(tmp_path, "--clock", "virtual", "--workers", "1"):
        found = process.status()
        assert found is not None
        assert main(["clock", "advance", "8h"]) == 0
        later = datetime.fromisoformat(found["now"]) + timedelta(hours=8)
        assert f"It is now {later:%Y-%m-%dT%H:%M:%S}" in capsys.readouterr().out
        assert main(["clock", "advance", "eight"]) == 1
        assert "TIME" in capsys.readouterr().err
        assert main(["clock", "advance", "400d"]) == 1
        assert "Allowed are seconds" in capsys.readouterr().err


def test_serve_runs_in_the_foreground_until_terminated(own_runtime: Path) -> None:
    served = subprocess.Popen(  # noqa: S603 - ours
        [*QSESSION, "serve", "--workers", "1"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert served.stdout is not None
        assert "serves at http://127.0.0.1:" in served.stdout.readline()
        found = process.status(folder=own_runtime)
        assert found is not None
        assert found["pid"] == served.pid
    finally:
        served.terminate()
        served.wait(DEADLINE_SECONDS)
    assert served.returncode == 0
    assert process.status(folder=own_runtime) is None


@pytest.mark.parametrize("arguments", [["dance"], ["status", "--loudly"]])
def test_a_wrong_command_line_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: qsession" in capsys.readouterr().err


def test_without_a_command_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert re.search(r"^ +status +show whether", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize(
    "name", ["status", "stop", "sessions", "jobs", "logs", "clock", "user add"]
)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    assert re.search(r"\n\n[A-Z][^:]*\.\n", capsys.readouterr().out)


def test_serve_explains_itself() -> None:
    explained = subprocess.run(  # noqa: S603 - ours
        [*QSESSION, "serve", "--help"], capture_output=True, text=True, check=True
    )
    assert "usage: qsession serve" in explained.stdout
    said = " ".join(explained.stdout.split())
    for option in ("--port", "--workers", "--min-job-seconds", "--idle-exit-seconds", "--tls-cert"):
        assert option in said
    for title in ("the runtime itself:", "other machines:", "limits:", "retention:", "backends:"):
        assert title in said
    assert "unfinished jobs of one user (default: 10000)" in said
    assert "None" not in said


def test_the_demo_runs_a_session_and_writes_the_notebook_as_a_page(demo_folder: Path) -> None:
    environment = {**os.environ, "QSESSION_HOME": str(demo_folder / "qsession")}
    # Its output is not a terminal, so it must not open JupyterLab.
    shown = subprocess.run(  # noqa: S603 - ours
        [*QSESSION, "demo"],
        cwd=demo_folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * DEADLINE_SECONDS,
    )
    assert shown.returncode == 0, shown.stderr
    page = demo_folder / "qsession-demo" / "quickstart.html"
    assert page.as_uri() in shown.stdout
    # They contain the results of the jobs.
    assert not [each for each in page.parent.iterdir() if each.stat().st_mode & 0o077]
    for line in ("fake_manila", "Closed", "estimator", "Bell: {'00'", "VQE: -1."):
        assert line in shown.stdout
    html = page.read_text()
    # The session is static HTML, which needs neither script nor network.
    assert ">Closed</span>" in html
    assert "<td" in html
    assert "estimator</td>" in html
    assert "application/vnd.jupyter.widget-view+json" not in html


def test_in_a_terminal_the_demo_opens_jupyterlab_with_the_options_given(demo_folder: Path) -> None:
    terminal, inside = pty.openpty()
    environment = {**os.environ, "QSESSION_HOME": str(demo_folder / "qsession"), "TERM": "xterm"}
    # Other tests cover its session.
    program = """
from qsession_widget.cli import demo
from qsession_widget.cli.main import main
demo.show_session = lambda console: None
main(["demo", "--allow-root", "--", "--no-browser", "--port", "0"])
"""
    opened = subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-P", "-c", program],
        cwd=demo_folder,
        env=environment,
        stdin=inside,
        stdout=inside,
        stderr=inside,
    )
    os.close(inside)
    try:
        shown = _read_until(terminal, "/lab?token=")
    finally:
        opened.terminate()
        # Unread output would keep it from ending.
        _read_until(terminal, None)
        opened.wait(DEADLINE_SECONDS)
        os.close(terminal)
    assert "Opening JupyterLab on" in shown
    assert "running as root" not in shown.lower()


def _read_until(terminal: int, text: str | None) -> str:
    """Read what a program writes to its terminal, up to a text or, for None, to its end."""
    shown = ""
    while text is None or text not in shown:
        readable, _, _ = select.select([terminal], [], [], 2 * DEADLINE_SECONDS)
        assert readable, f"{text!r} did not come:\n{shown}"
        try:
            new = os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # On Linux: the other side has closed.
            new = ""
        if not new:
            assert text is None, f"{text!r} did not come:\n{shown}"
            break
        shown += new
    return shown


def test_as_root_the_demo_writes_the_page_and_prints_the_command(
    demo_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QSESSION_HOME", str(demo_folder / "qsession"))
    monkeypatch.chdir(demo_folder)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    # Other tests cover its session and the whole notebook.
    monkeypatch.setattr(demo, "show_session", lambda _console: None)
    written = notebook_of(demo_folder, "print(40 + 2)")
    monkeypatch.setattr(demo, "_notebook", lambda: written)
    assert demo.run(headless=False, jupyter=["--port", "9999"]) == 0
    shown = capsys.readouterr().out
    page = demo_folder / "qsession-demo" / "quickstart.html"
    assert page.as_uri() in shown
    assert "42" in page.read_text()
    # Nothing from nbconvert or the kernel.
    assert "NbConvertApp" not in shown
    *command, notebook = shlex.split(shown.splitlines()[-1])
    assert command == [sys.executable, "-m", "jupyterlab", "--port", "9999", "--allow-root"]
    assert Path(notebook) == written


def notebook_of(folder: Path, cell: str) -> Path:
    path = folder / "cells.ipynb"
    code: dict[str, Any] = {
        "cell_type": "code",
        "source": cell,
        "outputs": [],
        "execution_count": None,
    }
    content = {
        "cells": [{**code, "metadata": {}}],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    path.write_text(json.dumps(content))
    return path


def test_a_failing_notebook_is_reported_with_its_error(tmp_path: Path) -> None:
    notebook = notebook_of(tmp_path, "1 / 0")
    with pytest.raises(demo.ExecutionError, match="division by zero"):
        demo.execute(notebook, tmp_path / "page.html")


def test_only_the_demo_passes_other_options_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["stop", "--port", "9999"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --port 9999" in capsys.readouterr().err


def test_the_demo_without_jupyterlab_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del runtime
    monkeypatch.setattr("qsession_widget.cli.demo.find_spec", lambda _name: None)
    assert main(["demo"]) == 1
    assert "qsession-widget[lab]" in capsys.readouterr().out


def test_connect_prints_what_the_official_client_needs(
    runtime: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = process.endpoint(folder=runtime)
    assert main(["connect"]) == 0
    lines = dict(
        line.removeprefix("export ").split("=", 1) for line in capsys.readouterr().out.splitlines()
    )
    assert lines["IAM_URL"] == lines["GLOBAL_SEARCH_URL"] == found.url
    assert lines["QISKIT_IBM_URL"] == f"{found.url}/experimental/api/v1"
    assert lines["QISKIT_IBM_TOKEN"] == found.token
    assert lines["USAGE_DATA_OPT_OUT"] == "True"
    assert main(["connect", "--format", "python"]) == 0
    compile(capsys.readouterr().out, "printed", "exec")
    environment = {**os.environ, "QSESSION_HOME": str(runtime), "HOME": str(tmp_path)}
    saved = subprocess.run(  # noqa: S603 - ours
        [*QSESSION, "connect", "--format", "account"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE_SECONDS,
    )
    assert f"export IAM_URL={found.url}" in saved.stdout
    assert "export USAGE_DATA_OPT_OUT=True" in saved.stdout
    account = json.loads((tmp_path / ".qiskit" / "qiskit-ibm.json").read_text())["local"]
    assert account["token"] == found.token
    monkeypatch.setattr(accounts, "account_file", lambda: tmp_path / ".qiskit" / "qiskit-ibm.json")
    assert accounts.find_account().channel == "local"
