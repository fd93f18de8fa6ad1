"""The page of the architecture names what there is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.rst"
PLACES = (ROOT, ROOT / "qsession_widget", ROOT / "qsession_widget" / "runtime")

NOT_YET = {"worker/estimator", "worker/sampler"}
"""Modules that the page names and that are about to come: to be emptied as they do."""


def _exists(name: str) -> bool:
    return any((place / f"{name}{end}").exists() for place in PLACES for end in ("", ".py"))


def test_modules_and_folders_of_the_page_exist() -> None:
    named = {
        each.rstrip("/") for each in re.findall(r"``([a-z_]+/[\w/.-]*)``", PAGE.read_text("utf-8"))
    }
    assert len(named) > 50
    assert {name for name in named if not _exists(name)} == NOT_YET
