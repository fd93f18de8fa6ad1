"""Large jobs and results are sent as stored, and the server holds few of them at a time."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest

from qsession_widget.runtime.http.responses import LongAnswer
from qsession_widget.runtime.pieces import PIECE_BYTES, cut
from tests.conftest import DEADLINE_SECONDS, eventually, running
from tests.runtime.http.test_users import add
from tests.runtime.server import Server, reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

BODY = 8 * 2**20
ROUNDS = int(os.environ.get("QSESSION_HOSTILE_ROUNDS", "1"))
"""Rounds of hostile requests; `make soak` sends more."""

AT_A_TIME = 12
"""Simultaneous requests of one user."""

TEXTS = {
    "ASCII": '{"a": "\\n"}' * (PIECE_BYTES // 4),
    "others": '{"ä": "\\"\\u1234😀"}\n' * (PIECE_BYTES // 8),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = ("--workers", "1", "--max-body-bytes", str(BODY), "--max-job-memory-bytes", str(BODY))
    with running(tmp_path_factory.mktemp("large"), *flags) as folder:
        yield reached(folder)


def with_texts(server: Server, result: str, params: str) -> str:
    """Return the id of a final job whose payload and result are replaced by these texts."""
    job_id = server.submit()
    # From now on it is read from the store.
    answer = server.get(f"/qsession/jobs/{job_id}/outcome", headers={"Prefer": "wait=50"})
    assert answer.json()["job"]["status"] == "Completed"
    with closing(sqlite3.connect(server.folder / "runtime.db")) as connection, connection:
        connection.execute("update results set body = ? where job_id = ?", (result, job_id))
        connection.execute("update payloads set params = ? where job_id = ?", (params, job_id))
    return job_id


@pytest.mark.parametrize("name", TEXTS)
def test_a_large_text_is_sent_as_stored(name: str, server: Server) -> None:
    text = TEXTS[name]
    params = json.dumps({"x": text}, ensure_ascii=name == "ASCII")
    job_id = with_texts(server, text, params)
    result = server.get(f"/jobs/{job_id}/results")
    assert result.content.decode() == text
    assert result.headers["content-type"] == "text/plain; charset=utf-8"
    outcome = server.json(f"/qsession/jobs/{job_id}/outcome")
    assert outcome["result"] == text
    assert outcome["job"]["id"] == job_id
    whole = server.json(f"/jobs/{job_id}")
    assert whole["params"] == {"x": text}
    assert whole["id"] == job_id


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_slot_is_released_however_the_sending_ends(*, breaks: bool) -> None:
    sent: list[dict[str, Any]] = []
    freed: list[None] = []

    async def send(message: Any) -> None:
        if breaks and len(sent) == 2:
            raise OSError("gone")
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    answer = LongAnswer(cut(TEXTS["others"].encode()), lambda: freed.append(None), escaped=True)
    if breaks:
        with pytest.raises(OSError, match="gone"):
            await answer({"type": "http"}, receive, send)
    else:
        await answer({"type": "http"}, receive, send)
        parts = [each["body"] for each in sent[1:]]
        assert json.loads(b'"' + b"".join(parts) + b'"') == TEXTS["others"]
        assert max(map(len, parts)) <= 12 * PIECE_BYTES
    assert freed == [None]


def hostile_bodies(size: int = BODY) -> list[bytes]:
    """Return jobs of the largest allowed size, and jobs that grow many times when they are read."""
    start = b'{"program_id": "sampler", "backend": "fake_manila", "params": '
    room = size - 200
    return [
        start + b'{"pubs": [["%s", null, 10]]}}' % (b"x" * room),
        start + b'{"pubs": [%s0]}}' % (b"[]," * (room // 3)),
        start + b'{"circuits": [%s0]}}' % (b"0," * (room // 2)),
        start + b'{"pubs": [["%s", null, 10]]}}' % ("ä" * (room // 2)).encode(),
        start + b"{}%s}" % b"".join(b',"%07d":0' % each for each in range(room // 13)),
        b"[" * room,
    ]


def peak_bytes(server: Server) -> int:
    status = Path(f"/proc/{server.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak")
def test_the_server_holds_few_large_things_of_one_user_at_a_time(server: Server) -> None:
    """A dozen requests and a dozen responses of the largest size at once, from one user."""
    ada = replace(add(server, "ada"), pid=server.pid)
    text = "x" * BODY
    job_id = with_texts(ada, text, json.dumps({"x": text}))
    own = psutil.Process(server.pid)
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    before = own.memory_info().rss

    def send(body: bytes) -> requests.Response:
        return ada.ask("POST", "/jobs", data=body)

    for _ in range(ROUNDS):
        with ThreadPoolExecutor(AT_A_TIME) as threads, ExitStack() as held:
            for place in ("results", ""):
                for _ in range(AT_A_TIME):
                    held.enter_context(closing(unread(ada, f"/jobs/{job_id}/{place}".rstrip("/"))))
            answers = list(threads.map(send, hostile_bodies() * (AT_A_TIME // 6)))
        assert {answer.status_code for answer in answers} == {200, 400}
    # Two bodies and their texts, two responses, and what the store's threads hold: 13 times the
    # body was measured, and 50 times without a limit.
    assert peak_bytes(server) - before < 20 * BODY
    for job in ada.json("/jobs", limit=200)["jobs"]:
        ada.ended(job["id"])
    eventually(lambda: own.memory_info().rss < before + 8 * BODY, "memory that is given back")


def unread(server: Server, path: str) -> socket.socket:
    """Send a request, and read nothing of the response."""
    parts = urlsplit(server.url)
    connection = socket.create_connection((parts.hostname, parts.port), DEADLINE_SECONDS)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    head = f"GET {parts.path}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
    connection.sendall(f"{head}\r\n".encode())
    return connection
