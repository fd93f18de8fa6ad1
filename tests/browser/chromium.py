"""Prints the path of a Chromium, and installs one if there is none: Debian's, else Playwright's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Return the path of an installed Chromium: `$CHROMIUM_PATH` first."""
    named = os.environ.get("CHROMIUM_PATH")
    if named:
        return named
    on_path = next((path for name in NAMES if (path := shutil.which(name))), None)
    return on_path or _from_playwright()


def launch(playwright: Playwright) -> Browser:
    """Start a headless Chromium."""
    return playwright.chromium.launch(
        executable_path=find(),
        # As root, Chromium's sandbox cannot start, for example in containers.
        args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync"],
    )


def install() -> None:
    """Install a Chromium; the installer's output goes to standard error."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _run("apt-get", "update")
        _run("apt-get", "install", "--yes", "--no-install-recommends", "chromium")
    else:
        _run(sys.executable, "-m", "playwright", "install", "chromium")


def _from_playwright() -> str | None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - slow, and seldom needed

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603 - fixed commands


if __name__ == "__main__":
    if find() is None:
        install()
    found = find()
    if found is None:
        raise SystemExit("no Chromium could be found or installed; set CHROMIUM_PATH to one")
    sys.stdout.write(f"{found}\n")
