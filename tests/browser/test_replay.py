"""The page that replays recorded sessions: from a file, without a network, by keys and by links."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from docs._ext import replay

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"
AXE_OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "rules": {"label-content-name-mismatch": {"enabled": True}},
}
MOST_BYTES = 300_000
RECORDING = "This is a recording"
STATES = {
    "opened": "Waiting",
    "running": "Running",
    "loop": "Running",
    "queue": "Running",
    "stopped": "Running",
    "idle": "Idle (paid)",
    "inactive": "Inactive",
    "closed": "Closed",
    "held": "Waiting",
    "max-time": "Closing",
}
"""What the panel says at each moment."""


@pytest.fixture
def address(tmp_path: Path, page: Page) -> str:
    """Write the page as the only file of a folder, and cut the browser off from every network."""
    file = tmp_path / replay.NAME
    file.write_text(replay.page(), encoding="utf-8")
    assert file.stat().st_size <= MOST_BYTES
    page.context.set_offline(True)
    return file.as_uri()


@pytest.fixture
def faults(page: Page) -> list[str]:
    """Return what goes wrong in the page, and the requests that it makes."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text))
    page.on("requestfailed", lambda request: found.append(request.url))
    page.on("request", lambda request: found.append(request.url) if _leaves(request.url) else None)
    return found


def _leaves(url: str) -> bool:
    return not url.startswith(("file:", "blob:", "data:"))


def test_each_moment_has_a_link(page: Page, address: str, faults: list[str]) -> None:
    moments = [each for recording in replay.recordings() for each in recording["moments"]]
    assert {each["id"] for each in moments} == set(STATES)
    for moment in moments:
        # From elsewhere, as from a page of the documentation.
        page.goto("about:blank")
        page.goto(f"{address}#{moment['id']}")
        expect(page.get_by_test_id("qsw-status")).to_have_text(STATES[moment["id"]])
        expect(page.locator("#caption")).to_have_text(moment["text"])
        expect(page.locator("[aria-current]")).to_have_text(moment["title"])
        assert page.get_by_text(RECORDING).count() == 0, "only a click is told"
    # And within the page.
    page.get_by_role("link", name="Went idle here").click()
    expect(page.get_by_test_id("qsw-status")).to_have_text("Idle (paid)")
    expect(page.locator("[aria-current]")).to_have_text("Went idle here")
    assert faults == []


def test_time_is_moved_by_keys(page: Page, address: str, faults: list[str]) -> None:
    page.goto(address)
    time, scrubber = page.locator("#time"), page.get_by_role("slider", name="Time of the recording")
    expect(time).to_contain_text("0:00 of ")
    scrubber.focus()
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    expect(time).to_contain_text("0:09 of ")
    expect(scrubber).to_have_attribute("aria-valuetext", str(time.text_content()))
    expect(page.get_by_test_id("qsw-status")).to_have_text("Running")
    page.keyboard.press("End")
    expect(page.get_by_test_id("qsw-status")).to_have_text("Closed")
    # Backwards, too: everything is as it was.
    page.keyboard.press("Home")
    expect(page.get_by_test_id("qsw-status")).to_have_text("Waiting")
    expect(page.get_by_test_id("qsw-panel")).to_contain_text("No jobs yet.")
    # It does not play by itself.
    expect(time).to_contain_text("0:00 of ")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    expect(page.get_by_test_id("qsw-status")).to_have_text("Running")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Play")).to_be_focused()
    assert faults == []


def test_the_panel_is_the_real_one(page: Page, address: str, faults: list[str]) -> None:
    """Tabs and rows work, and buttons say that this is a recording."""
    page.goto(f"{address}#queue")
    page.get_by_test_id("qsw-tab-timeline").click()
    expect(page.get_by_test_id("qsw-panel").get_by_role("slider")).to_be_visible()
    page.get_by_test_id("qsw-tab-jobs").click()
    # The last row of those on the screen is of the loop.
    page.get_by_test_id("qsw-open").last.click()
    expect(page.get_by_test_id("qsw-panel")).to_contain_text("default_precision")
    page.get_by_test_id("qsw-close").click()
    page.get_by_test_id("qsw-confirm").click()
    expect(page.get_by_test_id("qsw-panel")).to_contain_text(RECORDING)
    expect(page.get_by_test_id("qsw-status")).to_have_text("Running")
    # A moment of another recording is another session.
    page.get_by_role("link", name="Waits for another session").click()
    expect(page.get_by_test_id("qsw-panel")).to_contain_text("tomography")
    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 400])
def test_it_is_accessible(
    page: Page, address: str, scheme: Any, width: int, artifacts: Path
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    for moment in ("idle", "held"):
        page.goto(f"{address}#{moment}")
        expect(page.get_by_test_id("qsw-status")).to_have_text(STATES[moment])
        page.add_script_tag(content=AXE.read_text("utf-8"))
        found = page.evaluate("options => axe.run(options)", AXE_OPTIONS)
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, "the page scrolls sideways"
        page.screenshot(path=artifacts / f"replay-{moment}-{scheme}-{width}.png")
