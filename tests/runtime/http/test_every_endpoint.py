"""Each described endpoint with refused, repeated and unknown requests, and with many jobs."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import requests

from qsession_widget.runtime import bounds
from qsession_widget.runtime.http import openapi
from qsession_widget.transport.auth import BearerAuth
from qsession_widget.transport.http import Endpoint, Transport
from qsession_widget.transport.rest import RuntimeApi
from tests.conftest import DEADLINE_SECONDS, eventually, running
from tests.runtime.many_jobs import SESSION, fill
from tests.runtime.server import COIN, Server, reached

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROWS = int(os.environ.get("QSESSION_ROWS", "20000"))
"""Jobs in the store of these tests; `make soak` uses 100,000."""

LARGEST_ANSWER = 400_000
"""Bytes that one turn of the event loop may write; a page of jobs is a third of it."""
TABLES = ("jobs", "sessions", "payloads", "results", "users")


class Route(NamedTuple):
    method: str
    path: str
    described: dict[str, Any]

    def filled(self, job_id: str = f"{1:020x}", session_id: str = SESSION) -> str:
        names = {"job_id": job_id, "session_id": session_id, "name": "fake_manila", "crn": "x"}
        return self.path.format(**names)


BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/sessions/{session_id}"): {"accepting_jobs": False},
    ("PUT", "/jobs/{job_id}/tags"): {"tags": ["other"]},
    ("POST", "/sessions"): {"backend": "fake_manila"},
    ("POST", "/jobs"): {**COIN, "backend": "aer_simulator"},
    ("POST", "/v3/resources/search"): {},
    ("POST", "/qsession/gc"): {"max_store_bytes": 10**12},
    ("POST", "/qsession/clock"): {"advance_seconds": 1},
    ("POST", "/qsession/users"): {"name": "ada"},
}
QUERIES: dict[tuple[str, str], dict[str, Any]] = {
    ("GET", "/qsession/watch"): {"session_id": SESSION},
    ("GET", "/jobs"): {"limit": 10**6, "tags": "tag7"},
    ("GET", "/workloads"): {"limit": 10**6, "search": "tag"},
    ("GET", "/tags"): {"search": "tag"},
}
ENDS = ("POST", "/qsession/shutdown")


@pytest.fixture(scope="module")
async def server(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Server]:
    assert anyio_backend
    folder = tmp_path_factory.mktemp("every")
    await fill(folder, ROWS)
    # Nothing changes by itself: a session stays open, and a job takes an hour.
    with running(folder, "--workers", "1", "--min-job-seconds", "3600") as home:
        found = reached(home)
        # From now on the status of the workers is stable.
        eventually(lambda: {each["state"] for each in workers(found)} == {"idle"}, "a worker")
        yield found


def workers(server: Server) -> list[dict[str, Any]]:
    return list(server.json("/qsession/status")["workers"])


@pytest.fixture(scope="module")
def routes(server: Server) -> list[Route]:
    described = server.json(openapi.PATH)["paths"]
    return [
        Route(method.upper(), path, each)
        for path, methods in sorted(described.items())
        for method, each in methods.items()
        if (method.upper(), path) != ENDS
    ]


def kept(server: Server) -> dict[str, Any]:
    """Return the store's rows, and what the runtime reports of its present state."""
    with closing(sqlite3.connect(server.folder / "runtime.db")) as connection:
        found: dict[str, Any] = {
            name: connection.execute(f"select * from {name} order by 1").fetchall()  # noqa: S608 - ours
            for name in TABLES
        }
    said = server.json("/qsession/status")
    return found | {name: said[name] for name in ("devices", "session_count", "workers")}


def rows(server: Server) -> dict[str, tuple[int, int | None]]:
    """Return the number of rows of each table, and the last row id."""
    with closing(sqlite3.connect(server.folder / "runtime.db")) as connection:
        return {
            name: connection.execute(f"select count(*), max(rowid) from {name}").fetchone()  # noqa: S608 - ours
            for name in TABLES
        }


@contextmanager
def probed(server: Server) -> Iterator[list[float]]:
    """Send small requests all the while, and record each response time in milliseconds."""
    took: list[float] = []
    done = threading.Event()
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {server.token}"

    def ask() -> None:
        while not done.is_set():
            began = time.perf_counter()
            session.get(f"{server.url}/sessions/{SESSION}", timeout=DEADLINE_SECONDS)
            took.append((time.perf_counter() - began) * 1000)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        done.set()
        thread.join()


def lists(value: Any) -> Iterator[int]:
    """Yield the lengths of all lists of objects in JSON."""
    if isinstance(value, dict):
        for each in value.values():
            yield from lists(each)
    elif isinstance(value, list):
        if value and isinstance(value[0], dict):
            yield len(value)
        for each in value:
            yield from lists(each)


def test_no_response_grows_with_the_store(server: Server, routes: list[Route]) -> None:
    """The bytes of a response measure one turn of the loop; times are printed, not asserted."""
    for route in routes:
        if route.method != "GET":
            continue
        query = QUERIES.get((route.method, route.path))
        with probed(server) as took:
            began = time.perf_counter()
            answer = server.ask(route.method, route.filled(), params=query)
            seconds = time.perf_counter() - began
        print(  # noqa: T201 - figures for `pytest -s`
            f"{route.method} {route.path}: {answer.status_code}, {len(answer.content)} bytes, "
            f"{seconds * 1000:.1f} ms; a probe beside it {max(took, default=0):.1f} ms"
        )
        assert answer.status_code < 500, (route.path, answer.text[:500])
        of_a_device = route.path.startswith("/backends")
        assert len(answer.content) < LARGEST_ANSWER or of_a_device, route.path
        if answer.headers.get("content-type") == "application/json" and not of_a_device:
            longest = max(lists(answer.json()), default=0)
            assert longest <= bounds.PAGE or route.path == openapi.PATH, (route.path, longest)


def test_a_watch_is_complete_and_ordered_over_its_pages(server: Server) -> None:
    api = RuntimeApi(Transport(Endpoint(server.url, BearerAuth(server.token))))
    found = api.watch(SESSION)
    assert found is not None
    assert [each.document.id for each in found.jobs] == [
        f"{number:020x}" for number in (0, *range(1, ROWS, 2))
    ]
    one = server.json("/qsession/watch", session_id=SESSION)
    assert (len(one["jobs"]), one["more"]) == (bounds.PAGE, True)
    assert api.watch(SESSION, since=found.revision) is None


def test_refused_requests_change_nothing(server: Server, routes: list[Route]) -> None:
    before = kept(server)
    asked = 0
    for route in routes:
        for path, more in refusals(route):
            answer = server.ask(route.method, path, **more)
            asked += 1
            said = answer.text[:300]
            where = (route.method, path[:200], str(more)[:200], answer.status_code, said)
            assert 400 <= answer.status_code < 500, where
            assert len(answer.content) < 2_000, where
    assert asked > 60
    assert kept(server) == before


def refusals(route: Route) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield requests that an endpoint must refuse: for unknown resources, or invalid."""
    body = BODIES.get((route.method, route.path))
    if route.path == "/identity/token":
        return
    if "{" in route.path:
        nowhere = route.path.format(job_id="no", session_id="no", name="no", crn="no")
        yield nowhere, {"json": body}
    if "requestBody" in route.described:
        # Only jobs may be large: 64 MB.
        size = 70_000_000 if route.path == "/jobs" else 1_000_000
        for text in ("{", "[]", json.dumps({"x": "y" * size})):
            yield route.filled(), {"data": text}
    for name, schema in described_fields(route):
        for wrong in wrong_values(schema):
            yield route.filled(), {"json": {**(body or {}), name: wrong}}
    for each in route.described.get("parameters", ()):
        name = each["name"]
        wrongs = [] if each["in"] == "path" else wrong_texts(each["schema"])
        for wrong in wrongs:
            if each["in"] == "query":
                yield route.filled(), {"params": {"session_id": SESSION, name: wrong}}
            else:
                yield route.filled(), {"json": body, "headers": {name: wrong}}


def described_fields(route: Route) -> Iterator[tuple[str, dict[str, Any]]]:
    content = route.described.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    yield from schema.get("properties", {}).items()


def wrong_values(schema: dict[str, Any]) -> list[Any]:
    """Return invalid values for a field of a body: of other types, and out of bounds."""
    kind = schema.get("type")
    if kind == "string":
        long = "x" * (schema["maxLength"] + 1) if "maxLength" in schema else None
        return [3, ["a"], *([long] if long else [])]
    if kind == "array":
        most, longest = schema["maxItems"], schema["items"]["maxLength"]
        return [
            "abc",
            [3],
            {"a": 1},
            [str(each) for each in range(most + 1)],
            ["x" * (longest + 1)],
        ]
    if kind in {"integer", "number"}:
        return ["3", [3], -1, True]
    return []


def wrong_texts(schema: dict[str, Any]) -> list[Any]:
    """Return invalid texts for a parameter of a query."""
    if "maxLength" in schema:
        return ["x" * (schema["maxLength"] + 1)]
    if schema.get("type") == "array":
        each = schema["items"]
        found: list[Any] = [[f"v{number}" for number in range(schema["maxItems"] + 1)]]
        return [*found, *wrong_texts(each)]
    if schema.get("type") == "integer" or "enum" in schema or schema.get("format"):
        return ["-x", "9" * 5_000]
    return []


def test_without_a_token_nothing_changes(server: Server, routes: list[Route]) -> None:
    before = kept(server)
    for route in routes:
        if route.described.get("security") == []:
            continue
        body = BODIES.get((route.method, route.path))
        for headers in (
            {},
            {"Authorization": "Bearer x"},
            {"Authorization": f"Basic {server.token}"},
        ):
            answer = requests.request(
                route.method,
                server.url + route.filled(),
                json=body,
                headers=headers,
                timeout=DEADLINE_SECONDS,
            )
            assert answer.status_code == 401, (route.method, route.path)
    assert kept(server) == before


def test_repeated_requests_are_done_once(server: Server, routes: list[Route]) -> None:
    for route in routes:
        if (route.method, route.path) == ("POST", "/identity/token"):
            continue
        body = BODIES.get((route.method, route.path))
        more = {"json": body, "headers": {"Idempotency-Key": f"once {route.method} {route.path}"}}
        job_id = f"{ROWS - 1:020x}" if route.method == "DELETE" else f"{1:020x}"
        first = server.ask(route.method, route.filled(job_id=job_id), **more)
        before = rows(server)
        second = server.ask(route.method, route.filled(job_id=job_id), **more)
        where = (route.method, route.path, first.status_code, second.status_code, second.text[:200])
        assert first.status_code < 500, where
        assert second.status_code == first.status_code or second.status_code in {404, 409}, where
        assert rows(server) == before, where
