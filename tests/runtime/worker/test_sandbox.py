"""What a worker process can reach on its machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from qsession_widget.runtime.worker import sandbox
from tests.conftest import DEADLINE_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

linux = pytest.mark.skipif(sys.platform != "linux", reason="as only Linux has it")


TRIES = """
import os, socket, sys
from qsession_widget.runtime.worker import sandbox
held = sandbox.enter()
def tried(function, *arguments):
    try:
        function(*arguments)
    except PermissionError:
        return "refused"
    except OSError as error:
        return type(error).__name__
    return "done"
folder, port = sys.argv[1], int(sys.argv[2])
print(held, tried(open, folder + "/runtime.json"), tried(os.listdir, folder),
      tried(open, folder + "/new", "w"), tried(os.remove, folder + "/runtime.json"),
      tried(socket.create_connection, ("127.0.0.1", port), 5),
      tried(os.execv, folder + "/program", ["x"]))
import qiskit_aer
with open("/proc/self/status") as file:
    print([line for line in file if line.startswith("NoNewPrivs")][0].split()[1])
"""


@linux
def test_a_worker_reaches_neither_files_nor_network(tmp_path: Path) -> None:
    """Each of these works outside the sandbox; inside, Aer can still be imported."""
    (tmp_path / "runtime.json").write_text("the token")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = subprocess.run(  # noqa: S603 - ours
            [sys.executable, "-c", TRIES, str(tmp_path), port],
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=True,
        )
    first, privileges = done.stdout.splitlines()
    assert privileges == "1"
    held, *outcomes = first.split()
    if held == "False":
        pytest.skip("this kernel has no Landlock")
    assert outcomes[:4] == ["refused"] * 4
    assert outcomes[5] == "refused"
    # TCP is out of reach since Linux 6.7.
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    assert outcomes[4] == ("refused" if release >= (6, 7) else "done")
    assert (tmp_path / "runtime.json").exists()


@linux
def test_a_worker_may_not_read_a_home_folder() -> None:
    assert not any(str(each) in {"/", "/home", "/root", "/tmp"} for each in sandbox.readable())  # noqa: S108 - named, not used
