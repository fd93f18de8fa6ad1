"""Two users on one runtime: no route gives one access to the other's resources."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
import pytest
import requests

from qsession_widget.runtime.http import openapi
from qsession_widget.runtime.http.routes.ibm_cloud import GRANT_TYPE
from tests.conftest import DEADLINE_SECONDS, eventually, running
from tests.runtime.server import COIN, Server, problem, reached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TAG = "of-ada-alone"


class Two(NamedTuple):
    """A runtime as its administrator, Ada and Eve see it, and Ada's resources."""

    admin: Server
    ada: Server
    eve: Server
    jobs: list[str]
    session: str


def add(admin: Server, name: str) -> Server:
    answer = admin.ask("POST", "/qsession/users", json={"name": name})
    assert answer.status_code == 200, answer.text
    return replace(admin, token=answer.json()["token"])


def again(server: Server, folder: Path) -> Server:
    """Find a folder's runtime after its restart, for a user whose token is unchanged."""
    return replace(reached(folder), token=server.token)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("owners")
    with running(folder, "--workers", "2"):
        admin = reached(folder)
        ada, eve = add(admin, "ada"), add(admin, "eve")
        jobs = [ada.submit(tags=[TAG]), ada.submit(tags=[TAG], private=True)]
        for job_id in jobs:
            assert ada.ended(job_id)["status"] == "Completed"
    with running(folder, "--workers", "2", "--min-job-seconds", "3600"):
        ada, eve = again(ada, folder), again(eve, folder)
        session = ada.open()
        jobs += [ada.submit(session_id=session, tags=[TAG]) for _ in range(2)]
        # From now on nothing changes by itself.
        eventually(
            lambda: ada.job(jobs[2])["qsession"]["sub_status"] == "on_device", "a job on its device"
        )
        yield Two(reached(folder), ada, eve, jobs, session)


def kept(two: Two) -> dict[str, list[Any]]:
    """Return all rows of Ada's resources."""
    of_a_job = (
        "select each.* from {} each, jobs where each.job_id = id and owner = 'ada' order by 1"
    )
    queries = {
        "jobs": "select * from jobs where owner = 'ada' order by id",
        "sessions": "select * from sessions where owner = 'ada' order by id",
        "payloads": of_a_job.format("payloads"),
        "results": of_a_job.format("results"),
        "users": "select * from users where name = 'ada'",
    }
    with closing(sqlite3.connect(two.admin.folder / "runtime.db")) as connection:
        found = {name: connection.execute(query).fetchall() for name, query in queries.items()}
    # The params of a private job are deleted when it ends.
    assert [len(each) for each in found.values()] == [4, 1, 3, 2, 1]
    return found


BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/sessions/{session_id}"): {"accepting_jobs": False},
    ("PUT", "/jobs/{job_id}/tags"): {"tags": ["of-eve"]},
    ("POST", "/sessions"): {"backend": "fake_manila"},
    ("POST", "/jobs"): {**COIN, "backend": "aer_simulator"},
    ("POST", "/v3/resources/search"): {},
}
FOR_THE_ADMINISTRATOR = {
    ("GET", "/qsession/users"),
    ("POST", "/qsession/users"),
    ("DELETE", "/qsession/users/{name}"),
    ("POST", "/qsession/clock"),
    ("POST", "/qsession/gc"),
    ("POST", "/qsession/shutdown"),
}


def routes(server: Server) -> list[tuple[str, str]]:
    """Return all routes: the runtime refuses to start with one that is not described."""
    described = server.json(openapi.PATH)["paths"]
    return [
        (method.upper(), path) for path, methods in sorted(described.items()) for method in methods
    ]


def test_other_users_resources_return_404(two: Two) -> None:
    before = kept(two)
    asked = 0
    for method, path in routes(two.eve):
        body = BODIES.get((method, path))
        for job_id in two.jobs:
            filled = path.format(
                job_id=job_id, session_id=two.session, name="ada", crn="x", **{"crn:path": "x"}
            )
            # A route may also take an id from its query, or match a key that Ada has used.
            answer = two.eve.ask(
                method,
                filled,
                params={"session_id": two.session, "job_id": job_id, "user": "ada", "search": TAG},
                json=body,
                headers={"Prefer": "wait=0"},
            )
            asked += 1
            where = (method, filled, answer.status_code, answer.text[:200])
            if (method, path) in FOR_THE_ADMINISTRATOR:
                assert answer.status_code == 403, where
            elif "{job_id}" in path or "{session_id}" in path or path == "/qsession/watch":
                assert answer.status_code == 404, where
            elif answer.status_code == 200:
                for secret in (*two.jobs, two.session, TAG, "ada"):
                    assert f'"{secret}"' not in answer.text, where
    assert asked > 4 * 30
    assert kept(two) == before


def test_another_users_session_in_a_body_returns_404(two: Two) -> None:
    before = kept(two)
    problem(two.eve.send(session_id=two.session), 404)
    assert kept(two) == before


def test_lists_and_figures_only_cover_the_users_own_jobs(two: Two) -> None:
    job_id = two.eve.submit(backend="aer_simulator")
    mine = {job["id"] for job in two.eve.json("/jobs", limit=200)["jobs"]}
    assert job_id in mine
    assert not mine & set(two.jobs)
    assert two.eve.json("/jobs", session_id=two.session)["count"] == 0
    assert two.eve.json("/jobs", tags=TAG)["count"] == 0
    assert two.eve.json("/workloads", search=TAG)["total_count"] == 0
    assert two.ada.json("/jobs", tags=TAG)["count"] == 4
    assert two.ada.json("/qsession")["sessions"] == 1
    owners = {workload["user_id"] for workload in two.ada.json("/workloads")["workloads"]}
    assert owners == {"ada"}
    problem(two.admin.get(f"/jobs/{two.jobs[0]}"), 404)


def test_a_queue_position_counts_other_users_without_naming_them(two: Two) -> None:
    job_id = two.eve.submit()
    job = two.eve.job(job_id)
    # Ada's session reserves the device; its second job starts before Eve's.
    assert job["qsession"]["queue_position"] == 2
    assert two.eve.json(f"/jobs/{job_id}/metrics")["position_in_queue"] == 2
    assert two.eve.json("/qsession")["queues"]["fake_manila"] == 3
    two.eve.ask("DELETE", f"/jobs/{job_id}")


def test_idempotency_keys_are_separate_for_each_user(two: Two) -> None:
    key = {"Idempotency-Key": "the same"}
    body = {**COIN, "backend": "aer_simulator"}
    of_ada, of_eve = (
        each.ask("POST", "/jobs", json=body, headers=key).json()["id"]
        for each in (two.ada, two.eve)
    )
    assert of_ada != of_eve
    two.ada.ask("DELETE", f"/jobs/{of_ada}")
    problem(two.ada.get(f"/jobs/{of_eve}"), 404)


def test_a_users_key_is_exchanged_for_the_users_token(two: Two) -> None:
    issued = bought(two.eve)
    eve = replace(two.eve, token=issued)
    problem(eve.get(f"/jobs/{two.jobs[0]}"), 404)
    problem(eve.ask("POST", "/qsession/shutdown"), 403)
    assert replace(two.ada, token=bought(two.ada)).status(two.jobs[0]) == "Completed"


def bought(server: Server) -> str:
    answer = exchange(server)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def exchange(server: Server) -> requests.Response:
    root = server.url.removesuffix("/api/v1")
    form = {"grant_type": GRANT_TYPE, "apikey": server.token}
    return requests.post(f"{root}/identity/token", data=form, timeout=DEADLINE_SECONDS)


def test_tokens_are_kept_as_hashes_and_are_in_no_file(two: Two) -> None:
    with closing(sqlite3.connect(two.admin.folder / "runtime.db")) as connection:
        rows = dict(connection.execute("select name, token_hash from users where name = 'ada'"))
    assert rows == {"ada": hashlib.sha256(two.ada.token.encode()).hexdigest()}
    assert two.ada.token not in json.dumps(two.admin.json("/qsession/users"))
    files = [each for each in two.admin.folder.rglob("*") if each.is_file()]
    assert len(files) > 3
    for path in files:
        content = path.read_bytes()
        assert two.ada.token.encode() not in content, path
        assert two.eve.token.encode() not in content, path


def test_a_removed_user_loses_access_at_once(two: Two) -> None:
    """Held requests end, and tokens that IAM issued are refused."""
    bob = add(two.admin, "bob")
    issued = replace(bob, token=bought(bob))
    session = bob.open(backend="fake_torino")
    job_id = bob.submit(session_id=session, backend="fake_torino")
    position = {"since": bob.json("/qsession/watch", session_id=session)["revision"]}
    etag = bob.get(f"/jobs/{job_id}").headers["ETag"]
    wait = {"Prefer": "wait=30"}
    before = accepted(two.admin.pid)
    with ThreadPoolExecutor(4) as pool:
        held = [
            pool.submit(each.get, path, **options)
            for each, path, options in (
                (bob, f"/qsession/jobs/{job_id}/outcome", {"headers": wait}),
                (issued, f"/qsession/jobs/{job_id}/interim?after=9", {"headers": wait}),
                (
                    bob,
                    f"/jobs/{job_id}",
                    {"headers": {**wait, "If-None-Match": etag}},
                ),
                (
                    issued,
                    "/qsession/watch",
                    {"params": {"session_id": session, **position}, "headers": wait},
                ),
            )
        ]
        eventually(lambda: accepted(two.admin.pid) >= before + 1, "held requests")
        answer = two.admin.ask("DELETE", "/qsession/users/bob")
        assert answer.status_code == 204, answer.text
        statuses = {each.result(DEADLINE_SECONDS).status_code for each in held}
    # The job may have changed just before the user was removed.
    assert statuses <= {200, 401}
    assert 401 in statuses
    for each in (bob, issued):
        problem(each.get("/jobs"), 401)
    assert exchange(bob).status_code == 400
    problem(two.admin.ask("DELETE", "/qsession/users/bob"), 404)
    bob = add(two.admin, "bob")
    problem(issued.get("/jobs"), 401)
    assert bob.status(job_id) == "Cancelled", "the removed user's jobs are cancelled"
    assert bob.json(f"/sessions/{session}")["state"] == "closed"
    assert two.ada.status(two.jobs[2]) == "Running", "other users' jobs continue"


def accepted(pid: int) -> int:
    """Count a server's open connections."""
    found = psutil.Process(pid).net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED for each in found)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 65, "ä", "a\n", 7, None])
def test_invalid_names_are_refused(two: Two, name: Any) -> None:
    problem(two.admin.ask("POST", "/qsession/users", json={"name": name}), 400)


@pytest.mark.parametrize("name", ["ada", "owner"])
def test_a_name_is_used_once(two: Two, name: str) -> None:
    said = problem(two.admin.ask("POST", "/qsession/users", json={"name": name}), 409)
    assert name in said
    assert [each["name"] for each in two.admin.json("/qsession/users")["users"]][:1] == ["ada"]


def test_the_administrator_cannot_be_removed(two: Two) -> None:
    problem(two.admin.ask("DELETE", "/qsession/users/owner"), 404)
    assert two.admin.get("/jobs").status_code == 200
