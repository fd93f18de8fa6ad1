"""POST /qsession/beats: programs report that they live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget.local.admin import Administration
from tests.runtime.server import problem

if TYPE_CHECKING:
    from tests.runtime.server import Server

PROCESS = "5d1cb2d6-8e4b-4b42-9f6b-5f2c6a1b3c4d/4026531836:1:1"


def test_it_counts_the_open_sessions_that_the_program_uses(server: Server) -> None:
    def beat(**headers: str) -> Any:
        answer = server.ask("POST", "/qsession/beats", json={"process": PROCESS}, headers=headers)
        assert answer.status_code == 200
        return answer.json()

    assert beat() == {"every_seconds": 10.0, "sessions": 0}
    session = server.open(qsession={"process": PROCESS})
    assert beat() == {"every_seconds": 10.0, "sessions": 1}
    token = Administration(folder=server.folder).add_user("bea")
    assert beat(Authorization=f"Bearer {token}")["sessions"] == 0
    server.ask("DELETE", f"/sessions/{session}/close")
    assert beat()["sessions"] == 0


@pytest.mark.parametrize("body", [{}, {"process": ""}, {"process": "me"}, {"process": 7}])
def test_a_program_without_a_name_is_refused(server: Server, body: dict[str, Any]) -> None:
    assert "process" in problem(server.ask("POST", "/qsession/beats", json=body), 400)
