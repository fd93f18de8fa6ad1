"""Responses that do not fit: the error names the request and the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import JSONResponse, Response

from qsession_widget import QiskitRuntimeService, RuntimeJob, Sampler, ServiceError, Session
from qsession_widget.client.jobs.job_callbacks import _hand_over_interim
from qsession_widget.wire.documents import JobStateDocument
from tests.client.circuits import bell
from tests.client.throwaway import Script, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    Use = Callable[[QiskitRuntimeService], object]

QUEUED = {"id": "j", "state": {"status": "Queued"}}
"""What an answer about a job has at least."""


class Service(Script):
    """A service that has one response at one path, and given features of the local runtime."""

    def __init__(self, path: str, answer: Any, features: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.path, self.features = path, features
        self.found = JSONResponse(answer)

    async def answer(self, request: Request) -> Response:
        path = request.url.path.removeprefix("/api/v1")
        if path == "/qsession":
            return JSONResponse({"features": self.features})
        return self.found if path == self.path else JSONResponse({}, status_code=404)


def job(service: QiskitRuntimeService) -> RuntimeJob:
    return RuntimeJob(service, "j")


def interim(service: QiskitRuntimeService) -> object:
    return _hand_over_interim(job(service), lambda _id, _result: None)


def watched(service: QiskitRuntimeService) -> object:
    return service.api.watch("s")


JOB, INTERIM = "/jobs/j", "/qsession/jobs/j/interim"
WATCH, OUTCOME = "/qsession/watch", "/qsession/jobs/j/outcome"
SESSION = {"id": "s"}


@pytest.mark.parametrize(
    ("path", "answer", "use", "field"),
    [
        ("/backends", {}, QiskitRuntimeService.backends, "devices"),
        ("/jobs", {}, QiskitRuntimeService.jobs, "jobs"),
        ("/jobs", {"jobs": {}, "count": 1}, QiskitRuntimeService.jobs, "jobs"),
        ("/jobs", {"jobs": [5], "count": 1}, QiskitRuntimeService.jobs, "jobs"),
        ("/jobs", {"jobs": [{"backend": "b"}], "count": 1}, QiskitRuntimeService.jobs, "id"),
        ("/jobs", {"jobs": [QUEUED]}, QiskitRuntimeService.jobs, "count"),
        ("/workloads", {"next": "1"}, QiskitRuntimeService.sessions, "workloads"),
        ("/workloads", {"workloads": [{}]}, QiskitRuntimeService.sessions, "id"),
        (JOB, {"id": "j"}, lambda service: job(service).status(), "state.status"),
        (JOB, {"id": "j", "state": 5}, lambda service: job(service).result(), "state.status"),
        (JOB, QUEUED, lambda service: job(service).program_id, "program.id"),
        (JOB, QUEUED, lambda service: job(service).creation_date, "created"),
        (JOB, QUEUED, lambda service: job(service).backend(), "backend"),
        ("/sessions/s", SESSION, lambda service: Session.from_id("s", service), "mode"),
        (INTERIM, {}, interim, "interim"),
        (INTERIM, {"interim": []}, interim, "next"),
        (INTERIM, {"interim": [], "next": 0}, interim, "final"),
        (WATCH, {"session": SESSION, "jobs": []}, watched, "revision"),
        (WATCH, {"session": SESSION, "revision": 1}, watched, "jobs"),
        (WATCH, {"revision": 1, "jobs": [], "session": None}, watched, "session"),
        (OUTCOME, {"result": "x"}, lambda service: service.api.outcome("j"), "job"),
    ],
)
def test_the_request_and_the_field_are_named(path: str, answer: Any, use: Use, field: str) -> None:
    with serving(Service(path, answer).app) as root:
        service = QiskitRuntimeService("local", "t", root)
        with pytest.raises(ServiceError, match=f"GET {path}: .*'{field}'") as raised:
            use(service)
    assert raised.value.status_code == 200


def test_a_response_that_is_no_object_is_named() -> None:
    with serving(Service("/jobs", [QUEUED]).app) as root:
        service = QiskitRuntimeService("local", "t", root)
        with pytest.raises(ServiceError, match=r"GET .*/jobs: .* not a JSON object"):
            service.jobs()


def test_a_missing_state_is_named() -> None:
    with serving(Service("/sessions/s", {"id": "s", "mode": "dedicated"}).app) as root:
        session = Session.from_id("s", QiskitRuntimeService("local", "t", root))
        with pytest.raises(ServiceError, match=r"GET /sessions/s: .*'state'"):
            session.status()
        details = dict(session.details() or {})
        assert (details["id"], details["state"], details["timestamps"]) == ("s", None, [])
        assert (session.usage(), session.cache_info()) == (None, None)


def test_a_job_with_few_fields_can_be_used() -> None:
    """Services leave out what they do not have, and send what only they have."""
    said = {**QUEUED, "more": {"of": "its own"}}
    with serving(Service(JOB, said).app) as root:
        found = job(QiskitRuntimeService("local", "t", root))
        assert repr(found) == "<RuntimeJob('j')>"
        assert (found.status(), found.tags, found.session_id) == ("QUEUED", [], None)
        assert (found.image, found.private, found.queue_position) == ("", False, None)
        assert (found.sub_status, found.estimate) == (None, None)
        assert found.usage_estimation == {"quantum_seconds": None}
        assert found.data == said
        assert repr(found) == "<RuntimeJob('j', QUEUED)>"


@pytest.mark.usefixtures("runtime")
def test_what_the_runtime_sends_fits() -> None:
    service = QiskitRuntimeService("local")
    with Session(service, "fake_manila") as session:
        done = Sampler(session).run(bell(), shots=10)
        done.result()
        watched = service.api.watch(str(session.session_id))
        outcome = service.api.outcome(done.job_id())
        (listed,) = service.jobs(session_id=session.session_id)
    assert watched is not None
    assert outcome is not None
    (seen,) = watched.jobs
    read = [each.document for each in (seen, outcome.job, listed, done)]
    assert [(each.id, each.state, each.created) for each in read] == 4 * [
        (done.job_id(), JobStateDocument(status="Completed"), seen.document.created)
    ]
    assert watched.session.backend_name == "fake_manila"
    assert RuntimeJob(service, "x", data=done.data).document == done.document
