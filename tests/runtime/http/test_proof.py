from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from qsession_widget.wire import proof
from tests.conftest import DEADLINE_SECONDS

if TYPE_CHECKING:
    from tests.runtime.server import Server


def test_the_answer_to_a_challenge_proves_the_token_of_this_port(server: Server) -> None:
    challenge = proof.challenge()
    answer = requests.get(
        server.url + proof.PATH, params={proof.CHALLENGE: challenge}, timeout=DEADLINE_SECONDS
    )
    port = urlsplit(server.url).port or 0
    given = answer.headers[proof.HEADER]
    assert answer.status_code == 204
    assert proof.is_right(server.token, challenge, port, given)
    assert not proof.is_right(server.token, challenge, port + 1, given)


def test_invalid_challenges_are_refused(server: Server) -> None:
    query = {proof.CHALLENGE: "short"}
    answer = requests.get(server.url + proof.PATH, params=query, timeout=DEADLINE_SECONDS)
    assert answer.status_code == 400
