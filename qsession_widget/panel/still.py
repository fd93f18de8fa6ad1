"""A snapshot to keep: HTML and text that need no kernel and no script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qsession_widget.panel.html import as_html
from qsession_widget.panel.text import as_text

if TYPE_CHECKING:
    from qsession_widget.monitoring.snapshot import Snapshot


class Still:
    """The return value of `panel.snapshot()`. At the end of a cell it stays in the notebook.

    Attributes:
        html: as HTML without scripts and style sheets.
        text: as a few lines.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.html = as_html(snapshot)
        self.text = as_text(snapshot)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html
