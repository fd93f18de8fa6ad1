"""The oldest Python and packages that pyproject.toml promises: `python -m tests.oldest --help`.

`make oldest-tests` runs a sample of the tests on them. Debian 12 has Python 3.11.2, and most
developers have a later one, so that only users would notice a dependence on newer features.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
SYSTEM = "/usr/bin/python3.11"
PACKAGE = "python3.11-venv"


def constraints() -> list[str]:
    """Return each requirement of the package and its extras at its lower bound, as pip reads it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    found = []
    for text in [*project["dependencies"], *(each for extra in extras for each in extra)]:
        requirement = Requirement(text)
        lowest = [each.version for each in requirement.specifier if each.operator in {">=", "=="}]
        if len(lowest) != 1:
            raise SystemExit(f"pyproject.toml: {text!r} has no lower bound")
        found.append(f"{requirement.name}=={lowest[0]}")
    return found


def python() -> str:
    """Return the system's Python 3.11, which apt installs if it can, or the one that runs this."""
    if not _makes_environments() and os.geteuid() == 0 and shutil.which("apt-get"):
        # Other releases of Debian have none; then this interpreter is used.
        for command in (("update",), ("install", "--yes", "--no-install-recommends", PACKAGE)):
            subprocess.run(  # noqa: S603 - fixed commands
                ["apt-get", "-qq", *command],  # noqa: S607 - as on the machine
                check=False,
                stdout=sys.stderr,
            )
    return SYSTEM if _makes_environments() else sys.executable


def _makes_environments() -> bool:
    if not Path(SYSTEM).exists():
        return False
    asked = [SYSTEM, "-c", "import ensurepip, venv"]
    return subprocess.run(asked, check=False, capture_output=True).returncode == 0  # noqa: S603 - fixed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("python", "constraints"))
    wanted = parser.parse_args().what
    lines = [python()] if wanted == "python" else constraints()
    sys.stdout.write("".join(f"{line}\n" for line in lines))
