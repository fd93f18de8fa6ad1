"""Wrong requests get an error that says what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget.runtime import bounds

if TYPE_CHECKING:
    from collections.abc import Iterator

from tests.runtime.server import Server, problem

BODY_LIMIT = 64 * 2**20


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff\xfe\x00",
        b'{"a": NaN}',
        b'{"tags": ["\\ud800"]}',
        b'{"program_id": "\\uDfff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
    ids=repr,
)
@pytest.mark.parametrize("path", ["/jobs", "/sessions"])
def test_bodies_that_are_not_a_json_object(server: Server, body: bytes, path: str) -> None:
    too_large = path == "/sessions" and len(body) > bounds.SMALL_BODY_BYTES
    problem(server.ask("POST", path, data=body), 413 if too_large else 400)


@pytest.mark.parametrize("params", ['{"a": 1e999}', '{"a":' * 900 + "1" + "}" * 900])
def test_odd_params_are_taken_or_refused_but_never_a_fault(server: Server, params: str) -> None:
    text = '{"program_id": "sampler", "backend": "fake_manila", "params": ' + params + "}"
    answer = server.ask("POST", "/jobs", data=text)
    assert answer.status_code in {200, 400}, answer.text
    if answer.status_code == 200:
        job_id = answer.json()["id"]
        assert server.ended(job_id)["state"]["status"] == "Failed"
        assert server.get(f"/jobs/{job_id}").status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tags", ["a", "b\0"]),
        ("backend", "fake\0"),
        ("session_id", "\0"),
        ("runtime", "a:\0"),
    ],
)
def test_text_with_a_nul_character_is_refused(server: Server, field: str, value: Any) -> None:
    said = problem(server.send(**{field: value}), 400)
    assert "NUL character" in said
    assert "\\x00" in said


def test_nothing_has_an_id_with_a_nul_character(server: Server) -> None:
    for path in ("/jobs/a%00b", "/jobs/a%00b/results", "/sessions/a%00b", "/workloads/a%00b"):
        problem(server.get(path), 404)


def test_an_oversized_body_is_refused_with_the_limit(server: Server) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(BODY_LIMIT // 2**20 + 1):
            yield b" " * 2**20

    assert str(BODY_LIMIT) in problem(server.ask("POST", "/jobs", data=chunks()), 413)
    assert server.get("/qsession").status_code == 200


def test_unknown_resources_are_404_in_the_same_form(server: Server) -> None:
    for method, path in (
        ("GET", "/jobs/nope"),
        ("DELETE", "/jobs/nope"),
        ("POST", "/jobs/nope/cancel"),
        ("GET", "/jobs/nope/results"),
        ("GET", "/jobs/nope/logs"),
        ("GET", "/jobs/nope/metrics"),
        ("GET", "/qsession/jobs/nope/interim"),
        ("GET", "/sessions/nope"),
        ("DELETE", "/sessions/nope/close"),
        ("POST", "/qsession/sessions/nope/cancel_queued"),
        ("GET", "/qsession/watch?session_id=nope"),
        ("GET", "/sessions/%00%ff%F0%9F%92%A9"),
        ("GET", "/nowhere"),
    ):
        problem(server.ask(method, path), 404)
    body = {"accepting_jobs": False}
    assert "nope" in problem(server.ask("PATCH", "/sessions/nope", json=body), 404)
    assert "nope" in problem(server.send(session_id="nope"), 404)
    problem(server.ask("PUT", "/backends"), 405)


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=x",
        "offset=-5",
        "created_after=yesterday",
        "created_before=2026-13-01",
        "offset=1e3",
    ],
)
def test_unreadable_queries(server: Server, query: str) -> None:
    problem(server.get(f"/jobs?{query}"), 400)


@pytest.mark.parametrize(
    "query",
    [
        f"offset={10**30}",
        f"limit={10**30}",
        "limit=0",
        "created_after=0001-01-01T00:00:00%2B23:59",
        "created_before=9999-12-31T23:59:59-23:59",
        "tags=%ff&tags=%01",
    ],
)
def test_odd_queries_are_answered(server: Server, query: str) -> None:
    assert server.get(f"/jobs?{query}").status_code == 200


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sort=SIDEWAYS", "sort is 'SIDEWAYS'"),
        ("sort=", "sort is ''"),
        ("tags=a%00b", "tags has a NUL character: 'a\\x00b'"),
        ("backend=%00", "backend has a NUL character"),
        ("pending=perhaps", "pending is 'perhaps'"),
        ("include_mocks=2", "include_mocks is '2'"),
    ],
)
def test_invalid_queries_are_refused(server: Server, query: str, said: str) -> None:
    answer = server.get(f"/jobs?{query}")
    assert answer.status_code == 400
    assert said in answer.json()["errors"][0]["message"]
