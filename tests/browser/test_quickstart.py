"""The main job: a newcomer runs the quickstart notebook, sees the session live, and steers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from playwright.sync_api import expect
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qsession_widget import QiskitRuntimeService, RuntimeJob, Sampler, Session
from tests.browser.jupyter import row_of, without_its_end

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.browser.jupyter import Lab


def long_job(session: Session, bindings: int, shots: int = 20_000) -> RuntimeJob:
    """Submit a job whose length grows with the number of bindings; 5000 take minutes."""
    angle = Parameter("angle")
    circuit = QuantumCircuit(5, name="long")
    for qubit in range(5):
        circuit.ry(angle, qubit)
        circuit.cx(qubit, (qubit + 1) % 5)
    circuit.measure_all()
    values = np.linspace(0, 3, bindings).reshape(bindings, 1)
    return Sampler(mode=session).run([(circuit, values)], shots=shots)


def test_a_session_is_seen_and_steered(
    lab: Lab, page: Page, artifacts: Path, tmp_path: Path
) -> None:
    notebook = lab.open(page, without_its_end(tmp_path))
    notebook.run_all()
    assert notebook.errors() == []
    panel = notebook.panel
    expect(panel.get_by_test_id("qsw-status")).to_have_text("Idle (paid)")
    expect(page.locator(".qsw-statusbar")).to_contain_text("Sessions: 1 · idle on paid time")
    # The head describes the session that the notebook opened.
    service = QiskitRuntimeService(channel="local")
    (session_id,) = {job.session_id for job in service.jobs(limit=None)}
    assert session_id is not None
    expect(panel).to_have_attribute("data-session-id", session_id)
    expect(panel).to_contain_text("fake_manila")
    for job in service.jobs(limit=5):
        expect(row_of(panel, job)).to_have_attribute("data-status", "completed")

    # The side panel has a card of the same session, and is closed again.
    notebook.execute("qsession:show-sessions")
    card = page.locator("#qsession-sessions").get_by_test_id("qsw-card")
    expect(card).to_have_count(1)
    expect(card).to_have_attribute("data-session", session_id)
    page.screenshot(path=artifacts / "sidepanel-light.png")
    notebook.execute("application:toggle-right-area")
    expect(card).to_be_hidden()

    # Jobs of another process appear while no cell runs: one that takes minutes, and two behind it.
    session = Session.from_id(session_id, service)
    running, queued = long_job(session, bindings=5000), long_job(session, bindings=5000)
    short = long_job(session, bindings=1)
    rows = {job.job_id(): row_of(panel, job) for job in (running, queued, short)}
    expect(rows[running.job_id()]).to_have_attribute("data-status", "running")
    expect(rows[queued.job_id()]).to_have_attribute("data-status", "queued")
    expect(rows[short.job_id()]).to_have_attribute("data-status", "queued")
    panel.scroll_into_view_if_needed()
    expect(panel.get_by_test_id("qsw-why")).to_contain_text("job runs")
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.theme(theme)
        shade = theme.split()[1].lower()
        page.screenshot(path=artifacts / f"quickstart-{shade}.png")
        panel.screenshot(path=artifacts / f"panel-{shade}.png")

    # Clicks cancel the queued job and then the running one.
    for job in (queued, running):
        row = rows[job.job_id()]
        row.get_by_test_id("qsw-cancel-job").click()
        expect(row).to_have_attribute("data-status", "cancelled")
        assert job.status() == "CANCELLED"
    assert session.status() == "In progress, accepting new jobs"

    # The third goes from queued to done, and still no cell runs.
    expect(rows[short.job_id()]).to_have_attribute("data-status", "completed")
    assert short.status() == "DONE"
    assert notebook.is_idle

    # A click, confirmed, closes the session.
    panel.get_by_test_id("qsw-close").click()
    panel.get_by_test_id("qsw-confirm").click()
    expect(panel.get_by_test_id("qsw-status")).to_contain_text("Closed")
    assert session.status() == "Closed"
    expect(page.locator(".qsw-statusbar")).to_be_hidden()
    page.screenshot(path=artifacts / "quickstart-closed-dark.png")
