"""The built view as hosts without a server for static files load it (VS Code, Colab).

anywidget's own front end imports it from a `blob:` URL, in a page whose policy allows nothing
else: no network, no `eval`, no import map.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from qsession_widget import Session, SessionPanel
from tests.browser.jupyter import row_of
from tests.browser.test_quickstart import long_job
from tests.conftest import eventually
from tests.panel.conftest import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page, Route

URL = "https://webview.test/"
ELSEWHERE = "https://cdn.test/"
FILES = {
    "host.js": Path(__file__).with_name("webview.js"),
    "anywidget.js": Path(sys.prefix) / "share" / "jupyter" / "nbextensions" / "anywidget/index.js",
}
HTML = "<!doctype html>" + "".join(f'<script src="{name}"></script>' for name in FILES) + "<body>"

STRICT = f"default-src 'none'; script-src {URL} blob:; style-src 'unsafe-inline'"
SANDBOX = f"{STRICT}; sandbox allow-scripts"
"""The policy of a frame without an origin."""
NO_BLOBS = STRICT.replace(" blob:", "")

RUNNING = 1
"""The bits of a job's byte that hold its state."""


@pytest.fixture
def panel(home: Path) -> Iterator[SessionPanel]:
    """Yield a panel without a kernel."""
    del home
    session = Session(backend="fake_manila")
    yield SessionPanel(session)
    session.cancel()


def state_of(panel: SessionPanel) -> dict[str, Any]:
    """Return the state that the kernel sends for a panel, with bytes as numbers."""
    state = panel.get_state()
    return {**state, "states": list(state["states"])}


def show(page: Page, policy: str, state: dict[str, Any]) -> list[str]:
    """Show a panel in a page with a policy; return the page's network requests."""
    asked: list[str] = []

    def serve(route: Route) -> None:
        name = route.request.url.removeprefix(URL)
        if name == "":
            headers = {"Content-Security-Policy": policy, "Content-Type": "text/html"}
            route.fulfill(body=HTML, headers=headers)
        elif name in FILES:
            route.fulfill(path=FILES[name], content_type="text/javascript")
        else:
            asked.append(name)
            route.abort()

    page.route("**/*", serve)
    page.goto(URL)
    page.evaluate("(state) => show(state)", state)
    return asked


@pytest.mark.parametrize("policy", [STRICT, SANDBOX], ids=["strict", "sandbox"])
def test_the_view_needs_nothing_but_its_source(
    page: Page, panel: SessionPanel, policy: str
) -> None:
    # The view shows the last message.
    page.clock.set_fixed_time(datetime.now(UTC))
    asked = show(page, policy, state_of(panel))
    view = page.get_by_test_id("qsw-panel")
    expect(view.get_by_test_id("qsw-status")).to_have_text("Waiting")
    expect(view).to_have_css("border-top-style", "solid")

    def receive() -> None:
        page.evaluate("(state) => host.model.receive(readable(state))", state_of(panel))

    job = long_job(panel.session, bindings=5000)
    row = row_of(view, job)
    eventually(lambda: job.status() == "RUNNING")
    eventually(lambda: [code & 0xF for code in panel.states] == [RUNNING])
    receive()
    expect(row).to_have_attribute("data-status", "running")
    row.get_by_test_id("qsw-cancel-job").click()
    other = "() => host.model.sent.filter((each) => !['look', 'here'].includes(each.do))"
    (command,) = page.evaluate(other)
    assert (command["do"], command["job_id"]) == ("cancel_job", job.job_id())
    click(panel, command)
    eventually(lambda: command["ref"] in panel.commands["done"])
    receive()
    expect(row).to_have_attribute("data-status", "cancelled")
    assert page.evaluate("() => [host.complaints, host.model.saved]") == [[], 0]
    assert asked == []


@pytest.mark.parametrize(
    ("policy", "change", "complaint"),
    [
        pytest.param(NO_BLOBS, {}, "script-src-elem refuses blob", id="blob"),
        pytest.param(STRICT, {"_esm": 'import "preact";'}, 'specifier "preact"', id="bare import"),
        pytest.param(
            STRICT,
            {"_esm": f'import "{ELSEWHERE}chunk.js";'},
            "script-src-elem refuses",
            id="chunk",
        ),
        pytest.param(
            STRICT, {"_esm": f'fetch("{ELSEWHERE}font");'}, "connect-src refuses", id="request"
        ),
        pytest.param(STRICT, {"_esm": 'new Function("")();'}, "script-src refuses eval", id="eval"),
        pytest.param(
            STRICT,
            {"_css": f'@import "{ELSEWHERE}font.css";'},
            "style-src-elem refuses",
            id="style",
        ),
    ],
)
def test_the_page_would_complain(
    page: Page, panel: SessionPanel, policy: str, change: dict[str, str], complaint: str
) -> None:
    state = state_of(panel)
    worse = {name: text + state[name] for name, text in change.items()}
    show(page, policy, {**state, **worse})
    complains = "(text) => host.complaints.some((each) => each.includes(text))"
    page.wait_for_function(complains, arg=complaint, polling=50)
