"""Nothing newer than Python 3.11.0 is used: early patch releases are still in use.

mypy, told to take 3.11, holds what came with 3.12 and later. It cannot know what a patch release of
3.11 brought, which its stubs have without a version.
"""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from tests import oldest

ROOT = Path(__file__).parents[1]

ARGUMENTS = {
    ("extract", "filter"): "3.11.4",
    ("extractall", "filter"): "3.11.4",
    ("unpack_archive", "filter"): "3.11.4",
    ("getaddresses", "strict"): "3.11.10",
    ("parseaddr", "strict"): "3.11.10",
}
"""Arguments of functions and methods, with the release that brought them."""

NAMES = {
    "extraction_filter": "3.11.4",
    "data_filter": "3.11.4",
    "tar_filter": "3.11.4",
    "fully_trusted_filter": "3.11.4",
    "FilterError": "3.11.4",
    "SetReparseDeferralEnabled": "3.11.9",
    "GetReparseDeferralEnabled": "3.11.9",
    "LinkFallbackError": "3.11.13",
    "ALLOW_MISSING": "3.11.13",
}


def newer(source: str) -> list[str]:
    """Return what a text uses that 3.11.0 has not."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            for each in node.keywords:
                release = ARGUMENTS.get((name, each.arg or ""))
                if release:
                    found.append(f"line {node.lineno}: {name}({each.arg}=) came with {release}")
        if isinstance(node, (ast.Attribute, ast.Name)):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            if name in NAMES:
                found.append(f"line {node.lineno}: {name} came with {NAMES[name]}")
    return found


def sources() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "*.py"],  # noqa: S607 - as on the machine
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.split()


def test_nothing_is_used_that_the_oldest_python_has_not() -> None:
    paths = sources()
    assert {"qsession_widget/cli/main.py", "tests/browser/test_hosts.py"} <= set(paths)
    found = {path: newer((ROOT / path).read_text()) for path in paths if (ROOT / path).exists()}
    assert {path: each for path, each in found.items() if each} == {}


@pytest.mark.parametrize(
    "source", ["files.extractall(there, filter='data')", "tarfile.data_filter", "extract(filter=1)"]
)
def test_what_is_newer_is_found(source: str) -> None:
    assert len(newer(source)) == 1


def test_every_requirement_has_a_lower_bound() -> None:
    found = dict(each.split("==") for each in oldest.constraints())
    assert {"qiskit", "jupyterlab", "uvloop"} <= found.keys()
    assert all(version[0].isdigit() for version in found.values())
