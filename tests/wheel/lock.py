"""Writes requirements.lock: `python -m tests.wheel.lock`, which `make lock` runs.

It has the release of every package that CI installs, as pip resolves pyproject.toml today. The
Makefile passes it to pip as constraints, so that CI and developers have the same releases until
the file is written anew. Users are not bound by it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
HEAD = "# Written by `make lock`: what CI installs. Do not edit.\n"


def resolved() -> list[str]:
    """Return `name==version` for each package, in order."""
    asked = ["--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    done = subprocess.run(  # noqa: S603 - ours
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            *asked,
            "--group",
            "dev",
            "--group",
            "conformance",
            "--editable",
            ".[lab]",
        ],
        cwd=ROOT,
        env={**os.environ, "SKIP_JUPYTER_BUILDER": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    found = (each["metadata"] for each in json.loads(done.stdout)["install"])
    names = {
        each["name"].lower().replace("_", "-").replace(".", "-"): each["version"] for each in found
    }
    del names["qsession-widget"]
    return [f"{name}=={version}" for name, version in sorted(names.items())]


if __name__ == "__main__":
    LOCK.write_text(HEAD + "".join(f"{each}\n" for each in resolved()))
