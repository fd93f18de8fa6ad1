"""The prose that people read: no word of a short list, and docstrings in the imperative.

CONTRIBUTING.md has the rules. Tests, benchmarks and examples are read too, and names of functions.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "qsession_widget"

AVOIDED = re.compile(
    r"(?<![a-z])(anothers|anybody|everybody|he|him|himself|his|nobody|nobodys|ones_own|somebody|"
    r"somebodys|whoever|whom)(?![a-z])",
    re.IGNORECASE,
)
"""Words, and parts of names, that stand for people or in riddles."""

NOT_IMPERATIVE = re.compile(r"(Give|Gives)\b")
"""How a docstring must not begin: a function returns, builds or computes something."""


def _docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield docstrings, also those below an attribute, and the lines on which they begin."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.lineno, str(node.value.value)


def _texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield comments, docstrings, messages and names, with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name


def _faults(path: Path) -> list[str]:
    """Return what is wrong in a file, each with its place."""
    text, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT)
    found = []
    if path.suffix == ".py":
        found += [
            f"{name}:{line}: a docstring begins with {start[0]!r}"
            for line, docstring in _docstrings(ast.parse(text))
            if (start := NOT_IMPERATIVE.match(docstring.lstrip()))
        ]
        texts = list(_texts(text))
    elif path.suffix == ".ipynb":
        # Outputs are of no author.
        cells = json.loads(text)["cells"]
        texts = list(enumerate(("".join(each["source"]) for each in cells), start=1))
    else:
        texts = list(enumerate(text.splitlines(), start=1))
    return found + [
        f"{name}:{line}: {word.group()!r}"
        for line, each in texts
        for word in AVOIDED.finditer(each)
    ]


MODULES = sorted(each for each in PACKAGE.rglob("*.py") if "labextension" not in each.parts)
TESTS = sorted(
    each
    for folder in ("tests", "benchmarks", "examples")
    for each in (ROOT / folder).rglob("*.py")
    if each != Path(__file__)  # which names the words
)
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "Makefile",
        *(ROOT / "examples").glob("*.ipynb"),
        *(ROOT / "docs").rglob("*.rst"),
        *(each for end in ("ts", "tsx", "css") for each in (ROOT / "js" / "src").rglob(f"*.{end}")),
    ]
)


def test_modules_are_in_plain_english() -> None:
    assert not [fault for path in MODULES for fault in _faults(path)]


def test_tests_and_benchmarks_are_in_plain_english() -> None:
    assert len(TESTS) > 100
    assert not [fault for path in TESTS for fault in _faults(path)]


def test_pages_are_in_plain_english() -> None:
    assert not [fault for path in PAGES for fault in _faults(path)]


def test_faults_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_prose.ROOT", tmp_path)
    module = tmp_path / "module.py"
    module.write_text(
        '"""Give his name."""\n\nTOLD = f"{1} for whom?"  # nobody\n"""Gives up."""\n'
        '\n\ndef ask_his_age() -> None:\n    """Return what is given to the user."""\n'
    )
    assert sorted(_faults(module)) == [
        "module.py:1: 'his'",
        "module.py:1: a docstring begins with 'Give'",
        "module.py:3: 'nobody'",
        "module.py:3: 'whom'",
        "module.py:4: a docstring begins with 'Gives'",
        "module.py:7: 'his'",
    ]
