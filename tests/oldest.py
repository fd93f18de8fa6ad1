"""The oldest Python and packages that pyproject.toml promises, and the newest Python here.

`python -m tests.oldest WHAT` prints them. `make oldest-tests` runs a sample of the tests on the
oldest: Debian 12 has Python 3.11.2, and most developers have a later one, so that only users would
notice a dependence on newer features. `make newest-tests` runs it on the newest.
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


def newest_python() -> str:
    """Return the newest Python on this machine that pyproject.toml names, by PATH or pyenv."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each]
    for release in sorted(named, key=lambda each: int(each.partition(".")[2]), reverse=True):
        versions = sorted(Path.home().glob(f".pyenv/versions/{release}.*/bin/python"), reverse=True)
        for found in (shutil.which(f"python{release}"), *map(str, versions)):
            if found is not None and _makes_environments(found):
                return found
    return sys.executable


def _makes_environments(program: str = SYSTEM) -> bool:
    if not Path(program).exists():
        return False
    asked = [program, "-c", "import ensurepip, venv"]
    return subprocess.run(asked, check=False, capture_output=True).returncode == 0  # noqa: S603 - a Python


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    printed = {
        "python": lambda: [python()],
        "newest-python": lambda: [newest_python()],
        "constraints": constraints,
    }
    parser.add_argument("what", choices=printed)
    lines = printed[parser.parse_args().what]()
    sys.stdout.write("".join(f"{line}\n" for line in lines))
