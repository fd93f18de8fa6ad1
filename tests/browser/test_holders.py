"""A session that waits for another one of the same user, which the panel names and closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from qsession_widget import QiskitRuntimeService
from tests.browser.jupyter import row_of
from tests.browser.test_faults import OPEN, RUN, notebook_of

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.browser.jupyter import Lab


def test_the_session_that_has_the_device_is_shown_and_closed_by_a_click(
    lab: Lab, page: Page, tmp_path: Path, artifacts: Path
) -> None:
    # Far down in its notebook, so that the cell is not in the page while it is out of view.
    long = ["\n".join(f"# {line}" for line in range(60))] * 3
    first = notebook_of(tmp_path, OPEN, f"{RUN}\njob.result()", *long, "session")
    notebook = lab.open(page, first.rename(tmp_path / "first.ipynb"))
    notebook.run_all()
    second = notebook_of(tmp_path, OPEN, RUN, "session")
    (lab.folder / second.name).write_text(second.read_text())
    notebook.execute("docmanager:open", {"path": second.name})
    notebook.wait_until_idle()
    notebook.run_all()
    assert notebook.errors() == []
    service = QiskitRuntimeService(channel="local")
    waits, holds = service.sessions()
    in_front = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    panel = in_front.locator(f"[data-session-id='{waits.id}']")
    holder = panel.get_by_test_id("qsw-holder")
    expect(holder).to_contain_text(
        f"fake_manila is held by your session {holds.id[:8]}… in first.ipynb, idle, until "
    )
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.theme(theme)
        panel.screenshot(path=artifacts / f"holder-{theme.split()[1].lower()}.png")
    (waiting, *_) = service.jobs()
    assert waiting.session_id == waits.id
    row = row_of(panel, waiting)
    expect(row).to_have_attribute("data-status", "queued")

    # The other notebook comes to the front, with its panel in view.
    holder.get_by_test_id("qsw-show-holder").click()
    shown = in_front.locator(f"[data-session-id='{holds.id}']")
    expect(shown).to_be_in_viewport()
    expect(panel).to_have_count(0)
    page.screenshot(path=artifacts / "holder-shown.png")

    notebook.execute("docmanager:open", {"path": second.name})
    holder.get_by_test_id("qsw-close-holder").click()
    expect(row).to_have_attribute("data-status", "completed")
    expect(holder).to_have_count(0)
    assert [each.state for each in service.sessions()] == ["Idle (paid)", "Closed"]
