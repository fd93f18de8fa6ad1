"""The routes of results, on a real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget.runtime.http.large_bodies import AT_ONCE
from qsession_widget.runtime.http.large_texts import LargeTexts
from qsession_widget.runtime.http.routes.results import ResultRoutes
from qsession_widget.runtime.pieces import PIECE_BYTES, Content, cut, digest
from qsession_widget.runtime.store.writes import AddJob, Update
from qsession_widget.wire import codec
from qsession_widget.wire.states import JobState
from tests.conftest import eventually
from tests.runtime.server import COIN, Server
from tests.runtime.test_store import a_job, opened

if TYPE_CHECKING:
    from pathlib import Path


def test_interim_results_are_returned_one_by_one_by_held_requests(slow: Server) -> None:
    pub = COIN["params"]["pubs"][0]
    job_id = slow.submit(params={"pubs": [pub, pub, pub]})
    path = f"/qsession/jobs/{job_id}/interim"
    found: list[str] = []

    def both() -> bool:
        body = slow.get(path, params={"after": len(found)}, headers={"Prefer": "wait=5"}).json()
        found.extend(body["interim"])
        assert body["next"] == len(found)
        assert body["final"] is False
        return len(found) == 2

    eventually(both, "two interim results")
    assert [codec.loads(text).data.meas.num_shots for text in found] == [10, 10]
    slow.ask("POST", f"/jobs/{job_id}/cancel")
    assert slow.json(path) == {"interim": [], "next": 0, "final": True}


@pytest.mark.anyio
async def test_a_private_result_that_has_to_wait_is_not_given_yet(tmp_path: Path) -> None:
    """It is kept for a minute from when it is sent, and not from when it is asked for."""
    unused: Any = None
    pieces = cut(b"x" * (3 * PIECE_BYTES))
    with opened(tmp_path) as store:
        job = a_job(private=True)
        await store.write(AddJob(job, "{}", "a key"))
        job = a_job(private=True, state=JobState.COMPLETED)
        text = await store.keep(Content(pieces, digest(pieces)), result=True)
        await store.write(Update(jobs=(job,), result=(job.id, text)))
        routes = ResultRoutes(store, unused, unused, unused, LargeTexts())
        places = routes.large._sending.of(job.owner)
        for _ in range(AT_ONCE):
            await places.acquire()
        waiting = asyncio.create_task(routes._result_once(job, "key"))
        # Others are served while it waits.
        assert (await store.result(job.id)) is not None
        assert job.id not in routes.given
        places.release()
        assert (await waiting).status_code == 200
        assert job.id in routes.given
        assert (await routes._result_once(job, "another key")).status_code == 204
        for each in routes.background:
            each.cancel()
