"""The route by which clients watch a session."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.conftest import DEADLINE_SECONDS
from tests.runtime.server import FINAL, Server


def test_a_watch_from_a_future_revision_returns_at_once(server: Server) -> None:
    path = f"/qsession/watch?session_id={server.open()}&since={10**30}"
    assert server.get(path).status_code == 304


def test_a_watch_misses_no_change_in_a_burst(server: Server) -> None:
    """Replaying the events of a watch gives exactly the final listing."""
    session_id = server.open()
    count = 200
    known: dict[str, Any] = {}
    seen: dict[str, list[str]] = {}
    submitted: list[str] = []
    errors: list[str] = []

    def watch() -> None:
        since = 0
        while len([each for each in known.values() if each["status"] in FINAL]) < count:
            answer = server.get(
                "/qsession/watch",
                params={"session_id": session_id, "since": since},
                headers={"Prefer": "wait=20"},
            )
            if answer.status_code != 200:
                errors.append(f"{answer.status_code}: {answer.text}")
                return
            body = answer.json()
            if body["revision"] <= since:
                errors.append("a revision that is not newer")
                return
            since = body["revision"]
            for job in body["jobs"]:
                known[job["id"]] = job
                seen.setdefault(job["id"], []).append(job["status"])
            final = sum(each["status"] in FINAL for each in known.values())
            live = body["session"]["qsession"]["queued"] + body["session"]["qsession"]["running"]
            if final + live != len(known):
                errors.append("session and jobs are from different moments")

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        bodies = [{"session_id": session_id, "params": {"n": n}} for n in range(count)]
        submitted = list(pool.map(lambda body: server.submit(**body), bodies))
    watcher.join(DEADLINE_SECONDS * 2)
    assert not watcher.is_alive(), f"{len(known)} jobs seen"
    assert errors == []
    listed = server.json("/jobs", session_id=session_id, limit=200)["jobs"]
    assert sorted(submitted) == sorted(job["id"] for job in listed)
    assert {job["id"]: job["state"] for job in listed} == {
        job_id: job["state"] for job_id, job in known.items()
    }
    server.ask("DELETE", f"/sessions/{session_id}/close")
    order = ["Queued", "Running", "Failed"]
    for states in seen.values():
        assert states == sorted(states, key=order.index), "no state is repeated"
