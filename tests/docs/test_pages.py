"""What the pages show is true: programs run, messages exist, links lead somewhere."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qsession_widget.local import process
from tests.conftest import running

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(each for each in DOCS.rglob("*.rst") if "_build" not in each.parts)
TEXTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", re.MULTILINE)
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BELL = """
from qiskit import QuantumCircuit
bell = QuantumCircuit(2)
bell.h(0)
bell.cx(0, 1)
bell.measure_all()
"""


def programs(path: Path) -> list[str]:
    """Return the Python programs of a page."""
    text = path.read_text(encoding="utf-8")
    found = (FENCE if path.suffix == ".md" else BLOCK).findall(text)
    return [textwrap.dedent(each) for each in found]


@pytest.mark.parametrize("path", [*PAGES, *TEXTS], ids=lambda path: path.stem)
def test_programs_are_python(path: Path) -> None:
    for number, each in enumerate(programs(path)):
        compile(each, f"{path.name}, program {number}", "exec")


def test_the_programs_of_the_tutorial_and_of_sessions_run(tmp_path: Path) -> None:
    pages = (DOCS / "tutorial.rst", DOCS / "howto" / "sessions.rst")
    source = "\n".join(each for page in pages for each in programs(page))
    try:
        said = run(source, tmp_path)
    finally:
        process.stop(folder=tmp_path)
    lines = said.splitlines()
    assert sum(map(int, re.findall(r"'[01]{2}': (\d+)", lines[0]))) == 2000
    energy = re.match(r"(-\d\.\d\d) after \d+ jobs", lines[1])
    assert energy is not None
    # Exact is -1.41; noise and the loop's length decide how near it comes.
    assert -1.7 < float(energy[1]) < -0.9
    assert lines[3:5] == ["20000", "Closed"]
    assert lines[-2:] == ["True", "Pending"]


def test_the_program_on_a_virtual_clock_runs(tmp_path: Path) -> None:
    first = programs(DOCS / "howto" / "time.rst")[0]
    with running(tmp_path / "lesson", "--clock", "virtual", "--min-job-seconds", "30") as home:
        said = run(f"{BELL}\n{first}", home)
    assert said.splitlines() == ["4096 In progress, accepting new jobs", *ENDS]


ENDS = ["inactive", "closed Closed"]


def run(source: str, home: Path) -> str:
    """Run a program with a runtime's folder, and return what it prints."""
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", source],
        env={**os.environ, "QSESSION_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- messages --------------------------------------------------------------------------------------


def texts_of_the_code() -> Iterator[str]:
    """Yield every text of the code, with a gap for each value that is put into it."""
    for path in (ROOT / "qsession_widget").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "\0"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    for path in (ROOT / "js" / "src").rglob("*.tsx"):
        yield path.read_text(encoding="utf-8")


def messages() -> list[str]:
    """Return the messages that the page on troubleshooting quotes."""
    page = (DOCS / "howto" / "troubleshooting.rst").read_text(encoding="utf-8")
    terms = re.findall(r"^(``.+``)\n   ", page, re.MULTILINE)
    return [each for term in terms for each in re.split(r"(?<=``) (?=``)", term)]


def is_said(message: str, texts: list[str]) -> bool:
    """Whether one text of the code has all fixed parts of a message, in their order."""
    parts = map(re.escape, filter(None, map(str.strip, message.strip("`").split("..."))))
    pattern = re.compile(r".*?".join(parts), re.DOTALL)
    return any(map(pattern.search, texts))


def test_every_message_in_troubleshooting_is_one_of_the_code() -> None:
    texts = list(texts_of_the_code())
    quoted = messages()
    assert len(quoted) > 35
    assert [each for each in quoted if not is_said(each, texts)] == []
    assert not is_said("``this was ... never said``", texts)


# -- links -----------------------------------------------------------------------------------------

LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_links_of_texts_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in map("".join, LINK.findall(text)):
        if re.match(r"https?://", target):
            assert re.fullmatch(r"https?://[\w.-]+\.\w+(/[^\s<>]*)?", target), target
        else:
            assert (ROOT / target.partition("#")[0]).exists(), f"{path.name}: {target}"


def test_files_that_texts_name_exist() -> None:
    named = re.compile(r"`((?:docs|examples|tests|js|benchmarks)/[\w./-]+)`")
    # What is built or left behind is not in a clone; git ignores those folders.
    made = tuple(re.findall(r"^[\w./-]+/$", (ROOT / ".gitignore").read_text(), re.MULTILINE))
    assert "tests/artifacts/" in made
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for name in named.findall(path.read_text(encoding="utf-8")):
            there = f"{name}/".startswith(made) or (ROOT / name).exists()
            assert there, f"{path.name}: {name}"
