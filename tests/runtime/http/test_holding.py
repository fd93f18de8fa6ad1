"""Requests that are held until something changes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.conftest import DEADLINE_SECONDS
from tests.runtime.server import Server, problem


def test_a_known_etag_gives_304_and_a_held_request_the_change(slow: Server) -> None:
    job_id = slow.submit()
    slow.running(job_id)
    path = f"/jobs/{job_id}"
    etag = slow.get(path).headers["ETag"]
    known = {"If-None-Match": etag}
    answer = slow.get(path, headers=known)
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    assert "Preference-Applied" not in answer.headers
    answer = slow.get(path, headers={**known, "Prefer": "wait=0.05"})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (304, "wait")
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(slow.get, path, headers={**known, "Prefer": "wait=30"})
        slow.ask("POST", f"{path}/cancel")
        answer = held.result(DEADLINE_SECONDS)
    assert answer.status_code == 200
    assert answer.json()["state"]["status"] == "Cancelled"
    assert answer.headers["ETag"] != etag


def test_deleting_a_job_ends_the_request_that_waits_for_it(server: Server) -> None:
    job_id = server.submit()
    server.ended(job_id)
    path = f"/jobs/{job_id}"
    headers = {"If-None-Match": server.get(path).headers["ETag"], "Prefer": "wait=30"}
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(server.get, path, headers=headers)
        server.ask("DELETE", path)
        problem(held.result(DEADLINE_SECONDS), 404)
