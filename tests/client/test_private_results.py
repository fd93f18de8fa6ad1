"""The result of a private job is returned once, and not lost with a connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from qsession_widget import (
    RuntimeJob,
)
from tests.client.cut_places import PARTS, Place, credentials, place
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def quick(runtime: Path) -> Iterator[Place]:
    yield from place(runtime)


PRIVATE = {"environment": {"private": True}}


@pytest.mark.parametrize("part", PARTS)
def test_the_result_of_a_private_job_is_not_lost(part: float, quick: Place) -> None:
    job = quick.job(**PRIVATE)
    quick.cut.next("/results", part)
    assert job.result()[0].data.cr.num_shots == 7
    assert quick.cut.done == 1
    assert RuntimeJob(quick.direct, job.job_id()).result() is None, "it is returned once"
    decoded = job.result(decoder=_Raw)
    assert decoded["__type__"] == "PrimitiveResult", "and the object that has it keeps it"


class _Raw:
    @staticmethod
    def decode(text: str) -> Any:
        return json.loads(text)


@pytest.mark.parametrize("part", [0.0, 0.98])
def test_the_result_of_a_private_job_is_not_lost_without_a_key(part: float, quick: Place) -> None:
    """As IBM's clients: the runtime notices the broken connection."""
    job_id = quick.job(**PRIVATE).job_id()
    token, url = credentials(quick)
    headers = {"Authorization": f"Bearer {token}"}
    path = f"/api/v1/jobs/{job_id}/results"
    with requests.Session() as client:
        client.headers.update(headers)
        quick.cut.next("/results", part)
        with pytest.raises(requests.RequestException):
            client.get(url + path, timeout=30)

        def found() -> requests.Response | None:
            answer = client.get(url + path, timeout=30)
            return answer if answer.status_code == 200 else None

        # The runtime may notice the broken connection a moment later.
        assert json.loads(eventually(found).text)["__type__"] == "PrimitiveResult"
        # That response arrived, and its connection is still open.
        assert client.get(url + path, timeout=30).status_code == 204


def test_the_inputs_of_a_private_job_are_forgotten_with_its_end(
    quick: Place, runtime: Path
) -> None:
    import sqlite3  # noqa: PLC0415 - the one test that looks behind the API

    kept, private = quick.job(), quick.job(**PRIVATE)
    assert kept.inputs
    with sqlite3.connect(f"file:{runtime / 'runtime.db'}?mode=ro", uri=True) as database:
        found = {
            job_id: database.execute(
                "SELECT count(*) FROM payloads WHERE job_id = ?", [job_id]
            ).fetchone()[0]
            for job_id in (kept.job_id(), private.job_id())
        }
    assert found == {kept.job_id(): 1, private.job_id(): 0}
