"""Clicks while a cell waits for a job: in marimo, and in an `await`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser import jupyter, marimo
from tests.browser.jupyter import row_of
from tests.browser.test_faults import (
    OPEN,
    RUN,
    click_while_the_kernel_is_deaf,
    notebook_of,
    the_session,
)
from tests.browser.test_quickstart import long_job
from tests.conftest import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

BLOCKS = """def _(session):
    import time

    while len(session.jobs()) < 2:
        time.sleep(0.05)
    session.jobs()[1].result()
    return
"""
AWAITS = """async def _(session):
    import asyncio

    while len(session.jobs()) < 2:
        await asyncio.sleep(0.05)
    await session.jobs()[1]
    return
"""
LEAVES_A_TASK = """def _(session):
    import asyncio
    from pathlib import Path

    async def wait():
        while len(session.jobs()) < 2:
            await asyncio.sleep(0.05)
        try:
            await asyncio.ensure_future(session.jobs()[1])
        except Exception as error:
            Path("end.txt").write_text(type(error).__name__)

    task = asyncio.ensure_future(wait())
    return (task,)
"""


@pytest.mark.parametrize("cell", [BLOCKS, AWAITS], ids=["blocks", "awaits"])
def test_marimo_reports_that_a_click_waits_for_the_cell(
    home: Path, page: Page, tmp_path: Path, artifacts: Path, cell: str
) -> None:
    del home
    with marimo.app(tmp_path, cell) as url:
        page.goto(url)
        panel = page.get_by_test_id("qsw-panel")
        expect(panel).to_be_visible()
        session = the_session()
        jobs = [long_job(session, bindings=5000) for _ in range(2)]
        held, queued = (row_of(panel, job) for job in jobs)
        expect(held).to_have_attribute("data-status", "running")
        expect(queued).to_have_attribute("data-status", "queued")
        queued.get_by_test_id("qsw-cancel-job").click()
        waiting = panel.get_by_test_id("qsw-waiting")
        expect(waiting).to_contain_text(
            f"Cancel job {jobs[1].job_id()} acts after the running cell"
        )
        page.screenshot(path=artifacts / "marimo-busy.png")
        assert jobs[1].status() == "QUEUED"
        # The panel is updated meanwhile.
        third = long_job(session, bindings=1)
        row = row_of(panel, third)
        expect(row).to_have_attribute("data-status", "queued")
        expect(waiting).to_have_count(1)
        # This ends the cell.
        jobs[0].cancel()
        expect(held).to_have_attribute("data-status", "cancelled")
        expect(queued).to_have_attribute("data-status", "cancelled")
        expect(waiting).to_have_count(0)
        expect(row).to_have_attribute("data-status", "completed")


def test_marimo_acts_at_once_while_a_task_waits(home: Path, page: Page, tmp_path: Path) -> None:
    del home
    with marimo.app(tmp_path, LEAVES_A_TASK) as url:
        page.goto(url)
        panel = page.get_by_test_id("qsw-panel")
        expect(panel).to_be_visible()
        job = long_job(the_session(), bindings=5000)
        row = row_of(panel, job)
        expect(row).to_have_attribute("data-status", "running")
        end = tmp_path / "end.txt"
        assert not end.exists()
        row.get_by_test_id("qsw-cancel-job").click()
        # Only the click can end it soon.
        expect(row).to_have_attribute("data-status", "cancelled")
        eventually(lambda: end.exists() and end.read_text())
        assert end.read_text() == "JobCancelledError"


AWAITED = """import numpy as np
from qiskit.circuit import Parameter
angle = Parameter("angle")
circuit = QuantumCircuit(5)
for qubit in range(5):
    circuit.ry(angle, qubit)
    circuit.cx(qubit, (qubit + 1) % 5)
circuit.measure_all()
values = np.linspace(0, 3, 5000).reshape(5000, 1)
job = Sampler(mode=session).run([(circuit, values)], shots=20_000)
try:
    await job
except Exception as error:
    print("ended by", type(error).__name__)"""


def test_notebook_acts_at_once_while_a_cell_awaits(home: Path, page: Page, tmp_path: Path) -> None:
    python = Path(sys.executable)
    with jupyter.lab(python, tmp_path, home, dict(os.environ), jupyter.NOTEBOOK) as running:
        cancel_what_a_cell_awaits(running, page, tmp_path)


def test_jupyterlab_acts_at_once_while_a_cell_awaits(
    lab: jupyter.Lab, page: Page, tmp_path: Path
) -> None:
    cancel_what_a_cell_awaits(lab, page, tmp_path)


def test_a_kernel_without_subshells_acts_at_once_while_a_cell_awaits(
    lab: jupyter.Lab, page: Page, tmp_path: Path
) -> None:
    kernels = "@jupyterlab/apputils-extension:kernels-settings"
    lab.configure(kernels, '{"commsOverSubshells": "disabled"}')
    cancel_what_a_cell_awaits(lab, page, tmp_path)


@pytest.mark.skipif(
    "QSESSION_KERNEL" not in os.environ, reason="for ipykernel 6, see tests.browser.matrix"
)
def test_a_click_reports_that_it_waits_for_an_awaiting_cell(
    lab_without_server: jupyter.Lab, page: Page, tmp_path: Path
) -> None:
    wait = (
        "import asyncio\nwhile session.details()['accepting_jobs']:\n    await asyncio.sleep(0.05)"
    )
    click_while_the_kernel_is_deaf(lab_without_server, page, tmp_path, wait)


def cancel_what_a_cell_awaits(running: jupyter.Lab, page: Page, folder: Path) -> None:
    """Cancel a job by a click while a cell awaits it; only the click can end it soon."""
    notebook = running.open(page, notebook_of(folder, OPEN, RUN, "session", AWAITED, "2 + 3"))
    for _ in range(3):
        notebook.run_next()
    expect(notebook.panel.locator("[data-status='completed']")).to_have_count(1)
    for _ in range(2):
        notebook.run_next(wait=False)
    row = notebook.panel.locator("[data-status='running']")
    expect(row).to_have_count(1)
    # Cells still run one after the other.
    expect(page.locator(".jp-InputPrompt", has_text="[*]")).to_have_count(2)
    row.get_by_test_id("qsw-cancel-job").click()
    expect(notebook.panel.locator("[data-status='cancelled']")).to_have_count(1)
    notebook.wait_until_idle()
    expect(page.get_by_text("ended by JobCancelledError")).to_be_visible()
