"""A session that waits for another one of the same user, which the panel names and can close."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from qsession_widget import QiskitRuntimeService
from tests.browser.test_faults import OPEN, RUN, notebook_of

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.browser.jupyter import Lab


def test_the_session_that_has_the_device_is_named_and_closed_by_a_click(
    lab: Lab, page: Page, tmp_path: Path, artifacts: Path
) -> None:
    cells = (f"{OPEN}\nfirst = session", f"{RUN}\njob.result()", OPEN, RUN, "session")
    notebook = lab.open(page, notebook_of(tmp_path, *cells))
    notebook.run_all()
    assert notebook.errors() == []
    service = QiskitRuntimeService(channel="local")
    second, first = service.sessions()
    holder = notebook.panel.get_by_test_id("qsw-holder")
    expect(holder).to_contain_text(
        f"fake_manila is held by your session {first.id[:8]}… in cells.ipynb, idle, until "
    )
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.theme(theme)
        notebook.panel.screenshot(path=artifacts / f"holder-{theme.split()[1].lower()}.png")
    waiting, _ = service.jobs()
    assert waiting.session_id == second.id
    row = notebook.panel.locator(f"[data-job-id='{waiting.job_id()}']")
    expect(row).to_have_attribute("data-status", "queued")
    holder.get_by_test_id("qsw-close-holder").click()
    expect(row).to_have_attribute("data-status", "completed")
    expect(holder).to_have_count(0)
    assert [each.state for each in service.sessions()] == ["Idle (paid)", "Closed"]
