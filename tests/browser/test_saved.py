"""What a notebook in JupyterLab saves of a session, without a change of what is on the screen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

from qsession_widget import QiskitRuntimeService, Session
from tests.conftest import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.browser.jupyter import Lab

CELLS = (
    # Outputs are renewed each second, not each minute.
    "from qsession_widget.panel import saved_output\nsaved_output.EVERY_SECONDS = 1.0",
    """
from qsession_widget import Sampler, Session
from tests.client.circuits import bell
session = Session(backend='fake_manila')
sampler = Sampler(mode=session)
""",
    "session",
    "jobs = [sampler.run(bell(), shots=100) for _ in range(3)]",
)

WATCH_SHIFTS = """() => {
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      // The status bar says that JupyterLab saves, and the panel's columns leave in their time.
      const here = entry.sources.filter((each) => {
        const panel = each.node?.closest?.("[data-testid='qsw-panel']");
        return each.node?.closest?.(".jp-Notebook") && (!panel || panel === each.node);
      });
      if (here.length) window.shifts.push(here.map((each) => each.node.className));
    }
  }).observe({ type: "layout-shift" });
}"""


def notebook_of(folder: Path, *cells: str) -> Path:
    code: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": []}
    content = {
        "cells": [
            {**code, "id": f"cell{at}", "source": text, "execution_count": None}
            for at, text in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path = folder / "saved.ipynb"
    path.write_text(json.dumps(content))
    return path


def saved(path: Path) -> str:
    """Return the text of the panel's only output in a saved notebook."""
    (output,) = json.loads(path.read_text("utf-8"))["cells"][2]["outputs"]
    text, html = ("".join(output["data"][kind]) for kind in ("text/plain", "text/html"))
    assert ("Closed" in text) == (">Closed<" in html)
    return text


JOB_CELLS = (
    """
from qsession_widget import Session
from tests.browser.test_quickstart import long_job
session = Session(backend="fake_manila")
job = long_job(session, bindings=5000)
""",
    "job",
    "job.wait_for_final_state()",
)


def test_a_job_is_cancelled_by_its_card_while_a_cell_waits_for_it(
    lab: Lab, page: Page, tmp_path: Path, artifacts: Path
) -> None:
    notebook = lab.open(page, notebook_of(tmp_path, *JOB_CELLS))
    for number, _ in enumerate(JOB_CELLS, 1):
        notebook.run_next(wait=number < len(JOB_CELLS))
    output = page.locator(".jp-Notebook .jp-OutputArea-output")
    cancel = output.get_by_role("button", name="Cancel job")
    expect(output).to_contain_text("On device")
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        notebook.theme(theme)
        page.screenshot(path=artifacts / f"job-{theme.rpartition(' ')[2].lower()}.png")
    cancel.click()
    expect(output).to_contain_text("Cancelled by its user.")
    expect(cancel).to_have_count(0)
    notebook.wait_until_idle()
    page.screenshot(path=artifacts / "job-cancelled.png")


def test_a_saved_notebook_tells_the_end_and_the_panel_is_not_drawn_anew(
    lab: Lab, page: Page, tmp_path: Path, artifacts: Path
) -> None:
    notebook = lab.open(page, notebook_of(tmp_path, *CELLS))
    for _ in CELLS:
        notebook.run_next()
    notebook.wait_until_idle()
    assert notebook.errors() == []
    panel = notebook.panel
    expect(panel.locator("[data-job-id][data-status='completed']")).to_have_count(3)
    page.evaluate(WATCH_SHIFTS)
    panel.evaluate("(element) => { element.drawnOnce = true; }")
    path = lab.folder / "saved.ipynb"

    def is_saved(*words: str) -> bool:
        notebook.execute("docmanager:save")
        found = saved(path)
        return all(word in found for word in words)

    eventually(lambda: is_saved("3 jobs (3 done)"), "a picture of the jobs")
    service = QiskitRuntimeService(channel="local")
    (session_id,) = {job.session_id for job in service.jobs(limit=None)}
    assert session_id is not None
    Session.from_id(session_id, service).close()
    expect(panel.get_by_test_id("qsw-status")).to_contain_text("Closed")
    eventually(lambda: is_saved("Closed at", "as of 20"), "a picture of the end")
    assert panel.evaluate("(element) => element.drawnOnce") is True
    assert page.evaluate("() => window.shifts") == []
    expect(page.locator(".jp-Notebook").get_by_test_id("qsw-panel")).to_have_count(1)

    # Without the kernel there is no widget: the picture is shown in its place.
    lab.end_kernels()
    lab.visit(page, path.name)
    output = page.locator(".jp-Notebook .jp-OutputArea-output")
    expect(output).to_contain_text("Closed at")
    expect(output).to_contain_text("as of 20")
    expect(output).not_to_contain_text("Error displaying widget")
    expect(output.get_by_text("Closed", exact=True)).to_have_css("color", "rgb(255, 255, 255)")
    page.screenshot(path=artifacts / "saved.png")
