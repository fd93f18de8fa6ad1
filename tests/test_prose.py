"""The prose that people read: no word of a short list, and docstrings in the imperative.

CONTRIBUTING.md has the rules. A folder in `ALLOWED` may have so many faults left, and no fewer: the
number has to go down with them.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "qsession_widget"

AVOIDED = re.compile(r"\b(somebody|nobody|whoever|whom|himself|he|his|him)\b", re.IGNORECASE)
NOT_IMPERATIVE = re.compile(r"(Give|Gives)\b")
"""How a docstring must not begin: a function returns, builds or computes something."""

ALLOWED = {
    "": 1,
    "client": 68,
    "local": 10,
    "runtime": 11,
    "runtime/auth": 8,
    "runtime/control": 36,
    "runtime/http": 60,
    "runtime/model": 11,
    "runtime/scheduling": 18,
    "runtime/store": 18,
    "runtime/worker": 51,
    "support": 8,
    "transport": 22,
    "wire": 17,
}


def _docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield docstrings, also those below an attribute, and the lines on which they begin."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.lineno, str(node.value.value)


def _texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield comments, docstrings and messages, with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


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
    else:
        texts = list(enumerate(text.splitlines(), start=1))
    return found + [
        f"{name}:{line}: {word.group()!r}"
        for line, each in texts
        for word in AVOIDED.finditer(each)
    ]


def _folder(path: Path) -> str:
    """Return the folder of a module as ALLOWED names it: `panel`, `runtime/http`, ``."""
    parts = path.relative_to(PACKAGE).parts[:-1]
    return "/".join(parts[: 2 if parts[:1] == ("runtime",) else 1])


MODULES = sorted(each for each in PACKAGE.rglob("*.py") if "labextension" not in each.parts)
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "Makefile",
        ROOT / "examples" / "quickstart.ipynb",
        *(ROOT / "docs").glob("*.rst"),
        *(each for end in ("ts", "tsx", "css") for each in (ROOT / "js" / "src").rglob(f"*.{end}")),
    ]
)


@pytest.mark.parametrize("folder", sorted({_folder(path) for path in MODULES} | ALLOWED.keys()))
def test_modules_are_in_plain_english(folder: str) -> None:
    faults = [fault for path in MODULES if _folder(path) == folder for fault in _faults(path)]
    allowed = ALLOWED.get(folder, 0)
    assert len(faults) <= allowed, "\n".join(faults)
    assert len(faults) == allowed, f"ALLOWED[{folder!r}] has to be lowered to {len(faults)}"


def test_pages_are_in_plain_english() -> None:
    assert not [fault for path in PAGES for fault in _faults(path)]


def test_faults_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_prose.ROOT", tmp_path)
    module = tmp_path / "module.py"
    module.write_text(
        '"""Give his name."""\n\nTOLD = f"{1} for whom?"  # nobody\n"""Gives up."""\n'
        '\n\ndef ask() -> None:\n    """Return what is given to the user."""\n'
    )
    assert sorted(_faults(module)) == [
        "module.py:1: 'his'",
        "module.py:1: a docstring begins with 'Give'",
        "module.py:3: 'nobody'",
        "module.py:3: 'whom'",
        "module.py:4: a docstring begins with 'Gives'",
    ]
