from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.runtime.server import problem

if TYPE_CHECKING:
    from tests.runtime.server import Server


@pytest.mark.parametrize(
    "bound", [{"retention_days": -1}, {"retention_days": "7"}, {"max_store_bytes": True}]
)
def test_an_invalid_bound_is_refused_by_name(server: Server, bound: dict[str, Any]) -> None:
    said = problem(server.ask("POST", "/qsession/gc", json=bound), 400)
    assert next(iter(bound)) in said


def test_without_bounds_nothing_is_deleted(server: Server) -> None:
    job_id = server.submit()
    server.ended(job_id)
    found = server.ask("POST", "/qsession/gc", json={}).json()
    assert (found["jobs"], found["retention_days"], found["max_store_bytes"]) == (0, None, None)
    assert found["store_bytes"] > 0
    assert server.get(f"/jobs/{job_id}/results").status_code == 200
