from __future__ import annotations

from typing import TYPE_CHECKING

from qsession_widget.runtime.http.routes.runtime import FEATURES

if TYPE_CHECKING:
    from tests.runtime.server import Server


def test_the_runtime_lists_its_features(server: Server) -> None:
    found = server.json("/qsession")
    assert found["name"] == "qsession-widget"
    assert found["features"] == FEATURES == sorted(FEATURES)
    assert found["sessions"] >= 0
