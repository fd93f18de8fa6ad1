"""The panel in VS Code's own widgets, and in a host that forwards only answers, as Colab does.

The page is what the Jupyter extension makes of a notebook: its ipywidgets, requirejs, and a kernel
of a Jupyter server, which also serves anywidget's script. Nothing else can be reached.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.jupyter import row_of
from tests.browser.test_faults import OPEN, RUN, the_session
from tests.browser.test_quickstart import long_job
from tests.server_extension.serving import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page, Route

PACKAGES = ("@vscode/jupyter-ipywidgets8@1.0.9", "requirejs@2.3.8")
SCRIPT = Path(__file__).with_name("vscode.js")
MODULES = Path(__file__).parents[2] / "js" / "node_modules"
FOLDER = "vscode-page"

DARK = {
    "--vscode-editor-background": "#1f1f1f",
    "--vscode-editor-foreground": "#cccccc",
    "--vscode-descriptionForeground": "#9d9d9d",
    "--vscode-editorWidget-background": "#202020",
    "--vscode-widget-border": "#313131",
    "--vscode-input-border": "#3c3c3c",
    "--vscode-textLink-foreground": "#4daafc",
    "--vscode-charts-green": "#89d185",
    "--vscode-charts-orange": "#d18616",
    "--vscode-errorForeground": "#f85149",
    "--vscode-focusBorder": "#0078d4",
}
PAGE = f"""<!doctype html>
<html lang="en" style="{"; ".join(f"{name}: {value}" for name, value in DARK.items())}">
<style>
  body {{ background: var(--vscode-editor-background); }}
  .cell-output-ipywidget-background {{ background: white !important; }}
</style>
<body class="vscode-dark" data-vscode-theme-kind="vscode-dark">
<script src="require.js"></script>
<script src="host.js"></script>
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the page from packages of the npm registry; return its folder."""
    folder = tmp_path_factory.mktemp("npm")
    pack = ["npm", "pack", "--silent", "--pack-destination", str(folder), *PACKAGES]
    subprocess.run(pack, check=True, cwd=folder)  # noqa: S603 - fixed command
    for name, archive in (("vscode", "vscode-*.tgz"), ("requirejs", "requirejs-*.tgz")):
        (found,) = folder.glob(archive)
        shutil.unpack_archive(found, folder / name)
    site = folder / "site"
    site.mkdir()
    (site / "index.html").write_text(PAGE)
    shutil.copy(folder / "requirejs" / "package" / "require.js", site)
    bundle = [
        *(str(MODULES / ".bin" / "esbuild"), str(SCRIPT), "--bundle", "--format=iife"),
        *(f"--outfile={site / 'host.js'}", "--log-level=error", "--loader:.svg=text"),
        f"--alias:@vscode/jupyter-ipywidgets8={folder / 'vscode' / 'package'}",
    ]
    environment = {**os.environ, "NODE_PATH": str(MODULES)}
    subprocess.run(bundle, check=True, env=environment)  # noqa: S603 - fixed command
    return site


@pytest.fixture
def server(site: Path, home: Path, tmp_path: Path) -> Iterator[Server]:
    """Run a Jupyter server that serves the page."""
    with serve(tmp_path / "server", home) as running:
        shutil.copytree(site, running.data / "nbextensions" / FOLDER)
        yield running


def show(page: Page, server: Server, *, only_answers: bool = False) -> Locator:
    """Open the page without a network, run a notebook's cells, and return its panel."""

    def refuse(route: Route) -> None:
        route.continue_() if route.request.url.startswith(server.url) else route.abort()

    page.route("**/*", refuse)
    page.goto(f"{server.url}/nbextensions/{FOLDER}/index.html")
    start = "([url, token, answers]) => host.start(url, token, answers)"
    page.evaluate(start, [f"{server.url}/", server.token, only_answers])
    for cell in (OPEN, RUN, "job.result(); session"):
        page.evaluate("(code) => host.run(code)", cell)
    panel = page.get_by_test_id("qsw-panel")
    expect(panel).to_be_visible()
    return panel


def test_vscode(server: Server, page: Page, artifacts: Path) -> None:
    panel = show(page, server)
    # A release within the kernel's major version, not the newest of all.
    assert all(each == ["anywidget", "0"] for each in page.evaluate("() => host.asked"))
    # The host's output is white.
    slab = page.locator(".cell-output-ipywidget-background")
    expect(slab).to_have_css("background-color", "rgba(0, 0, 0, 0)")
    expect(panel).to_have_css("background-color", "rgb(31, 31, 31)")
    expect(panel).to_have_css("color", "rgb(204, 204, 204)")
    session = the_session()
    expect(panel.get_by_test_id("qsw-link")).to_have_text("live")

    # A click waits for the running cell, and says so; the panel is live meanwhile.
    job = long_job(session, bindings=5000)
    row = row_of(panel, job)
    expect(row).to_have_attribute("data-status", "running")
    wait = "import time\nwhile session.details()['accepting_jobs']:\n    time.sleep(0.05)"
    page.evaluate("(code) => { host.run(code); }", wait)
    row.get_by_test_id("qsw-cancel-job").click()
    expect(panel.get_by_test_id("qsw-waiting")).to_contain_text("acts after the running cell")
    page.screenshot(path=artifacts / "vscode-dark.png")
    session.close()
    expect(row).to_have_attribute("data-status", "cancelled")
    expect(panel.get_by_test_id("qsw-link")).to_have_text("final state")
    assert page.evaluate("() => host.complaints") == []


def test_a_host_that_forwards_only_answers(server: Server, page: Page, artifacts: Path) -> None:
    panel = show(page, server, only_answers=True)
    link = panel.get_by_test_id("qsw-link")
    expect(link).to_contain_text("no connection: last seen")
    # Not even while it was new.
    assert "live" not in page.evaluate("() => host.said")
    job = long_job(the_session(), bindings=5000)
    row = row_of(panel, job)
    panel.get_by_test_id("qsw-refresh-now").click()
    expect(link).to_contain_text("as of")
    expect(row).to_have_count(1)
    # The effect of a click is shown without another one.
    row.get_by_test_id("qsw-cancel-job").click()
    expect(row).to_have_attribute("data-status", "cancelled")
    expect(panel.get_by_test_id("qsw-notice")).to_contain_text(f"Job {job.job_id()} was cancelled")
    expect(link).to_contain_text("as of")
    page.screenshot(path=artifacts / "only-answers.png")
    # So is what is asked about a job.
    row.get_by_test_id("qsw-open").click()
    expect(panel.locator(".qsw-detail")).to_contain_text(f"service.job('{job.job_id()}')")
    assert "live" not in page.evaluate("() => host.said")
    assert page.evaluate("() => host.complaints") == []
