"""JupyterLab's side panel: sessions of kernels, of the local runtime, of kernels that are gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from qsession_widget import QiskitRuntimeService, Session
from tests.browser.jupyter import Notebook, row_of
from tests.browser.test_faults import notebook_of
from tests.browser.test_quickstart import long_job
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Locator, Page

    from tests.browser.jupyter import Lab

AXE = Path(__file__).parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"
THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast")
NAMED = """from qsession_widget import Session
session = Session(backend="fake_manila", max_time="30m", name="Bell pairs")"""
SECOND = 'second = Session(backend="fake_lima", name="Second")\nsecond'
ACTIVE_CELL = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
FILLER = "\n".join(f"# {n}" for n in range(40))


def violations(page: Page, *places: str) -> Sequence[str]:
    """Return what axe finds in parts of the page, with the elements."""
    if not page.evaluate("() => 'axe' in window"):
        page.add_script_tag(path=AXE)
    found = page.evaluate(
        "(places) => axe.run({ include: places }).then(({ violations }) => "
        "violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html)}`))",
        list(places),
    )
    return [str(each) for each in found]


def side(page: Page) -> Locator:
    return page.locator("#qsession-sessions")


def card(page: Page, title: str) -> Locator:
    return side(page).get_by_test_id("qsw-card").filter(has_text=title)


def confirm(page: Page) -> None:
    page.locator(".jp-Dialog .jp-mod-warn").click()


def can(page: Page, command: str) -> bool:
    """Whether a command is enabled."""
    enabled = page.evaluate("(id) => window.jupyterapp.commands.isEnabled(id)", command)
    return bool(enabled)


def test_an_empty_panel_starts_a_session(lab: Lab, page: Page, tmp_path: Path) -> None:
    notebook = lab.open(page, notebook_of(tmp_path, "1 + 1"))
    for command in ("cancel-queued", "close-session", "close-all", "go-to-cell", "adopt-session"):
        assert not can(page, f"qsession:{command}")
    notebook.execute("qsession:show-sessions")
    expect(side(page)).to_contain_text("No session is open")
    start = side(page).get_by_test_id("qsw-start")
    # The keyboard is in the panel, and goes back to the notebook.
    expect(start).to_be_focused()
    assert violations(page, "#qsession-sessions") == []
    page.keyboard.press("Escape")
    expect(page.locator(".jp-Notebook:focus-within")).to_have_count(1)
    start.click()
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(1)
    expect(cell).to_contain_text("with Session(")
    notebook.execute("notebook:run-cell")
    notebook.wait_until_idle()
    assert notebook.errors() == []
    expect(cell.locator(".jp-OutputArea-output").last).to_contain_text("'11'")
    # `with` has closed it.
    expect(notebook.panel.get_by_test_id("qsw-status")).to_contain_text("Closed")
    expect(side(page)).to_contain_text("No session is open")


def test_sessions_of_notebooks(lab: Lab, page: Page, tmp_path: Path, artifacts: Path) -> None:
    cells = (NAMED, FILLER, "session", FILLER, SECOND)
    notebook = lab.open(page, notebook_of(tmp_path, *cells))
    notebook.run_all()
    notebook.execute("qsession:show-sessions")
    own = card(page, "Bell pairs")
    expect(own.get_by_test_id("qsw-card-status")).to_have_text("Waiting")
    expect(own).to_contain_text("fake_manila")
    expect(side(page).locator("section")).to_have_attribute("aria-label", "cells.ipynb")
    expect(page.locator(".qsw-statusbar")).to_contain_text("Sessions: 2")

    # To the cell that opened it, which does not show it, from the end of the notebook.
    source = page.locator(".jp-InputArea", has_text="Bell pairs")
    opening = page.locator(".jp-Notebook .jp-CodeCell", has=source)
    expect(opening).not_to_be_in_viewport()
    own.get_by_test_id("qsw-card-cell").click()
    expect(opening).to_be_in_viewport()
    assert page.evaluate(ACTIVE_CELL) == 0

    # A job of this process: the card follows, and its command acts on the right session.
    session_id = own.get_attribute("data-session")
    assert session_id is not None
    service = QiskitRuntimeService(channel="local")
    session = Session.from_id(session_id, service)
    running, queued = long_job(session, bindings=5000), long_job(session, bindings=5000)
    expect(own.get_by_test_id("qsw-card-status")).to_have_text("Running")
    expect(own.get_by_test_id("qsw-card-figures")).to_contain_text("2 pending")
    own.get_by_test_id("qsw-card-cancel-queued").click()
    confirm(page)
    eventually(lambda: queued.status() == "CANCELLED")
    assert running.status() == "RUNNING"
    running.cancel()
    expect(page.locator(".qsw-statusbar.qsw-mod-paid")).to_contain_text("idle on paid time")

    for theme in THEMES:
        notebook.theme(theme)
        page.screenshot(path=artifacts / f"side-{theme.split(maxsplit=1)[1].replace(' ', '-')}.png")
        assert violations(page, "#qsession-sessions", ".qsw-statusbar") == [], theme

    # The whole panel is a document, which comes back after a reload.
    own.get_by_test_id("qsw-card-open").click()
    document = page.locator(".qsw-document").get_by_test_id("qsw-panel")
    expect(document).to_have_attribute("data-session-id", session_id)
    place = _moved(notebook)
    expect(own).to_be_visible()
    notebook.execute("docmanager:save-all")
    _wait_for_saved_layout(page, lab, place)
    page.goto(f"{lab.url}/lab?token={lab.token}")
    expect(page.locator(f"#jp-{place}-stack #qsession-sessions")).to_be_visible()
    expect(document).to_have_attribute("data-session-id", session_id)
    expect(document.get_by_test_id("qsw-link")).to_contain_text("live")
    expect(card(page, "Bell pairs")).to_have_attribute("data-where", "here")
    page.screenshot(path=artifacts / "side-restored.png")

    # All are closed by one command.
    side(page).get_by_test_id("qsw-side-close-all").click()
    expect(page.locator(".jp-Dialog")).to_contain_text("Close 2 sessions?")
    confirm(page)
    eventually(lambda: session.status() == "Closed")
    expect(side(page)).to_contain_text("No session is open")
    expect(page.locator(".qsw-statusbar")).to_be_hidden()


def test_sessions_without_a_kernel(lab: Lab, page: Page, tmp_path: Path) -> None:
    notebook = lab.open(page, notebook_of(tmp_path, NAMED, "session"))
    notebook.run_all()
    notebook.execute("qsession:show-sessions")
    expect(card(page, "Bell pairs")).to_have_attribute("data-where", "here")

    # Of a script.
    script = Session(QiskitRuntimeService(channel="local"), backend="fake_lima", name="Script")
    job = long_job(script, bindings=5000, shots=4000)
    other = card(page, "Script")
    expect(other).to_have_attribute("data-where", "elsewhere")
    other.get_by_test_id("qsw-card-details").click()
    expect(row_of(other, job)).to_have_attribute("data-status", "running")
    assert violations(page, "#qsession-sessions") == []
    other.get_by_test_id("qsw-card-cancel-job").click()
    eventually(lambda: job.status() == "CANCELLED")
    other.get_by_test_id("qsw-card-close").click()
    confirm(page)
    eventually(lambda: script.status() == "Closed")
    expect(other).to_have_count(0)

    # Of a kernel that has restarted.
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    lost = card(page, "Bell pairs")
    expect(lost).to_have_attribute("data-where", "gone")
    expect(lost).to_contain_text("No kernel")
    _resume(notebook, lost)


def test_without_the_servers_extension(lab_without_server: Lab, page: Page, tmp_path: Path) -> None:
    notebook = lab_without_server.open(page, notebook_of(tmp_path, NAMED, "session"))
    notebook.run_all()
    notebook.execute("qsession:show-sessions")
    own = card(page, "Bell pairs")
    expect(own).to_have_attribute("data-where", "here")
    # A session of this process is not known there.
    script = Session(QiskitRuntimeService(channel="local"), backend="fake_lima", name="Script")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    expect(own).to_have_attribute("data-where", "gone")
    expect(side(page).get_by_test_id("qsw-card")).to_have_count(1)
    _resume(notebook, own)
    script.close()
    # Through the kernel.
    own.get_by_test_id("qsw-card-close").click()
    confirm(page)
    expect(own).to_have_count(0)
    expect(side(page)).to_contain_text("No session is open")


def test_the_launcher_and_the_palette(lab: Lab, page: Page) -> None:
    page.goto(f"{lab.url}/lab?reset&token={lab.token}")
    launcher = page.locator(".jp-LauncherCard[data-category='Quantum']")
    expect(launcher).to_have_count(2)
    launcher.filter(has_text="Quickstart").click()
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    expect(page.locator(".jp-Notebook").first).to_contain_text("See and steer a quantum session")
    copy = json.loads((lab.folder / "quickstart.ipynb").read_text("utf-8"))
    assert all(not cell.get("outputs") for cell in copy["cells"])
    # A second time opens the same copy, with the user's work.
    (lab.folder / "quickstart.ipynb").write_text(json.dumps(copy | {"cells": []}))
    page.evaluate("() => window.jupyterapp.commands.execute('qsession:open-quickstart', {})")
    assert json.loads((lab.folder / "quickstart.ipynb").read_text("utf-8"))["cells"] == []
    notebook = Notebook(page)
    notebook.wait_until_idle()
    notebook.execute("apputils:activate-command-palette")
    page.locator(".lm-CommandPalette-input:visible").fill("Show Quantum Sessions")
    page.keyboard.press("Enter")
    expect(side(page)).to_be_visible()


def _resume(notebook: Notebook, lost: Locator) -> None:
    lost.get_by_test_id("qsw-card-adopt").click()
    inserted = notebook.page.locator(".jp-Notebook .jp-CodeCell").nth(2)
    expect(inserted).to_contain_text("Session.from_id(")
    notebook.wait_until_idle()
    notebook.execute("notebook:run-cell")
    notebook.wait_until_idle()
    assert notebook.errors() == []
    expect(lost).to_have_attribute("data-where", "here")
    # No cell of this kernel has opened it: to the one that shows it.
    page = notebook.page
    page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0; }")
    lost.get_by_test_id("qsw-card-cell").click()
    page.wait_for_function(f"({ACTIVE_CELL})() === 2")


def _moved(notebook: Notebook) -> str:
    """Move the side panel to the left, if this JupyterLab can (since 4.6); return where it is."""
    command = "application:move-widget"
    if not notebook.page.evaluate("(id) => window.jupyterapp.commands.hasCommand(id)", command):
        return "right"
    notebook.execute(command, {"id": "qsession-sessions", "area": "left"})
    return "left"


def _wait_for_saved_layout(page: Page, lab: Lab, place: str) -> None:
    """JupyterLab saves the layout a moment after it has changed."""

    def saved() -> bool:
        answer = page.request.get(f"{lab.url}/lab/api/workspaces", params={"token": lab.token})
        layouts = [each["data"] for each in answer.json()["workspaces"]["values"]]
        return "qsession-panel" in str(layouts) and any(
            "qsession-sessions" in str(each.get("layout-restorer:data", {}).get(place))
            for each in layouts
        )

    eventually(saved)
