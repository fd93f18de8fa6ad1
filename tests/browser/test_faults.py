"""The panel during faults of its surroundings."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from qsession_widget import QiskitRuntimeService, Session
from qsession_widget.local import process
from tests.browser.jupyter import row_of
from tests.browser.test_quickstart import long_job
from tests.conftest import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from qsession_widget import RuntimeJob
    from tests.browser.jupyter import Lab, Notebook

OPEN = 'from qsession_widget import Session\nsession = Session(backend="fake_manila")'
CELL_RUNS = ".jp-InputPrompt"


def notebook_of(folder: Path, *cells: str) -> Path:
    """Write a notebook of code cells."""
    path = folder / "cells.ipynb"
    code: list[dict[str, object]] = [
        {
            "cell_type": "code",
            "source": cell,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for cell in cells
    ]
    kernel = {"name": "python3", "display_name": "Python 3"}
    content = {
        "cells": code,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    path.write_text(json.dumps(content))
    return path


def the_session() -> Session:
    """Return the session that the notebook has opened, found by its only job."""
    service = QiskitRuntimeService(channel="local")
    (job,) = eventually(lambda: service.jobs(limit=None))
    assert job.session_id is not None
    return Session.from_id(job.session_id, service)


RUN = """from qiskit import QuantumCircuit
from qsession_widget import Sampler
circuit = QuantumCircuit(1)
circuit.measure_all()
job = Sampler(mode=session).run([circuit])"""


def test_the_panel_survives_the_death_of_the_server(lab: Lab, page: Page, tmp_path: Path) -> None:
    notebook = lab.open(page, notebook_of(tmp_path, OPEN, "session", RUN))
    notebook.run_all()
    session = the_session()
    found = process.status()
    assert found is not None
    os.kill(found["pid"], signal.SIGKILL)
    # The next request starts it again, from this process or the panel.
    job = long_job(session, bindings=5)
    row = row_of(notebook.panel, job)
    expect(row).to_have_attribute("data-status", "completed")
    again = process.status()
    assert again is not None
    assert again["pid"] != found["pid"]
    assert again["url"] == found["url"]


def block(lab: Lab, page: Page, folder: Path, wait: str) -> tuple[Notebook, Session, RuntimeJob]:
    """Open a session with a job that stays running, and run a cell that waits.

    Args:
        lab: where the notebook is opened.
        page: shows it.
        folder: for its file.
        wait: code of the cell, which ends with the session.
    """
    notebook = lab.open(page, notebook_of(folder, OPEN, "session", RUN, wait))
    for _ in range(3):
        notebook.run_next()
    session = the_session()
    running = long_job(session, bindings=5000)
    expect(row_of(notebook.panel, running)).to_have_attribute("data-status", "running")
    notebook.run_next(wait=False)
    expect(page.locator(CELL_RUNS, has_text="[*]")).to_be_visible()
    return notebook, session, running


def test_a_click_acts_while_a_cell_blocks(lab: Lab, page: Page, tmp_path: Path) -> None:
    wait = "while session.status() != 'Closed':\n    pass"
    notebook, session, running = block(lab, page, tmp_path, wait)
    row = row_of(notebook.panel, running)
    row.get_by_test_id("qsw-cancel-job").click()
    expect(row).to_have_attribute("data-status", "cancelled")
    notebook.panel.get_by_test_id("qsw-close").click()
    notebook.panel.get_by_test_id("qsw-confirm").click()
    # Only the click ends the cell: if it waited for the cell, both would wait forever.
    notebook.wait_until_idle()
    assert session.status() == "Closed"


KERNELS = "@jupyterlab/apputils-extension:kernels-settings"
DEAF = '{"commsOverSubshells": "disabled"}'
"""As with kernels that handle no message while a cell runs (ipykernel 6)."""
BLOCKS = "import time\nwhile session.details()['accepting_jobs']:\n    time.sleep(0.05)"


def test_a_click_reports_that_it_waits_for_the_cell(
    lab_without_server: Lab, page: Page, tmp_path: Path
) -> None:
    lab_without_server.configure(KERNELS, DEAF)
    click_while_the_kernel_is_deaf(lab_without_server, page, tmp_path, BLOCKS)


OTHER = 'other = Session(backend="fake_lima", name="Other")\ndisplay(other)'
NOTIFICATIONS = """
globalThis.shownOutside = [];
globalThis.Notification = class extends Notification {
  constructor(text, options) {
    super(text, options);
    this.addEventListener("show", () => shownOutside.push(this.title));
  }
};
let hidden = false;
Object.defineProperty(Document.prototype, "hidden", { get: () => hidden });
globalThis.hideThePage = (value) => {
  hidden = value;
  document.dispatchEvent(new Event("visibilitychange"));
};
"""
"""Keeps what the browser has shown. No page of a headless browser is hidden by itself."""


def test_the_server_acts_for_a_deaf_kernel_and_notices_tell_of_others(
    lab: Lab, page: Page, tmp_path: Path, artifacts: Path
) -> None:
    lab.configure(KERNELS, DEAF)
    page.add_init_script(NOTIFICATIONS)
    page.context.grant_permissions(["notifications"])
    notebook, session, running = block(lab, page, tmp_path, f"{OTHER}\n{BLOCKS}")
    row = row_of(notebook.panel, running)
    row.get_by_test_id("qsw-cancel-job").click()
    expect(row).to_have_attribute("data-status", "cancelled")
    expect(page.locator(CELL_RUNS, has_text="[*]")).to_be_visible()
    notice = page.locator(".Toastify__toast", has_text="fake_manila is closed")
    expect(notice).to_have_count(0)
    # Another program closes it.
    page.evaluate("() => hideThePage(true)")
    session.close()
    expect(notice).to_be_visible()
    # Notifications of the browser are off until the user turns them on.
    assert page.evaluate("() => shownOutside") == []
    page.evaluate("() => hideThePage(false)")
    page.screenshot(path=artifacts / "notice.png", animations="disabled")
    notebook.wait_until_idle()
    notebook.execute("settingeditor:open", {"query": "Quantum session notices"})
    page.get_by_label("Notify outside of the page").check()
    saved = lab.settings / "qsession-widget" / "notices.jupyterlab-settings"
    eventually(lambda: saved.exists() and '"browser": true' in saved.read_text())
    page.screenshot(path=artifacts / "notices-settings.png")
    page.evaluate("() => hideThePage(true)")
    (other,) = (each for each in QiskitRuntimeService(channel="local").sessions() if each.name)
    Session.from_id(other.id, QiskitRuntimeService(channel="local")).close()
    page.wait_for_function("() => shownOutside.length > 0")
    (told,) = page.evaluate("() => shownOutside")
    assert told.startswith("Other is closed.")


def click_while_the_kernel_is_deaf(lab: Lab, page: Page, folder: Path, wait: str) -> None:
    """Click while a cell waits for the session's end, and check what the panel shows."""
    notebook, session, running = block(lab, page, folder, wait)
    row = row_of(notebook.panel, running)
    row.get_by_test_id("qsw-cancel-job").click()
    waiting = notebook.panel.get_by_test_id("qsw-waiting")
    expect(waiting).to_contain_text(f"Cancel job {running.job_id()} acts after the running cell")
    assert running.status() == "RUNNING"
    # Another process closes the session meanwhile: the panel shows it, and the cell ends.
    session.close()
    expect(row).to_have_attribute("data-status", "cancelled")
    expect(waiting).to_have_count(0)


def test_a_dead_kernel_is_reported(lab: Lab, page: Page, tmp_path: Path) -> None:
    notebook = lab.open(page, notebook_of(tmp_path, OPEN, "session", RUN))
    notebook.run_all()
    session = the_session()
    expect(notebook.panel.get_by_test_id("qsw-link")).to_contain_text("live")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    expect(notebook.panel.get_by_test_id("qsw-link")).to_contain_text("no connection")
    expect(notebook.panel.get_by_test_id("qsw-close")).to_be_disabled()
    # The session is the runtime's, not the kernel's, and the server still sees it.
    expect(page.locator(".qsw-statusbar")).to_contain_text("Sessions: 1")
    assert session.status() == "In progress, accepting new jobs"
