"""The built wheel, and an environment of its own in which it is installed without node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# The browser is the same as for the other browser tests.
from tests.browser.conftest import artifacts, browser, page

__all__ = ["artifacts", "browser", "page"]

DIST = Path(__file__).parents[2] / "dist"


@pytest.fixture(scope="session")
def wheel() -> Path:
    """Return the wheel that `make` has built."""
    found = list(DIST.glob("*.whl"))
    assert len(found) == 1, f"`make lint` builds the one wheel that belongs in {DIST}"
    return found[0]


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel with JupyterLab into a new environment; return its folder of programs."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)  # noqa: S603 - ours
    programs = folder / "bin"
    install = [str(programs / "python"), "-m", "pip", "install", "--quiet", f"{wheel}[lab]"]
    subprocess.run(install, check=True)  # noqa: S603 - ours
    return programs
