"""Runs the quickstart's test and others in Firefox: `python -m tests.browser.firefox`.

Firefox is the system's, or Debian's, which apt installs. It is driven by WebDriver BiDi through a
release of Playwright that sends it nothing unknown, below `.cache`. By hand, with `make soak`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

RELEASE = "1.64.1"
"""From 1.65 on, Playwright overrides media features, which the ESR 153 does not know yet."""
CACHE = Path(__file__).parents[2] / ".cache"
NAMES = ("firefox", "firefox-esr")
TESTS = ("tests/browser/test_quickstart.py", "tests/browser/test_side_panel.py")
CHOSEN = "QSESSION_BROWSER"


def launch(playwright: Playwright) -> Browser:
    """Start a headless Firefox."""
    return playwright.firefox.launch(executable_path=find(), channel="moz-firefox")


def find() -> str | None:
    """Return the path of an installed Firefox: `$FIREFOX_PATH` first."""
    named = os.environ.get("FIREFOX_PATH")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def main() -> int:
    """Run the tests, and return pytest's exit status."""
    if find() is None:
        _run("apt-get", "update")
        _run("apt-get", "install", "--yes", "--no-install-recommends", "firefox-esr")
    folder = CACHE / f"playwright-{RELEASE}"
    if not folder.exists():
        packages = ["--target", str(folder), f"playwright=={RELEASE}"]
        _run(sys.executable, "-m", "pip", "install", "--quiet", *packages)
    environment = {**os.environ, "PYTHONPATH": str(folder), CHOSEN: "firefox"}
    command = [sys.executable, "-m", "pytest", *(sys.argv[1:] or TESTS)]
    return subprocess.run(command, check=False, env=environment).returncode  # noqa: S603 - ours


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603 - fixed commands


if __name__ == "__main__":
    sys.exit(main())
