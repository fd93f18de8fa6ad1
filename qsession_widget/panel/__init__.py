"""Draws a session: as a Jupyter widget, as text, as static HTML, and in a terminal."""

from __future__ import annotations

from qsession_widget.panel.widget import SessionPanel, panel_of, watch

__all__ = ["SessionPanel", "panel_of", "watch"]
