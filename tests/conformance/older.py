"""Runs a session of an older release of IBM's client against a fresh local runtime.

`python -m tests.conformance.older` installs the release into an environment below `.cache`, which
takes a minute the first time. By hand, with `make soak`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from qsession_widget.local import process
from qsession_widget.wire.fields import INSTANCE_CRN
from tests.conformance.official import CACHE, PACKAGE
from tests.conftest import running

RELEASE = "0.40.1"
SCRIPT = Path(__file__).with_name("older_client.py")
TIMEOUT_SECONDS = 300
EXPECTED = {
    "release": RELEASE,
    "shots": 100,
    "job_status": "DONE",
    "open_status": "In progress, accepting new jobs",
    "max_time": 600,
    "usage": True,
    "found_backend": "fake_manila",
    "found_status": "In progress, accepting new jobs",
    "jobs": True,
    "closed_status": "Closed",
    "found_closed_status": "Closed",
}


def main() -> int:
    """Run the session and report.

    Returns:
        Exit status: 0 when everything came out as expected.
    """
    python = install()
    with (
        tempfile.TemporaryDirectory(prefix="qsession-") as folder,
        running(Path(folder) / "runtime") as home,
    ):
        seen = use(python, home, Path(folder))
    wrong = {name: seen.get(name) for name in EXPECTED if seen.get(name) != EXPECTED[name]}
    for name, value in wrong.items():
        sys.stdout.write(f"{name} is {value!r}, not {EXPECTED[name]!r}\n")
    verdict = f"{len(wrong)} not as expected" if wrong else "as expected"
    sys.stdout.write(f"{PACKAGE} {RELEASE}: {verdict}\n")
    return 1 if wrong else 0


def install() -> Path:
    """Return the interpreter of an environment with the release, which is created if needed."""
    folder = CACHE / f"{PACKAGE}-{RELEASE}"
    python, done = folder / "bin" / "python", folder / ".installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", f"{PACKAGE}=={RELEASE}"]
        subprocess.run(command, check=True)  # noqa: S603 - ours
        done.touch()
    return python


def use(python: Path, home: Path, folder: Path) -> dict[str, Any]:
    """Run the script, and return its findings."""
    found = process.endpoint(start=False, folder=home)
    done = subprocess.run(  # noqa: S603 - ours
        [str(python), "-P", str(SCRIPT)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "HTTP_PROXY": found.url,
            "TOKEN": found.token,
            "INSTANCE": INSTANCE_CRN,
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


if __name__ == "__main__":
    raise SystemExit(main())
