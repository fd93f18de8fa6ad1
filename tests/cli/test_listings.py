"""`qsession sessions`, `jobs`, `close` and `logs`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from qsession_widget import QiskitRuntimeService, Sampler, Session
from qsession_widget.cli.main import main
from tests.client.circuits import bell
from tests.conftest import eventually, running

if TYPE_CHECKING:
    from pathlib import Path


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """Return what a command writes."""
    assert main(list(arguments)) == status
    found = capsys.readouterr()
    return found.err if status else found.out


def test_sessions_and_jobs_are_listed_and_closed_by_the_beginning_of_their_ids(
    own_runtime: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for command in ("sessions", "jobs", "close"):
        more = ["abcd"] if command == "close" else []
        assert "no local runtime answers" in said(capsys, command, *more, status=1)
    with running(own_runtime), QiskitRuntimeService("local") as service:
        assert said(capsys, "sessions") == "No session is open.\n"
        assert said(capsys, "jobs") == "No job is unfinished.\n"
        assert said(capsys, "jobs", "--all") == "There are no jobs.\n"
        first = Session(service, backend="fake_manila", name="H2")
        second = Session(service, backend="fake_manila")
        done = Sampler(mode=first).run(bell())
        done.result()
        waiting = Sampler(mode=second).run(bell())
        text = said(capsys, "sessions")
        assert [line.split()[0] for line in text.splitlines()[1:]] == [
            str(first.session_id)[:8],
            str(second.session_id)[:8],
        ]
        assert "H2" in text
        assert "Idle (paid)" in text
        assert "Waiting" in text
        text = said(capsys, "jobs")
        assert waiting.job_id() in text
        assert "Queued" in text
        assert done.job_id() not in text
        text = said(capsys, "jobs", "--all")
        assert done.job_id() in text
        assert "Done" in text
        assert re.search(r"(00|11): \d+ % · (00|11): \d+ %", text)
        assert "and 1 more" in said(capsys, "jobs", "--all", "--limit", "1")
        assert "completed" in said(capsys, "logs", done.job_id()[:12])
        # It is what the waiting job's line advises.
        short = str(first.session_id)[:8]
        assert said(capsys, "close", short) == f"Closed {first.session_id}.\n"
        waiting.result()
        assert said(capsys, "close", "--all") == f"Closed {second.session_id}.\n"
        assert said(capsys, "close", "--all") == "No session is open.\n"
        eventually(lambda: second.status() == "Closed", "the end of the session")
        assert "ffffffff" in said(capsys, "close", "ffffffff", status=1)
        assert "GET /api/v1" in said(capsys, "logs")
    for wrong in (["close"], ["jobs", "--limit", "0"]):
        with pytest.raises(SystemExit):
            main(wrong)
    assert "0 is not from 1 to 200" in capsys.readouterr().err


def test_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "--version").splitlines()
    assert [line.split()[0] for line in lines] == ["qsession-widget", "qiskit", "qiskit-aer"]
