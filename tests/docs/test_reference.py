"""The tables of the reference are made from the code and leave nothing out."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from docs._ext import reference
from qsession_widget.errors import InvalidInputError
from qsession_widget.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"
READ = re.compile(
    r'environ\.get\("(\w+)"|environ\["(\w+)"\]|getenv\("(\w+)"|^\w*_VARIABLE = "(\w+)"',
    re.MULTILINE,
)
OTHERS = {"JPY_SESSION_NAME"}
"""Variables that are not for users: Jupyter's server says by it which notebook a kernel serves."""


def test_every_command_is_described() -> None:
    text = "\n".join(reference.commands())
    for each in ("serve", "status", "user add", "gc", "clock", "demo", "close", "connect"):
        assert f"\nqsession {each}\n" in text
    assert "``--retention-days DAYS``" in text
    assert "``--format {env,python,account}``" in text
    # What differs from machine to machine would make the pages differ, too.
    assert str(Path.home()) not in text


def test_every_setting_has_its_flag_and_a_sentence() -> None:
    text = "\n".join(reference.settings())
    assert text.count("   * - ``--") == len(fields(Settings))
    assert "28,800" in text


def test_the_tree_of_errors_is_whole() -> None:
    lines = reference.tree_of_errors()
    assert f"         {InvalidInputError.__name__}  (also ValueError)"[3:] in lines
    assert not [line for line in lines if "_UsersError" in line]
    assert len(lines) > 18


def test_every_endpoint_is_in_a_table() -> None:
    text = "\n".join(reference.endpoints())
    for each in ("/jobs/{job_id}/results", "/qsession/watch", "/identity/token"):
        assert f"``{each}``" in text
    assert "``max_ttl``" in text


def test_every_variable_that_is_read_is_described() -> None:
    page = (PAGES / "settings.rst").read_text()
    code = [each.read_text() for each in (ROOT / "qsession_widget").rglob("*.py")]
    found = {next(filter(None, each)) for text in code for each in READ.findall(text)}
    assert {"QSESSION_HOME", "QISKIT_IBM_TOKEN", "IAM_URL"} <= found
    assert sorted(each for each in found - OTHERS if f"``{each}``" not in page) == []
