"""Requests without the right token."""

from __future__ import annotations

import pytest
import requests

from tests.conftest import DEADLINE_SECONDS
from tests.runtime.server import Server, problem


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic {token}"},
        {"Authorization": "{token}"},
        {"Authorization": "Bearer {token}x"},
        {"Authorization": "Bearer \xe4\xff"},
    ],
)
@pytest.mark.parametrize("path", ["/backends", "/jobs", "/qsession", "/nowhere"])
def test_without_the_right_token_nothing_is_revealed(
    server: Server, headers: dict[str, str], path: str
) -> None:
    given = {
        name: text.format(token=server.token).encode("latin-1") for name, text in headers.items()
    }
    answer = requests.get(server.url + path, headers=given, timeout=DEADLINE_SECONDS)
    assert "token" in problem(answer, 401)
    assert server.token not in answer.text


def test_the_token_is_in_no_log(server: Server) -> None:
    server.get("/nowhere")
    requests.get(server.url + "/jobs", headers={"Authorization": "Bearer no"}, timeout=9)
    log = (server.folder / "runtime.log").read_text()
    assert "serving at" in log
    assert server.token not in log
