"""What the runtime logs about requests, and what it leaves out."""

from __future__ import annotations

import json
import re
import stat
from typing import TYPE_CHECKING, Any

import pytest
import requests

from qsession_widget.local import process
from qsession_widget.runtime.http.middleware import access_log
from tests.conftest import DEADLINE_SECONDS, eventually, running
from tests.runtime.http.test_connection_guard import dial
from tests.runtime.http.test_users import add, exchange
from tests.runtime.server import Server, reached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "kept-to-itself"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("logs"), "--log-format", "json") as folder:
        yield reached(folder)


def lines(server: Server) -> list[dict[str, Any]]:
    text = (server.folder / "runtime.log").read_text()
    whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    # The line for the person at the terminal.
    return [json.loads(line) for line in whole if not line.startswith("The local runtime")]


def line_of(server: Server, answer: requests.Response) -> dict[str, Any]:
    """Return the log line of a response; it is written after the response."""
    name = answer.headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", name)
    (found,) = eventually(
        lambda: [each for each in lines(server) if each.get("request_id") == name], "a line"
    )
    return dict(found)


def test_each_request_has_a_line_with_its_id(server: Server) -> None:
    line = line_of(server, server.get("/qsession"))
    assert (line["method"], line["path"], line["status"]) == ("GET", "/api/v1/qsession", 200)
    assert (line["owner"], line["level"]) == ("owner", "INFO")
    assert line["ms"] > 0
    assert line["time"].endswith("+00:00")
    assert line["request_id"] in line["message"]


def test_an_error_has_the_id_of_its_log_line(server: Server) -> None:
    ada = add(server, "ada")
    answer = ada.get("/jobs/nope")
    assert answer.json()["trace"] == answer.headers["X-Request-ID"]
    line = line_of(server, answer)
    assert (line["owner"], line["status"], line["path"]) == ("ada", 404, "/api/v1/jobs/nope")
    answer = requests.get(server.url + "/jobs", timeout=DEADLINE_SECONDS)
    assert answer.json()["trace"] == answer.headers["X-Request-ID"]
    line = line_of(server, answer)
    assert (line["owner"], line["status"]) == (None, 401)


def test_request_ids_are_unique(server: Server) -> None:
    names = {server.get("/qsession").headers["X-Request-ID"] for _ in range(20)}
    assert len(names) == 20


def test_nothing_secret_is_in_a_line(server: Server) -> None:
    eve = add(server, "eve")
    issued = exchange(eve).json()["access_token"]
    asked = [
        eve.get("/jobs", params={"token": SECRET, "tags": SECRET}),
        eve.get("/jobs", headers={"X-Secret": SECRET, "Cookie": SECRET}),
        server.get("/jobs", headers={"Authorization": f"Bearer {SECRET}"}),
        server.get("/jobs", headers={"Authorization": f"Bearer {issued}"}),
        server.send(tags=[SECRET], backend=SECRET),
    ]
    for answer in asked:
        line_of(server, answer)
    log = (server.folder / "runtime.log").read_text()
    for secret in (SECRET, server.token, eve.token, issued):
        assert secret not in log


def test_a_path_cannot_forge_a_log_line(server: Server) -> None:
    line = line_of(server, server.get("/jobs/%0a%0dFAKE%20INFO%1b[31m"))
    assert line["path"] == "/api/v1/jobs/%0A%0DFAKE%20INFO%1B%5B31m"


def test_a_line_as_text_has_the_same_fields(tmp_path: Path) -> None:
    with running(tmp_path) as folder:
        server = reached(folder)
        name = server.get("/qsession?x=y").headers["X-Request-ID"]
        log = folder / "runtime.log"
        pattern = rf"INFO .*: {name} owner GET /api/v1/qsession 200 \d+\.\d ms\n"
        eventually(lambda: re.search(pattern, log.read_text()), "its line")


def test_a_large_log_is_rotated(own_runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_LOG_BYTES", 100)
    log = own_runtime / "runtime.log"
    log.write_text("x" * 101)
    process.endpoint()
    assert (own_runtime / "runtime.log.1").read_text() == "x" * 101
    eventually(lambda: "serving at" in log.read_text(), "a new log")
    assert "xx" not in log.read_text()


def test_a_log_is_rotated_while_the_runtime_runs(tmp_path: Path) -> None:
    log = tmp_path / "runtime.log"
    with running(tmp_path, "--workers", "1") as folder:
        found = reached(folder)
        with log.open("ab") as file:
            file.write(b"x" * (access_log.LOG_BYTES + 1))
        found.get("/qsession")
        aside = eventually(
            lambda: (
                (each := tmp_path / "runtime.log.1").exists()
                and log.stat().st_size < access_log.LOG_BYTES
                and each
            ),
            "a log that was put aside",
        )
        assert aside.stat().st_size > access_log.LOG_BYTES
        assert stat.S_IMODE(aside.stat().st_mode) == 0o600
        # Logging continues at the start of the same file.
        name = found.get("/qsession").headers["X-Request-ID"]
        eventually(lambda: name in log.read_text(), "a line")
        assert "\0" not in log.read_text()


def test_a_client_that_hangs_up_is_logged_and_no_error(server: Server) -> None:
    before = server.json("/jobs")["count"]
    with dial(server) as line:
        head = f"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
        line.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
        eventually(lambda: server.get("/qsession").ok)
    (said,) = eventually(
        lambda: [each for each in lines(server) if each.get("status") == 499], "a line"
    )
    assert (said["method"], said["path"], said["level"]) == ("POST", "/api/v1/jobs", "INFO")
    why = [each for each in lines(server) if said["request_id"] in each["message"]]
    assert any("hung up" in each["message"] for each in why)
    assert not any(each["level"] in {"ERROR", "WARNING"} or "exception" in each for each in why)
    assert server.json("/jobs")["count"] == before
