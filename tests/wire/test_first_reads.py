"""Several threads may read a type for the first time at once, in this process and forked ones."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import qsession_widget

FIRST_READS = """
import os, sys, threading
import msgspec
from qsession_widget.support import structs
from qsession_widget.wire import documents

sys.setswitchinterval(1e-6)
THREADS = 4
together = threading.Barrier(THREADS)
kinds = [each for each in vars(documents).values() if isinstance(each, type)]
kinds = [each for each in kinds if issubclass(each, documents.Document)]
assert len(kinds) > 20


def filled(kind):
    return dict.fromkeys(kind.__struct_encode_fields__, 0)


def reads():
    for kind in kinds:
        together.wait()
        try:
            structs.convert(filled(kind), kind)
        except msgspec.ValidationError:
            pass


def forks(ended):
    while not ended.is_set():
        child = os.fork()
        if child == 0:
            for kind in kinds[1:]:
                documents.read(kind, filled(kind) | {"id": "x"})
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


ended = threading.Event()
threads = [threading.Thread(target=reads) for _ in range(THREADS)]
forking = threading.Thread(target=forks, args=[ended])
for each in (forking, *threads):
    each.start()
for each in threads:
    each.join()
ended.set()
forking.join()
print("done")
"""
ROUNDS = 20
"""A round that lets two threads collect a type's fields at once crashes one time in four."""


def test_threads_read_types_for_the_first_time_at_once() -> None:
    for _ in range(ROUNDS):
        ran = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", FIRST_READS], capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr


def test_structs_are_read_in_one_place_only() -> None:
    package = Path(qsession_widget.__file__).parent
    found = []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                typed = name.endswith("decode") and any(
                    each.arg == "type" for each in node.keywords
                )
            elif isinstance(node, ast.ImportFrom) and node.module == "msgspec":
                name, typed = "", any(each.name == "convert" for each in node.names)
            else:
                continue
            if typed or name == "msgspec.convert":
                found.append(str(path.relative_to(package)))
    assert set(found) == {"support/structs.py"}
