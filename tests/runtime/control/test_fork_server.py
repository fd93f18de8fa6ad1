"""The fork server starts before the server has imported its own modules."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
os.environ["API_KEY"] = "secret"
sys.argv = ["runtime", *{arguments}]
from qsession_widget.runtime import __main__ as entry
from qsession_widget.runtime.control import fork_server
from multiprocessing import forkserver
heavy = ("sqlalchemy", "starlette", "uvicorn", "qiskit")
start = fork_server.start
def noted():
    print([each for each in heavy if each in sys.modules], "API_KEY" in os.environ)
    start()
    print(os.environ["OMP_WAIT_POLICY"], forkserver._forkserver._preload_modules)
fork_server.start = noted
try:
    entry.main()
except SystemExit:
    print("end")
"""


def said(*arguments: str) -> list[str]:
    program = PROGRAM.format(arguments=list(arguments))
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    return done.stdout.splitlines()


def test_it_starts_before_what_the_server_imports_and_inherits_no_secrets() -> None:
    before, after, *_ = said("--no-such-option")
    assert before == "[] False"
    assert after == "PASSIVE ['qsession_widget.runtime.worker.primitives']"


@pytest.mark.parametrize("asked", ["-h", "--help"])
def test_who_asks_for_help_starts_nothing(asked: str) -> None:
    lines = said(asked)
    assert lines[0].startswith("usage: qsession serve")
    assert lines[-1] == "end"
