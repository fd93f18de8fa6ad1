"""Every exemption from a check has its reason on the same line, in one form.

ruff's rules: `# noqa: CODE - reason`. mypy takes a reason only in a comment of its own, and so do
ruff's formatter and coverage: `# type: ignore[code] # reason`, `# fmt: skip # reason`.
"""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("qsession_widget", "tests", "benchmarks", "docs", "examples")

MARK = re.compile(
    r"#\s*(?:noqa|type:\s*ignore|fmt:|yapf:|isort:|ruff:|flake8:|mypy:|pyright:|pylint:|pragma|nosec)",
    re.IGNORECASE,
)
FORM = re.compile(
    r"# noqa: [A-Z]+\d+(?:, [A-Z]+\d+)* - \w"
    r"|# type: ignore\[[a-z-]+(?:, [a-z-]+)*\] # \w"
    r"|# fmt: skip # \w"
)
FOR_BOTH = re.compile(r"# type: ignore\[[a-z-]+\] (?=# noqa: )")
"""A line that both check: the reason of ruff's mark is mypy's, too."""


def unexplained(source: str) -> list[int]:
    """Return the lines whose marks lack a code or a reason."""
    return [
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
        for mark in MARK.finditer(token.string)
        if not FORM.match(token.string, mark.start())
        and not FOR_BOTH.match(token.string, mark.start())
    ]


def test_every_exemption_has_a_code_and_a_reason() -> None:
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(paths) > 600
    found = {path: unexplained(path.read_text("utf-8")) for path in paths}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_marks_without_a_code_or_a_reason_are_found() -> None:
    lines = [
        "a = 1  # noqa: F401 - not there",
        "a = 1  # noqa: F401",
        "a = 1  # noqa: F401  not there",
        "a = 1  # noqa",
        "a = 1  # type: ignore[misc] # has no types",
        "a = 1  # type: ignore[misc]  # has no types",
        "a = 1  # type: ignore[misc]",
        "a = 1  # type: ignore",
        "a = 1  # type: ignore[import-not-found] # noqa: F401, PLC0415 - not there",
        "a = 1  # type: ignore[import-not-found] # noqa: F401",
        "a = 1  # fmt: skip",
        "a = 1  # pragma: no cover",
        "a = '# noqa'",
    ]
    assert unexplained("\n".join(lines)) == [2, 3, 4, 6, 7, 8, 10, 11, 12]
