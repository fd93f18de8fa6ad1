"""Runs the browser tests with kernels of several releases: `python -m tests.browser.matrix`.

As on a hub, JupyterLab and its extensions come from this environment, and the kernel's packages are
older ones. Each kernel's environment takes all but two packages from this one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

IPYKERNEL = ("6.31.0", "7.1.0", None)
ANYWIDGET = ("0.9.21", None)
"""Releases; None is that of this environment."""

QUICKSTART = "tests/browser/test_quickstart.py"
BUSY = "tests/browser/test_faults.py::test_a_click_acts_while_a_cell_blocks"
BUSY_AND_DEAF = "tests/browser/test_faults.py::test_a_click_reports_that_it_waits_for_the_cell"
AWAITED = "tests/browser/test_busy.py::test_jupyterlab_acts_at_once_while_a_cell_awaits"
AWAITED_AND_DEAF = (
    "tests/browser/test_busy.py::test_a_click_reports_that_it_waits_for_an_awaiting_cell"
)


def kernel(folder: Path, ipykernel: str | None, anywidget: str | None) -> Path:
    """Create an environment for a kernel, and return its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    own = Path(pytest.__file__).parents[1]
    (package_folder,) = folder.glob("lib/python*/site-packages")
    # Packages that are installed here come first, then those of this environment.
    (package_folder / "shared.pth").write_text(f"import site; site.addsitedir({str(own)!r})\n")
    releases = {"ipykernel": ipykernel, "anywidget": anywidget}
    wanted = [f"{name}=={release}" for name, release in releases.items() if release]
    if wanted:
        install = ("-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed")
        subprocess.run([str(python), *install, *wanted], check=True)  # noqa: S603 - our own command
    return python


def main() -> int:
    """Run all releases, and print a line for each."""
    failed = 0
    for ipykernel in IPYKERNEL:
        # Kernels without subshells handle a click when the cell has ended.
        deaf = ipykernel is not None and ipykernel.startswith("6.")
        busy = (BUSY_AND_DEAF, AWAITED_AND_DEAF) if deaf else (BUSY, AWAITED)
        for anywidget in ANYWIDGET:
            with tempfile.TemporaryDirectory() as folder:
                python = kernel(Path(folder), ipykernel, anywidget)
                command = [sys.executable, "-m", "pytest", "-q", QUICKSTART, *busy]
                ran = subprocess.run(  # noqa: S603 - our own command
                    command,
                    check=False,
                    capture_output=True,
                    text=True,
                    env={**os.environ, "QSESSION_KERNEL": str(python)},
                )
            names = (ipykernel or version("ipykernel"), anywidget or version("anywidget"))
            last = ran.stdout.strip().splitlines()[-1]
            sys.stdout.write(f"ipykernel {names[0]:8} anywidget {names[1]:8} {last}\n")
            sys.stdout.flush()
            if ran.returncode:
                failed += 1
                sys.stdout.write(ran.stdout)
    return failed


if __name__ == "__main__":
    sys.exit(main())
