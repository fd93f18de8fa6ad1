"""Writes `replay.html`: recorded sessions, drawn by the panel's own module, in one file.

`.. moments::` lists the moments of the recordings, each with a link into that page.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "docs" / "replay"
STATIC = ROOT / "qsession_widget" / "panel" / "static"
BUILT = ROOT / "js" / "build" / "replay"
NAME = "replay.html"


def recordings() -> list[dict[str, Any]]:
    """Return the recorded sessions, as `docs/replay/record.py` has written them."""
    found: list[dict[str, Any]] = json.loads(_text(SOURCES / "recordings.json"))
    return found


def page() -> str:
    """Return the page as HTML, which needs no other file.

    Raises:
        ValueError: a script contains a text that would end its element.
    """
    scripts = {"@WIDGET@": _text(STATIC / "widget.js"), "@PAGE@": _text(BUILT / "replay.js")}
    for name, script in scripts.items():
        if "</script" in script.lower() or "<!--" in script:
            raise ValueError(f"{name} contains a text that ends or hides a script in HTML")
    found = _text(SOURCES / "page.html")
    parts = {
        "@WIDGET_CSS@": _text(STATIC / "widget.css"),
        "@PAGE_CSS@": _text(BUILT / "replay.css"),
        "@MOMENTS@": _moments(),
        "@RECORDINGS@": json.dumps(recordings(), separators=(",", ":")).replace("<", "\\u003c"),
        **scripts,
    }
    for name, text in parts.items():
        before, _, after = found.partition(name)
        found = before + text + after
    return found


def _moments() -> str:
    lists = (
        f"<h3>{escape(each['title'])}</h3><ol>"
        + "".join(
            f'<li><a href="#{moment["id"]}" data-moment="{moment["id"]}">'
            f"{escape(moment['title'])}</a></li>"
            for moment in each["moments"]
        )
        + "</ol>"
        for each in recordings()
    )
    return "".join(lists)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


class Moments(SphinxDirective):
    """Lists the moments of the recordings, each with a link."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        rows = "".join(
            f'<li><a href="{NAME}#{moment["id"]}">{escape(moment["title"])}</a>: '
            f"{escape(moment['text'])}</li>"
            for each in recordings()
            for moment in each["moments"]
        )
        return [nodes.raw("", f"<ol>{rows}</ol>", format="html")]


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        (Path(app.outdir) / NAME).write_text(page(), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive, and the page."""
    app.add_directive("moments", Moments)
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
