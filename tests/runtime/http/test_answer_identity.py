from __future__ import annotations

from typing import TYPE_CHECKING

from tests.runtime.server import COIN

if TYPE_CHECKING:
    from tests.runtime.server import Server


def test_a_get_is_labelled_with_its_path_and_a_post_with_its_key(server: Server) -> None:
    session_id = server.open()
    answer = server.get(f"/sessions/{session_id}")
    assert answer.headers["Content-Location"] == f"/sessions/{session_id}"
    posted = server.ask("POST", "/jobs", json=COIN, headers={"Idempotency-Key": "key-1"})
    assert posted.headers["Idempotency-Key"] == "key-1"
    assert "Content-Location" not in posted.headers
    assert "Content-Location" not in server.get("/sessions/nothing").headers
