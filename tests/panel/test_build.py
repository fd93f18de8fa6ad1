"""What every host needs of the view: one small file that fetches nothing."""

from __future__ import annotations

import re
from pathlib import Path

import qsession_widget

STATIC = Path(qsession_widget.__file__).parent / "panel" / "static"
LIMIT_BYTES = 75_000


def test_the_module_is_one_light_file() -> None:
    module = (STATIC / "widget.js").read_text()
    assert len(module.encode()) < LIMIT_BYTES
    # Hosts without a server for static files (VS Code, Colab) run it from its source, so it can
    # never import anything.
    assert re.findall(r"(?:^|[;}\s])import\s*[\"'{*(]", module) == []
    assert re.findall(r"\bfrom\s*[\"']", module) == []
    assert module.count("export{") == 1
    assert re.findall(r"\b(?:fetch|importScripts|XMLHttpRequest|WebSocket)\b", module) == []


def test_the_style_fetches_nothing() -> None:
    style = (STATIC / "widget.css").read_text()
    assert re.findall(r"@import|@font-face|url\(", style) == []
    assert sorted(path.name for path in STATIC.iterdir()) == [
        "LICENSE-preact.txt",
        "sbom.cdx.json",
        "widget.css",
        "widget.js",
    ]
