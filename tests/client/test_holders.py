"""Waiting for a session that has the backend: the wait is explained, and a dead kernel's ends."""

from __future__ import annotations

import json
import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import start_new_kernel

from qsession_widget import QiskitRuntimeService, Sampler, Session
from qsession_widget.client.jobs import base_job
from qsession_widget.local.admin import Administration
from qsession_widget.wire.holders import ReadHolder, holder_parts
from tests.client.circuits import bell
from tests.conftest import DEADLINE_SECONDS, eventually, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qsession_widget.wire.documents import SessionExtrasDocument

README = Path(__file__).parents[2] / "README.md"
QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"


def extras(service: QiskitRuntimeService, session_id: str | None) -> SessionExtrasDocument:
    """Return what the local runtime adds to a session."""
    found = service.api.session(session_id or "").qsession
    assert found
    return found


def ten_lines() -> str:
    """Return the program of the README."""
    (found,) = re.findall(
        r"## Ten lines\n\n```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL
    )
    return str(found)


class Kernel:
    """A Jupyter kernel of its own."""

    def __init__(self, notebook: str) -> None:
        environment = {**os.environ, "JPY_SESSION_NAME": f"/notebooks/{notebook}"}
        self.manager, self.client = start_new_kernel(env=environment)

    def runs(self, code: str) -> str:
        """Run a cell; return what it writes."""
        texts: list[str] = []

        def take(message: dict[str, Any]) -> None:
            texts.append(str(message["content"].get("text", "")))

        reply = self.client.execute_interactive(code, output_hook=take, timeout=DEADLINE_SECONDS)
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(texts)

    def kill(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def left_open() -> str:
    """Return the same program by a user who forgets to close the session."""
    opened, left = ten_lines().split("with ")
    line, *block = left.splitlines()
    opens = re.sub(r"(.*) as (\w+):", r"\2 = \1", line)
    return "\n".join([opened, opens, *(each.strip() for each in block)])


@pytest.fixture
def kernel(own_runtime: Path) -> Iterator[Kernel]:
    """Yield a kernel in which the ten lines ran and left their session open and idle."""
    assert own_runtime
    found = Kernel("quickstart.ipynb")
    assert "'00'" in found.runs(left_open())
    yield found
    if found.manager.is_alive():
        found.kill()


def test_the_ten_lines_run_again_at_once_after_their_kernel_was_killed(kernel: Kernel) -> None:
    """The second run hung for up to a minute: the first run's idle session had the backend."""
    kernel.kill()
    second = Kernel("quickstart.ipynb")
    try:
        written = second.runs(left_open())
    finally:
        second.kill()
    assert "'00'" in written
    assert "waits" not in written
    with QiskitRuntimeService("local") as service:
        newer, older = service.sessions()
        first = service.api.session(older.id)
        assert (first.state, first.accepting_jobs) == ("inactive", True)
        assert "had ended" in (first.state_reason or "")
        assert extras(service, newer.id).place == "quickstart.ipynb"
        # Nothing was closed: it goes on.
        again = Session.from_id(older.id, service)
        assert Sampler(mode=again).run(bell()).result()


def test_the_ten_lines_run_twice_in_one_kernel(own_runtime: Path) -> None:
    assert own_runtime
    kernel = Kernel("quickstart.ipynb")
    try:
        written = [kernel.runs(ten_lines()) for _ in range(2)]
    finally:
        kernel.kill()
    for each in written:
        assert "'00'" in each
        assert "waits" not in each
    with QiskitRuntimeService("local") as service:
        assert [each.status for each in service.sessions()] == ["completed", "completed"]


def test_the_quickstart_runs_twice_in_one_kernel(own_runtime: Path) -> None:
    """The second run waited for a minute: the first one's session had the backend."""
    assert own_runtime
    cells = json.loads(QUICKSTART.read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    kernel = Kernel("quickstart.ipynb")
    try:
        written = "".join(kernel.runs(cell) for _ in range(2) for cell in code)
    finally:
        kernel.kill()
    assert written.count("hartree after") == 2
    assert "waits" not in written
    with QiskitRuntimeService("local") as service:
        assert [service.api.session(each.id).state for each in service.sessions()] == ["closed"] * 2


def test_one_line_says_who_has_the_backend_and_what_to_do(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert kernel.manager.is_alive()
    monkeypatch.setattr(base_job, "_SILENT_SECONDS", 0.2)
    lines = caplog.records
    with (
        caplog.at_level(logging.WARNING),
        QiskitRuntimeService("local") as service,
        ThreadPoolExecutor() as threads,
        Session(service, backend="fake_manila", name="second") as session,
    ):
        job = Sampler(mode=session).run(bell())
        result = threads.submit(job.result)
        eventually(lambda: lines, "the line")
        _, older = service.sessions()
        found = extras(service, session.session_id)
        assert found.name == "second"
        holder = found.held_by
        assert holder
        assert holder.until
        assert (holder.mine, holder.session_id, holder.name) == (True, older.id, None)
        assert (holder.place, holder.state) == ("quickstart.ipynb", "idle")
        assert holder.kernel_gone is False
        text = lines[0].getMessage()
        short = older.id[:8]
        assert re.fullmatch(
            rf"Job {job.job_id()} waits: fake_manila is held by your session {short} "
            rf"\(quickstart\.ipynb\), idle, until \d\d:\d\d:\d\d\. To have it at once: "
            rf"Session\.from_id\('{short}'\)\.close\(\), or `qsession close {short}`\.",
            text,
        ), text
        # What it advises helps.
        Session.from_id(short).close()
        assert result.result(DEADLINE_SECONDS)
        assert len(lines) == 1
        assert extras(service, session.session_id).held_by is None


def test_others_are_not_named(own_runtime: Path) -> None:
    """Another user sees only that a session has the backend, and until when."""
    with running(own_runtime, "--policy", "dedicated"), QiskitRuntimeService("local") as service:
        session = Session(service, backend="fake_manila", name="secret")
        assert Sampler(mode=session).run(bell()).result()
        at = Administration()
        with QiskitRuntimeService("local", at.add_user("ada"), at.url) as adas:
            job = Sampler(mode=adas.backend("fake_manila")).run(bell())
            text = adas.api.transport.request("GET", f"/jobs/{job.job_id()}").text
            holder = job._extras().held_by
            assert holder
            assert (holder.mine, holder.state) == (False, "idle")
            assert holder.until
            assert (holder.session_id, holder.name, holder.place) == (None, None, None)
            assert str(session.session_id) not in text
            assert "secret" not in text
            words = holder_parts(ReadHolder(holder), "fake_manila")
            assert words[0] == "fake_manila is held by another user's session, idle, until "
            session.close()
            assert job.result()
