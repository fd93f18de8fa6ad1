"""Ten jobs that IBM's service really ran: our client reads them as the official one does."""

from __future__ import annotations

import json
import tarfile
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
import pytest
from qiskit_ibm_runtime.decoders.executor.decoder import ExecutorResultDecoder
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from qsession_widget import QiskitRuntimeService
from tests.client.throwaway import serving
from tests.conformance.official import download

FOLDER = "test/unit/backwards_compatibility/resources/"


@cache
def recorded() -> dict[str, tuple[Any, str]]:
    """Read details and results of each job from the client's source distribution."""
    texts = {}
    with tarfile.open(download()) as packed:
        for member in packed.getmembers():
            path = member.name.partition("/")[2]
            if path.startswith(FOLDER) and path.endswith(".json"):
                file = packed.extractfile(member)
                assert file is not None
                texts[path.removeprefix(FOLDER).removesuffix(".json")] = file.read().decode()
    ids = {name.rpartition("_")[0] for name in texts}
    return {
        job_id: (json.loads(texts[f"{job_id}_details"]), texts[f"{job_id}_results"])
        for job_id in sorted(ids)
    }


def app() -> Starlette:
    async def details(request: Any) -> Response:
        return JSONResponse(recorded()[request.path_params["job_id"]][0])

    async def results(request: Any) -> Response:
        return PlainTextResponse(recorded()[request.path_params["job_id"]][1])

    return Starlette(
        routes=[
            Route("/api/v1/jobs/{job_id}", details),
            Route("/api/v1/jobs/{job_id}/results", results),
        ]
    )


def test_there_are_ten_recorded_jobs() -> None:
    assert len(recorded()) == 10


@pytest.mark.parametrize("index", range(10))
def test_a_recorded_job_is_read(index: int) -> None:
    job_id = sorted(recorded())[index]
    details, text = recorded()[job_id]
    with (
        serving(app()) as root,
        QiskitRuntimeService(channel="local", url=root, token="t") as service,
    ):
        job = service.job(job_id)
        assert job.job_id() == job_id
        assert job.status() == "DONE"
        assert job.program_id == details["program"]["id"]
        assert (job.session_id, job.tags, job.data["backend"]) == (None, [], details["backend"])
        assert job.creation_date == datetime.fromisoformat(details["created"])
        assert (job.sub_status, job.queue_position, job.estimate) == (None, None, None)
        found = job.result()
    expected = ExecutorResultDecoder.decode(text)
    role = json.loads(text)["semantic_role"]
    if role is None:
        assert [set(item) for item in found] == [set(item) for item in expected]
        for ours, theirs in zip(found, expected, strict=True):
            assert all((ours[name] == theirs[name]).all() for name in theirs)
    else:
        # The decoder for the role returns a primitive's result.
        (sampled if role == "sampler_v2" else estimated)(found, expected)


def sampled(found: Any, raw: Any) -> None:
    """Check that every bit of the raw data is in the result, apart from flips."""
    for pub, item in zip(found, raw, strict=True):
        ours, theirs = pub.data.meas.to_bool_array("little"), item["meas"]
        assert ours.size == theirs.size
        if "measurement_flips.meas" not in item:
            # Shots of many randomizations are gathered in another order.
            ones = [each.reshape(-1, each.shape[-1]).sum(axis=0) for each in (ours, theirs)]
            assert (ones[0] == ones[1]).all()


def estimated(found: Any, raw: Any) -> None:
    """Check that there is a value with its error for each observable."""
    assert 1 <= len(found) <= len(raw)
    for pub in found:
        assert pub.data.evs.shape == pub.data.stds.shape != ()
        assert np.isfinite(pub.data.evs).all()
        assert (pub.data.stds > 0).all()
