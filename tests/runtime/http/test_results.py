"""The routes of results, on a real server."""

from __future__ import annotations

from qsession_widget.wire import codec
from tests.conftest import eventually
from tests.runtime.server import COIN, Server


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
