"""For users who do not clone: `pip install` of the wheel gives the same panel, without node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from qsession_widget import QiskitRuntimeService, Session
from qsession_widget.local import process
from tests.browser.jupyter import lab, without_its_end

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def no_node(installed: Path) -> dict[str, str]:
    """Return environment variables with which only the new environment's programs are found."""
    environment = {**os.environ, "PATH": str(installed)}
    assert shutil.which("node", path=environment["PATH"]) is None
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        environment.pop(name, None)
    return environment


def test_jupyterlab_finds_the_extension(installed: Path, no_node: dict[str, str]) -> None:
    command = [str(installed / "jupyter"), "labextension", "list"]
    listed = subprocess.run(  # noqa: S603 - ours
        command, env=no_node, capture_output=True, text=True, check=True
    )
    plain = re.sub(r"\x1b\[\d+m", "", listed.stdout + listed.stderr)
    assert re.search(r"qsession-widget v\S+ enabled OK", plain), plain
    command = [str(installed / "jupyter"), "server", "extension", "list"]
    listed = subprocess.run(  # noqa: S603 - ours
        command, env=no_node, capture_output=True, text=True, check=True
    )
    plain = re.sub(r"\x1b\[\d+m", "", listed.stdout + listed.stderr)
    assert re.search(r"qsession_widget.server_extension enabled", plain), plain
    assert re.search(r"qsession_widget.server_extension \S* ?OK", plain), plain


def test_the_panel_is_live(
    installed: Path,
    no_node: dict[str, str],
    page: Page,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "qsession"
    monkeypatch.setenv("QSESSION_HOME", str(home))
    with lab(installed / "python", tmp_path, home, no_node) as running:
        notebook = running.open(page, without_its_end(tmp_path))
        notebook.run_all()
        assert notebook.errors() == []
        status = notebook.panel.get_by_test_id("qsw-status")
        expect(status).to_have_text("Idle (paid)")
        expect(page.locator(".qsw-statusbar")).to_contain_text("Sessions: 1")
        service = QiskitRuntimeService(channel="local")
        (session_id,) = {job.session_id for job in service.jobs(limit=None)}
        assert session_id is not None
        notebook.panel.get_by_test_id("qsw-close").click()
        notebook.panel.get_by_test_id("qsw-confirm").click()
        expect(status).to_contain_text("Closed")
        assert Session.from_id(session_id, service).status() == "Closed"
    found = process.status(folder=home)
    assert found is not None
    assert str(installed) in Path(f"/proc/{found['pid']}/cmdline").read_text().split("\0")[0]
    process.stop(folder=home)
