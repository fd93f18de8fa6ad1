"""A real browser and a real JupyterLab."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from qsession_widget.local import process
from tests.browser import chromium, firefox, jupyter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, ViewportSize

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
VIEWPORT: ViewportSize = {"width": 1280, "height": 1000}

expect.set_options(timeout=jupyter.TIMEOUT_MS)


# Playwright runs an event loop in this thread, which would disturb tests of other folders.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Start a headless browser: Chromium, or Firefox as `tests.browser.firefox` chooses."""
    with sync_playwright() as playwright:
        if os.environ.get(firefox.CHOSEN) == "firefox":
            started = firefox.launch(playwright)
        else:
            started = chromium.launch(playwright)
        yield started
        started.close()


def _fresh_page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=VIEWPORT)
    context.set_default_timeout(jupyter.TIMEOUT_MS)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Yield a page with its own profile."""
    yield from _fresh_page(browser)


@pytest.fixture
def other_page(browser: Browser) -> Iterator[Page]:
    """Yield a page of a second person: its own profile, with nothing in common."""
    yield from _fresh_page(browser)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the folder of a runtime that this process and the host share."""
    folder = tmp_path / "qsession"
    monkeypatch.setenv("QSESSION_HOME", str(folder))
    yield folder
    process.stop(folder=folder)


PYTHON = Path(os.environ.get("QSESSION_LAB") or sys.executable).absolute()
"""The interpreter whose JupyterLab is tested."""


@pytest.fixture
def lab(tmp_path: Path, home: Path) -> Iterator[jupyter.Lab]:
    """Run JupyterLab; its kernels and this process share a local runtime."""
    with jupyter.lab(PYTHON, tmp_path, home, dict(os.environ)) as running:
        yield running


@pytest.fixture
def lab_without_server(tmp_path: Path, home: Path) -> Iterator[jupyter.Lab]:
    """Run JupyterLab with this package's extension of the Jupyter server disabled."""
    config = tmp_path / "config"
    config.mkdir()
    extensions = {"qsession_widget.server_extension": False}
    (config / "jupyter_server_config.json").write_text(
        json.dumps({"ServerApp": {"jpserver_extensions": extensions}})
    )
    with jupyter.lab(PYTHON, tmp_path, home, dict(os.environ)) as running:
        yield running


@pytest.fixture
def artifacts() -> Path:
    """Return the folder for screenshots, which git ignores."""
    ARTIFACTS.mkdir(exist_ok=True)
    return ARTIFACTS
