"""How a session is displayed."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from qsession_widget.client import display


def test_panels_are_imported_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    panel: Any = ModuleType(display.PANELS)
    panel.panel_of = lambda session: ("panel of", session)
    terminal: Any = ModuleType(display.TERMINAL)
    terminal.live = lambda session: ("live", session)
    monkeypatch.setitem(sys.modules, display.PANELS, panel)
    monkeypatch.setitem(sys.modules, display.TERMINAL, terminal)
    assert display.panel_of("s") == ("panel of", "s")
    live: object = display.live("s")
    assert live == ("live", "s")


def test_without_the_widget_libraries_there_is_no_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, display.PANELS, None)
    with pytest.raises(ImportError):
        display.panel_of("s")
