"""The page of the architecture names what there is; the tests follow the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.rst"
RUNNERS = {"Runner", "get_event_loop", "new_event_loop", "run", "run_until_complete"}
"""Functions of asyncio and anyio that run a coroutine from synchronous code."""

PLACES = (ROOT, ROOT / "qsession_widget", ROOT / "qsession_widget" / "runtime")


def _exists(name: str) -> bool:
    return any((place / f"{name}{end}").exists() for place in PLACES for end in ("", ".py"))


def test_modules_and_folders_of_the_page_exist() -> None:
    named = {
        each.rstrip("/") for each in re.findall(r"``([a-z_]+/[\w/.-]*)``", PAGE.read_text("utf-8"))
    }
    assert len(named) > 50
    assert not {name for name in named if not _exists(name)}


FOLLOWED = ("client", "runtime/control", "runtime/http", "runtime/scheduling")
"""Folders of the package each of whose modules has a test file of its own."""


@pytest.mark.parametrize("folder", FOLLOWED)
def test_each_module_has_a_test_file(folder: str) -> None:
    modules = {
        path.stem
        for path in (ROOT / "qsession_widget" / folder).rglob("*.py")
        if path.stem != "__init__"
    }
    tests = {path.stem for path in (ROOT / "tests" / folder).rglob("test_*.py")}
    assert modules
    assert not {name for name in modules if f"test_{name}" not in tests}


def _runners(source: str) -> list[int]:
    """Return the lines that use one of `RUNNERS`."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr in RUNNERS
        and ast.unparse(node.value).split(".")[0] in {"anyio", "asyncio", "loop"}
    ]


def test_asynchronous_tests_are_coroutines() -> None:
    """Anyio's plugin runs them. Scripts in strings run by themselves, as users write them."""
    found = {
        path.relative_to(ROOT).as_posix(): len(lines)
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if (lines := _runners(path.read_text("utf-8")))
    }
    # Hypothesis's state machine has no coroutines; a caller's loop closes before the store answers.
    assert found == {"tests/runtime/control/test_state.py": 1, "tests/runtime/test_store.py": 1}


def test_what_runs_a_coroutine_is_found() -> None:
    assert _runners("import asyncio\nasyncio.run(main())\nloop.run_until_complete(f)\nx.run()") == [
        2,
        3,
    ]
