"""Two people with one notebook, each in a browser of their own, by jupyter-collaboration."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser import jupyter
from tests.browser.jupyter import row_of
from tests.browser.test_faults import OPEN, RUN, notebook_of, the_session
from tests.browser.test_quickstart import long_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

COLLABORATION = "jupyter-collaboration==5.0.4"

HOLD = """from threading import Event
from qsession_widget.monitoring.monitor import Monitor
from qsession_widget.panel import panel_of
goes_on = Event()
Monitor.of(session).ask(panel_of(session), lambda: {"waited": goes_on.wait(60)})
"""
"""Commands are carried out one after the other: this one holds the next."""


@pytest.fixture(scope="module")
def collaboration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install jupyter-collaboration, and what this environment lacks of it, in a folder."""
    folder = tmp_path_factory.mktemp("collaboration")
    venv.create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    own = Path(pytest.__file__).parents[1]
    (packages / "shared.pth").write_text(f"import site; site.addsitedir({str(own)!r})\n")
    python = str(folder / "bin" / "python")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", COLLABORATION]
    subprocess.run(install, check=True)  # noqa: S603 - our own command
    return folder


@pytest.fixture
def shared_lab(tmp_path: Path, home: Path, collaboration: Path) -> Iterator[jupyter.Lab]:
    """Run JupyterLab in which several people edit one notebook."""
    (packages,) = collaboration.glob("lib/python*/site-packages")
    # The helper's folder for kernels is on Jupyter's path.
    (tmp_path / "kernels").mkdir()
    extensions = collaboration / "share" / "jupyter" / "labextensions"
    (tmp_path / "kernels" / "labextensions").symlink_to(extensions)
    environment = {
        **os.environ,
        "PYTHONPATH": str(packages),
        "JUPYTER_CONFIG_PATH": str(collaboration / "etc" / "jupyter"),
    }
    with jupyter.lab(Path(sys.executable), tmp_path, home, environment) as running:
        yield running


def test_both_see_and_steer_the_same_session(
    shared_lab: jupyter.Lab, page: Page, other_page: Page, tmp_path: Path, artifacts: Path
) -> None:
    cells = (OPEN, "session", RUN, f"{HOLD}None", "goes_on.set()")
    first = shared_lab.open(page, notebook_of(tmp_path, *cells))
    for _ in range(3):
        first.run_next()
    second = shared_lab.visit(other_page, "cells.ipynb")
    session = the_session()
    panels = (first.panel, second.panel)
    for panel in panels:
        expect(panel).to_have_attribute("data-session-id", str(session.session_id))
        expect(panel.get_by_test_id("qsw-link")).to_have_text("live")

    # The second acts, and the first sees it.
    job = long_job(session, bindings=5000)
    rows = [row_of(panel, job) for panel in panels]
    for row in rows:
        expect(row).to_have_attribute("data-status", "running")
    rows[1].get_by_test_id("qsw-cancel-job").click()
    for panel, row in zip(panels, rows, strict=True):
        expect(row).to_have_attribute("data-status", "cancelled")
        expect(panel.get_by_test_id("qsw-notice")).to_contain_text("was cancelled")

    # What the first has pressed is under way for the second, too.
    first.run_next()
    first.panel.get_by_test_id("qsw-close").click()
    expect(second.panel.get_by_test_id("qsw-close")).to_be_enabled()
    first.panel.get_by_test_id("qsw-confirm").click()
    for panel in panels:
        expect(panel.get_by_test_id("qsw-close")).to_have_text("Closing…")
        expect(panel.get_by_test_id("qsw-close")).to_be_disabled()
    other_page.screenshot(path=artifacts / "second-person.png")
    first.run_next()
    for panel in panels:
        expect(panel.get_by_test_id("qsw-status")).to_have_text("Closed")
        expect(panel.get_by_test_id("qsw-link")).to_have_text("final state")
