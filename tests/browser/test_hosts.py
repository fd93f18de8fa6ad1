"""The panel in hosts other than JupyterLab: live until the end of a job, and a click."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from qsession_widget.wire.discovery import Discovery
from tests.browser import jupyter, marimo
from tests.browser.jupyter import row_of
from tests.browser.test_faults import OPEN, RUN, notebook_of, the_session
from tests.browser.test_quickstart import long_job
from tests.panel.test_privacy import found_in

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, Route

WIDGETS_IN_PAGES = ("@jupyter-widgets/html-manager@1.0.15", "requirejs@2.3.8")


def steer(panel: Locator) -> None:
    """See a job of another process appear, run and end, and cancel one by a click."""
    session = the_session()
    expect(panel.get_by_test_id("qsw-link")).to_contain_text("live")
    short = long_job(session, bindings=10)
    row = row_of(panel, short)
    expect(row).to_have_attribute("data-status", "completed")
    running = long_job(session, bindings=5000)
    row = row_of(panel, running)
    expect(row).to_have_attribute("data-status", "running")
    row.get_by_test_id("qsw-cancel-job").click()
    expect(row).to_have_attribute("data-status", "cancelled")
    assert running.status() == "CANCELLED"
    expect(panel.get_by_test_id("qsw-notice")).to_contain_text("Cancel job")
    session.cancel()
    expect(panel.get_by_test_id("qsw-link")).to_contain_text("final state")


def keep_errors(page: Page, errors: list[str]) -> None:
    """Keep a page's errors, but for one that Notebook has also without this package's extension."""

    def on_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            keep(message.text)

    def keep(text: str) -> None:
        if text != "Cannot read properties of undefined (reading 'schema')":
            errors.append(text)

    page.on("console", on_message)
    page.on("pageerror", lambda error: keep(str(error)))


def test_notebook(home: Path, page: Page, tmp_path: Path, artifacts: Path) -> None:
    python = Path(sys.executable)
    with jupyter.lab(python, tmp_path, home, dict(os.environ), jupyter.NOTEBOOK) as running:
        errors: list[str] = []
        keep_errors(page, errors)
        notebook = running.open(page, notebook_of(tmp_path, OPEN, RUN, "session"))
        notebook.run_all()
        # Of JupyterLab's parts, the side panel and what it opens have a place here.
        notebook.execute("qsession:show-sessions")
        card = page.locator("#qsession-sessions").get_by_test_id("qsw-card")
        expect(card).to_have_attribute("data-where", "here")
        card.get_by_test_id("qsw-card-open").click()
        whole = page.locator(".qsw-document").get_by_test_id("qsw-panel")
        expect(whole).to_be_visible()
        page.screenshot(path=artifacts / "notebook-side.png")
        steer(notebook.panel)
        expect(card).to_have_count(0)
        page.screenshot(path=artifacts / "notebook.png")
        assert errors == []


def test_marimo(home: Path, page: Page, tmp_path: Path, artifacts: Path) -> None:
    del home
    with marimo.app(tmp_path) as url:
        page.goto(url)
        panel = page.get_by_test_id("qsw-panel")
        expect(panel).to_be_visible()
        steer(panel)
        page.screenshot(path=artifacts / "marimo.png")


def test_marimo_export(home: Path, page: Page, tmp_path: Path, artifacts: Path) -> None:
    exported = marimo.export(tmp_path)

    def serve(route: Route) -> None:
        name = route.request.url.partition("/dist/")[2]
        if (marimo.STATIC / name).is_file():
            route.fulfill(path=marimo.STATIC / name)
        else:
            route.abort()

    page.route("https://**/*", serve)
    page.goto(exported.as_uri())
    panel = page.get_by_test_id("qsw-panel")
    expect(panel).to_have_attribute("data-session-id", str(the_session().session_id))
    expect(panel.get_by_test_id("qsw-link")).to_contain_text("saved as of")
    expect(panel.locator("[data-job-id]")).to_have_count(1)
    expect(panel.get_by_test_id("qsw-refresh-now")).to_have_count(0)
    page.screenshot(path=artifacts / "marimo-export.png")
    runtime = Discovery.read(home)
    assert runtime is not None
    assert found_in(exported.read_text(), runtime.token) == []
    the_session().cancel()


@pytest.fixture(scope="module")
def cdn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Fetch what an exported page loads from a CDN; return files by the ends of their URLs."""
    folder = tmp_path_factory.mktemp("cdn")
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), *WIDGETS_IN_PAGES]
    subprocess.run(command, check=True, cwd=folder)  # noqa: S603 - fixed command
    for archive in folder.glob("*.tgz"):
        shutil.unpack_archive(archive, folder / archive.name.split("-")[0])
    return {
        "require.min.js": folder / "requirejs" / "package" / "require.js",
        "embed-amd.js": folder / "jupyter" / "package" / "dist" / "embed-amd.js",
        "index.js": Path(sys.prefix) / "share" / "jupyter" / "nbextensions" / "anywidget/index.js",
    }


def test_nbconvert(
    home: Path, page: Page, tmp_path: Path, cdn: dict[str, Path], artifacts: Path
) -> None:
    wait = "job.wait_for_final_state()"
    still = "from qsession_widget import watch\nwatch(session).snapshot()"
    notebook = notebook_of(tmp_path, OPEN, RUN, wait, "session", still)
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "html", str(notebook)]
    subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)})  # noqa: S603 - our own command
    exported = notebook.with_suffix(".html")
    session = the_session()
    asked: list[str] = []

    def serve(route: Route) -> None:
        name = route.request.url.split("?")[0].rsplit("/", 1)[-1]
        name = name if name.endswith(".js") else f"{name}.js"
        asked.append(name)
        if name in cdn:
            route.fulfill(path=cdn[name], content_type="text/javascript")
        else:
            route.abort()

    page.route("https://**/*", serve)
    page.clock.install(time=datetime.now(UTC) + timedelta(days=3))
    page.goto(exported.as_uri())
    panel = page.get_by_test_id("qsw-panel")
    expect(panel).to_be_visible()
    expect(panel).to_have_attribute("data-session-id", str(session.session_id))
    expect(panel.get_by_test_id("qsw-link")).to_contain_text("saved as of")
    # Nothing is there to press that needs a kernel.
    for button in ("close", "refresh-now", "refresh", "cancel", "cancel-queued", "cancel-job"):
        expect(panel.get_by_test_id(f"qsw-{button}")).to_have_count(0)
    expect(panel.locator("[data-status='completed']")).to_have_count(1)
    picture = page.locator("div", has_text="1 job (1 done)").last.locator("..")
    expect(picture).to_contain_text("as of 20")
    page.screenshot(path=artifacts / "nbconvert.png", full_page=True)
    assert {"require.min.js", "embed-amd.js"} <= set(asked)
    runtime = Discovery.read(home)
    assert runtime is not None
    assert found_in(exported.read_text(), runtime.token) == []
    session.cancel()
