"""The check of the built pages finds what it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs._ext import links

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """<a id="here" href="#here">a</a><a href="below/b.html#there">b</a>
<a href="https://quantum.cloud.ibm.com/docs">c</a><a href="below/data.json">d</a>
<script src="below/view.js"></script><a href="#idle" data-moment="idle">e</a>"""

BAD = """<a href="#nowhere">a</a><a href="../a.html#there">b</a><a href="gone.html">c</a>
<a href="htps://example.org">d</a><img src="https://example.org/x.png">
<script src="x.js"></script>"""


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (tmp_path / "a.html").write_text(GOOD)
    (below / "b.html").write_text(f'<p id="there"></p>{BAD}')
    for name in ("data.json", "view.js"):
        (below / name).write_text("{}")
    assert links.faults(tmp_path) == [
        f"below/b.html: {each}"
        for each in (
            "#nowhere",
            "../a.html#there",
            "gone.html",
            "htps://example.org",
            "https://example.org/x.png",
            "x.js",
        )
    ]
