"""Programs on other machines report that they live, so that their sessions can be given up."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from qsession_widget import QiskitRuntimeService, Sampler, Session
from qsession_widget.local import process
from qsession_widget.transport import heartbeat
from qsession_widget.wire import processes
from qsession_widget.wire.discovery import LOG_NAME, Discovery
from tests.client.circuits import bell
from tests.conftest import DEADLINE_SECONDS, eventually, running

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PROGRAM = """
import sys
from qsession_widget.wire import processes
# What a program in a container or on another machine finds out.
processes._machine = lambda: "5d1cb2d6-8e4b-4b42-9f6b-5f2c6a1b3c4d/4026531836"
from qsession_widget import QiskitRuntimeService, Sampler, Session
from tests.client.circuits import bell
url, token = sys.argv[1:]
service = QiskitRuntimeService("local", token, url)
session = Session(service, backend="fake_manila")
Sampler(mode=session).run(bell(), shots=10).result()
print(session.session_id, flush=True)
sys.stdin.read()
"""


def elsewhere(at: Discovery) -> subprocess.Popen[str]:
    """Start a program that takes itself to be on another machine, and has an idle session."""
    return subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-c", PROGRAM, at.url, at.token],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def beats(folder: Path) -> int:
    """Count the reports in the runtime's log."""
    return (folder / LOG_NAME).read_text("utf-8").count("/qsession/beats")


def test_a_session_from_elsewhere_gives_its_device_up_once_its_program_has_ended(
    own_runtime: Path,
) -> None:
    with running(own_runtime, "--beat-seconds", "0.3"), QiskitRuntimeService("local") as service:
        program = elsewhere(process.endpoint(start=False))
        try:
            assert program.stdout
            older = program.stdout.readline().strip()
            job = Sampler(service.backend("fake_manila")).run(bell(), shots=10)
            seen = beats(own_runtime)
            eventually(lambda: beats(own_runtime) > seen + 4, "more reports than may be missed")
            assert job.status() == "QUEUED"
            assert service.heartbeat is None, "the runtime sees this process by itself"
        finally:
            program.kill()
            program.communicate()
        assert job.result(DEADLINE_SECONDS)
        found = service.api.session(older)
        assert (found.state, found.accepting_jobs) == ("inactive", True)
        assert "had ended" in (found.state_reason or "")
        again = Session.from_id(older, service)
        assert Sampler(mode=again).run(bell(), shots=10).result()
        again.close()


def test_the_reports_outlast_a_runtime_and_end_with_the_session(
    own_runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "machine_mark", lambda: "another")
    monkeypatch.setattr(heartbeat, "_FIRST_PAUSE_SECONDS", 0.1)
    with QiskitRuntimeService("local") as service:
        with running(own_runtime, "--beat-seconds", "0.1"):
            session = Session(service, backend="fake_manila")
            eventually(lambda: beats(own_runtime) > 1, "reports")
        seen = beats(own_runtime)
        with running(own_runtime, "--beat-seconds", "0.1"):
            eventually(lambda: beats(own_runtime) > seen, "reports to the next runtime")
            (thread,) = (
                each for each in threading.enumerate() if each.name == "qsession-heartbeat"
            )
            session.close()
            thread.join(DEADLINE_SECONDS)
            assert service.heartbeat is not None
            assert not service.heartbeat.beating, "nothing is left to report"
