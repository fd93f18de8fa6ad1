"""Lists of jobs and sessions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse

from qsession_widget import Batch, InvalidInputError, QiskitRuntimeService, Session
from qsession_widget.client import listings
from tests.client.circuits import bell
from tests.client.throwaway import Script, serving


def send(service: QiskitRuntimeService, tag: str, count: int) -> list[str]:
    options = {"backend": "aer_simulator", "job_tags": [tag]}
    inputs = {"pubs": [[bell(), [], 1]]}
    return [service.run("sampler", inputs, options).job_id() for _ in range(count)]


def test_jobs_are_listed_newest_first(service: QiskitRuntimeService) -> None:
    sent = send(service, "listed", 5)
    listed = [job.job_id() for job in service.jobs(job_tags=["listed"])]
    assert listed == sent[::-1]
    oldest_first = service.jobs(job_tags=["listed"], descending=False)
    assert [job.job_id() for job in oldest_first] == sent
    assert [job.job_id() for job in service.jobs(2, 1, job_tags=["listed"])] == sent[3:1:-1]
    assert service.jobs(job_tags=["listed"], skip=5) == []
    assert service.jobs(limit=0) == []
    assert service.jobs(job_tags=["listed", "more"]) == []
    assert service.jobs(job_tags=["listed"], backend_name="fake_torino") == []
    assert service.jobs(job_tags=["listed"], program_id="estimator") == []
    for job in oldest_first:
        job.wait_for_final_state()
    assert service.jobs(job_tags=["listed"], pending=True) == []
    assert len(service.jobs(job_tags=["listed"], pending=False)) == 5
    now = datetime.now(UTC)
    assert len(service.jobs(job_tags=["listed"], created_after=now - timedelta(hours=1))) == 5
    assert service.jobs(job_tags=["listed"], created_before=now - timedelta(hours=1)) == []


@pytest.mark.parametrize("arguments", [{"limit": -1}, {"skip": -1}, {"limit": 1.5}])
def test_invalid_limits_are_refused(
    service: QiskitRuntimeService, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError, match=f"{next(iter(arguments))}="):
        service.jobs(**arguments)


def test_pages_repeat_nothing_when_jobs_arrive_between_them(
    service: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "PAGE", 4)
    sent = send(service, "paged", 10)
    ask = service.api.jobs
    late: list[str] = []

    def asked(**query: Any) -> Any:
        page = ask(**query)
        if len(late) < 2:
            late.extend(send(service, "paged", 1))
        return page

    monkeypatch.setattr(service.api, "jobs", asked)
    listed = [job.job_id() for job in service.jobs(limit=None, job_tags=["paged"])]
    assert len(listed) == len(set(listed))
    assert set(sent) <= set(listed)


def test_pages_end_when_jobs_vanish_between_them(
    service: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "PAGE", 4)
    sent = send(service, "vanishing", 10)
    ask = service.api.jobs
    left = list(sent)

    def asked(**query: Any) -> Any:
        page = ask(**query)
        for _ in range(min(4, len(left))):
            service.delete_job(left.pop())
        return page

    monkeypatch.setattr(service.api, "jobs", asked)
    listed = [job.job_id() for job in service.jobs(limit=None, job_tags=["vanishing"])]
    assert listed[:4] == sent[:5:-1]
    assert len(listed) == len(set(listed))
    assert set(listed) <= set(sent)


def test_sessions_are_listed(
    service: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "PAGE", 2)
    since = datetime.now(UTC)
    opened = [kind(service, "fake_manila") for kind in (Session, Batch, Session, Session, Batch)]
    opened[0].close()
    Session(service, "fake_torino").close()

    def ids(**wanted: Any) -> list[str]:
        found = service.sessions(**{"limit": None, "created_after": since, **wanted})
        return [each.id for each in found]

    newest_first = [str(session.session_id) for session in opened[::-1]]
    assert ids(backend_name="fake_manila") == newest_first
    assert ids(backend_name="fake_manila", limit=3) == newest_first[:3]
    assert ids(backend_name="fake_manila", pending=True) == newest_first[:-1]
    assert ids(backend_name="fake_manila", pending=False) == newest_first[-1:]
    assert ids(mode="batch") == [newest_first[0], newest_first[3]]
    assert ids(created_before=since) == ids(limit=0) == []
    newest = service.sessions(1, backend_name="fake_manila")[0]
    assert (newest.mode, newest.status, newest.accepting_jobs) == ("batch", "pending", True)
    assert newest.created_at is not None
    assert newest.created_at >= since - timedelta(seconds=1)
    assert (newest.ended_at, newest.usage_seconds) == (None, 0)
    assert Batch.from_id(newest.id, service).close() == "closed: all its jobs are over"
    assert service.sessions(1, backend_name="fake_manila")[0].ended_at is not None
    for session in opened:
        session.close()


@pytest.mark.parametrize("arguments", [{"limit": -1}, {"mode": "session"}])
def test_invalid_queries_for_sessions_are_refused(
    service: QiskitRuntimeService, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError, match=f"{next(iter(arguments))}="):
        service.sessions(**arguments)


def test_circular_pages_of_sessions_end() -> None:
    page = {"workloads": [{"id": "s", "mode": "session", "status": "pending"}], "next": "again"}
    with serving(Script(JSONResponse(page)).app) as root:
        (found,) = QiskitRuntimeService("local", "t", root).sessions(limit=None)
    unknown = (found.backend_name, found.accepting_jobs, found.usage_seconds, found.created_at)
    assert unknown == (None,) * 4
