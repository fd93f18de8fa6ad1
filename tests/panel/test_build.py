"""What every host needs of the view: one small file that fetches nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import qsession_widget

STATIC = Path(qsession_widget.__file__).parent / "panel" / "static"
LIMIT_BYTES = 75_000


@pytest.mark.parametrize(("name", "limit"), [("widget.js", LIMIT_BYTES), ("card.js", 2_500)])
def test_the_module_is_one_light_file(name: str, limit: int) -> None:
    module = (STATIC / name).read_text()
    assert len(module.encode()) < limit
    # Hosts without a server for static files (VS Code, Colab) run it from its source, so it can
    # never import anything.
    assert re.findall(r"(?:^|[;}\s])import\s*[\"'{*(]", module) == []
    assert re.findall(r"\bfrom\s*[\"']", module) == []
    assert module.count("export{") == 1
    assert re.findall(r"\b(?:fetch|importScripts|XMLHttpRequest|WebSocket)\b", module) == []


def test_the_style_fetches_nothing() -> None:
    style = "".join((STATIC / name).read_text() for name in ("widget.css", "card.css"))
    assert re.findall(r"@import|@font-face|url\(", style) == []
    assert sorted(path.name for path in STATIC.iterdir()) == [
        "LICENSE-preact.txt",
        "card.css",
        "card.js",
        "sbom.cdx.json",
        "widget.css",
        "widget.js",
    ]
