"""One method for each endpoint of the REST API, and no policy.

Answers about sessions and jobs are read into the documents of `wire/documents.py` here, once; all
others are JSON.

Endpoints under `/qsession` are the local runtime's own additions; IBM answers them with 404.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from qsession_widget.errors import (
    CodecError,
    InvalidInputError,
    ServiceError,
    ServiceUnavailableError,
)
from qsession_widget.transport.answers import BrokenError
from qsession_widget.wire import documents
from qsession_widget.wire.documents import (
    CreatedJobDocument,
    Document,
    InterimDocument,
    JobDocument,
    JobExtrasDocument,
    JobsDocument,
    OutcomeDocument,
    SessionDocument,
    WatchDocument,
    WorkloadsDocument,
    known,
    required,
)
from qsession_widget.wire.fields import EXTRA, PREFER, PREFERENCE_APPLIED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from msgspec import UnsetType

    from qsession_widget.transport.answers import Answer
    from qsession_widget.transport.http import Transport

Json = dict[str, Any]
"""A JSON object of the wire."""

_T = TypeVar("_T")
_Kind = TypeVar("_Kind", bound=Document)

_NO_CONTENT = 204
_READING_SECONDS = 840.0
_NOT_MODIFIED = 304
_SHORT_ATTEMPTS = 3
_ASKED = 2
"""How often a request is sent if its response belongs to another job or session."""


@dataclass(frozen=True)
class ReceivedJob:
    """A job as a service sent it.

    Attributes:
        document: what this package reads of it.
        json: all of it, with fields that only this service sends.
    """

    document: JobDocument
    json: Mapping[str, Any]


@dataclass(frozen=True)
class JobsPage:
    """A page of GET /jobs.

    Attributes:
        jobs: the jobs of this page.
        count: how many there are on all pages.
    """

    jobs: list[ReceivedJob]
    count: int


@dataclass(frozen=True)
class Watched:
    """A session and those of its jobs that changed since a revision.

    Attributes:
        revision: for the next request.
        session: the session.
        jobs: the jobs as they came, each once.
        deleted: ids of the jobs that were deleted.
    """

    revision: int
    session: SessionDocument
    jobs: list[ReceivedJob]
    deleted: list[str]


@dataclass(frozen=True)
class Outcome:
    """A final job.

    Attributes:
        job: the job.
        etag: of its JSON.
        result: its result's text; None if there is none, or it is gone.
    """

    job: ReceivedJob
    etag: str | None
    result: str | None


@dataclass(frozen=True)
class Polled(Generic[_T]):
    """The response of a conditional GET.

    Attributes:
        body: the session or job; None if nothing changed (304).
        etag: for the next request; None if the server sends none.
        waited: whether the server held the request, so that the next one needs no pause.
    """

    body: _T | None
    etag: str | None
    waited: bool


class RuntimeApi:
    """The part of IBM's Qiskit Runtime REST API that we use, with the local runtime's additions.

    Every method raises the errors of `Transport.request`.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    # Devices

    def backends(self, *, mocks: bool = False) -> list[Json]:
        """GET /backends: names, states and queues of backends, and of their mocks if wanted."""
        query = {"include_mocks": "true"} if mocks else {}
        found = self._json("/backends", **query)
        devices: list[Json] = required(found.get("devices"), "devices", "GET /backends")
        return devices

    def configuration(self, name: str) -> Json:
        """GET /backends/{name}/configuration."""
        return self._json(f"/backends/{_part(name)}/configuration")

    def properties(self, name: str, updated_before: str | None = None) -> Json:
        """GET /backends/{name}/properties; empty if the backend has none."""
        path = f"/backends/{_part(name)}/properties"
        return self._json(path, updated_before=updated_before)

    def backend_status(self, name: str) -> Json:
        """GET /backends/{name}/status."""
        return self._json(f"/backends/{_part(name)}/status")

    def usage(self) -> Json:
        """GET /instances/usage."""
        return self._json("/instances/usage")

    # Sessions

    def create_session(self, body: Json, *, key: str) -> SessionDocument:
        """POST /sessions."""
        found = _read(self.transport.request("POST", "/sessions", body=body, key=key))
        return _document(SessionDocument, found, "POST /sessions")

    def session(self, session_id: str) -> SessionDocument:
        """GET /sessions/{id}."""
        path = f"/sessions/{_part(session_id)}"
        found = self._own(session_id, lambda: self._json(path), _itself)
        return _document(SessionDocument, found, f"GET {path}")

    def session_if_changed(
        self, session_id: str, *, etag: str | None = None
    ) -> Polled[SessionDocument]:
        """GET /sessions/{id}; with an ETag there is no body if nothing changed."""
        path = f"/sessions/{_part(session_id)}"
        polled = self._own(session_id, lambda: self._poll(path, {}, etag, 0.0), _of_poll)
        found = polled.body
        body = None if found is None else _document(SessionDocument, found, f"GET {path}")
        return Polled(body, polled.etag, polled.waited)

    def close_session(self, session_id: str) -> None:
        """PATCH /sessions/{id}: no new jobs are accepted, existing ones finish."""
        self.transport.request(
            "PATCH",
            f"/sessions/{_part(session_id)}",
            body={"accepting_jobs": False},
            repeatable=True,
        )

    def cancel_session(self, session_id: str) -> None:
        """DELETE /sessions/{id}/close: no new jobs are accepted, queued ones are cancelled."""
        self.transport.request("DELETE", f"/sessions/{_part(session_id)}/close")

    # Jobs

    def create_job(self, text: str, *, key: str) -> CreatedJobDocument:
        """POST /jobs; the text is the body, encoded by the wire's codec."""
        # The official client's timeout: the service reads a large body before it responds.
        answer = self.transport.request(
            "POST", "/jobs", body=text, key=key, held_seconds=_READING_SECONDS
        )
        return _document(CreatedJobDocument, _read(answer), "POST /jobs")

    def jobs(self, **query: Any) -> JobsPage:
        """GET /jobs: one page, without the jobs' inputs."""
        found = self._json("/jobs", exclude_params="true", **query)
        page = _document(JobsDocument, found, "GET /jobs")
        jobs = _received(page.jobs, found, "GET /jobs")
        return JobsPage(jobs, required(page.count, "count", "GET /jobs"))

    def job(
        self, job_id: str, *, etag: str | None = None, wait_seconds: float = 0.0
    ) -> Polled[ReceivedJob]:
        """GET /jobs/{id} without its inputs; with an ETag it is held until something changes."""
        path, query = f"/jobs/{_part(job_id)}", {"exclude_params": "true"}
        polled = self._own(job_id, lambda: self._poll(path, query, etag, wait_seconds), _of_poll)
        found = polled.body
        body = None if found is None else _job(found, f"GET {path}")
        return Polled(body, polled.etag, polled.waited)

    def short(self, path: str, most_bytes: int) -> str | None:
        """GET of a path; None if its body is longer, which is then not fetched any further.

        Raises:
            ServiceUnavailableError: if the connection breaks during the response.
        """
        for attempt in range(1, _SHORT_ATTEMPTS + 1):
            body = bytearray()
            with self.transport.request("GET", path, stream=True) as answer:
                try:
                    for part in answer.parts():
                        body += part
                        if len(body) > most_bytes:
                            return None
                except BrokenError as error:
                    if attempt < _SHORT_ATTEMPTS:
                        continue
                    raise ServiceUnavailableError(
                        f"GET {self.transport.url}{path}: {error}"
                    ) from error
                return body.decode()
        raise AssertionError  # the last attempt returns or raises

    def short_inputs(self, job_id: str, most_bytes: int) -> str | None:
        """GET /jobs/{id} with its inputs; None if they are longer."""
        return self.short(f"/jobs/{_part(job_id)}", most_bytes)

    def short_results(self, job_id: str, most_bytes: int) -> str | None:
        """GET /jobs/{id}/results, empty if there is none; None if it is longer."""
        return self.short(f"/jobs/{_part(job_id)}/results", most_bytes)

    def job_with_inputs(self, job_id: str) -> str:
        """GET /jobs/{id} as text, since the wire's codec decodes the inputs."""
        return self.transport.request("GET", f"/jobs/{_part(job_id)}").text

    def update_tags(self, job_id: str, tags: list[str]) -> None:
        """PUT /jobs/{id}/tags: replace the job's tags."""
        self.transport.request("PUT", f"/jobs/{_part(job_id)}/tags", body={"tags": tags})

    def delete_job(self, job_id: str) -> None:
        """DELETE /jobs/{id}."""
        self.transport.request("DELETE", f"/jobs/{_part(job_id)}", gone_is_done=True)

    def cancel_job(self, job_id: str) -> None:
        """POST /jobs/{id}/cancel.

        Sent twice, the worst response is a 409, and not even that where the service knows keys.
        """
        path = f"/jobs/{_part(job_id)}/cancel"
        self.transport.request("POST", path, repeatable=True, key=str(uuid.uuid4()))

    def results(self, job_id: str, *, key: str | None = None) -> str | None:
        """GET /jobs/{id}/results as text; None if there is no result, or it is gone.

        A local runtime returns a private job's result once, and for a while again for the same key:
        the first response may have been lost.
        """
        answer = self.transport.request("GET", f"/jobs/{_part(job_id)}/results", key=key)
        return None if answer.status_code == _NO_CONTENT or not answer.content else answer.text

    def logs(self, job_id: str) -> str:
        """GET /jobs/{id}/logs."""
        return self.transport.request("GET", f"/jobs/{_part(job_id)}/logs").text

    def metrics(self, job_id: str) -> Json:
        """GET /jobs/{id}/metrics."""
        return self._json(f"/jobs/{_part(job_id)}/metrics")

    # The local runtime's own

    def about(self) -> Json:
        """GET /qsession: name, version and features of a local runtime."""
        return self._json(f"/{EXTRA}")

    def beat(self, process: str) -> tuple[float, int]:
        """POST /qsession/beats: reports that this program lives.

        Returns:
            After how many seconds to report again, and how many open sessions the program uses.
        """
        path = f"/{EXTRA}/beats"
        found = _read(self.transport.request("POST", path, body={"process": process}))
        every_seconds: float = required(found.get("every_seconds"), "every_seconds", f"POST {path}")
        sessions: int = required(found.get("sessions"), "sessions", f"POST {path}")
        return every_seconds, sessions

    def ids(self, kind: str, prefix: str) -> list[str]:
        """GET /qsession/ids: ids of sessions or jobs with a prefix; only some if there are many."""
        path = f"/{EXTRA}/ids"
        found: list[str] = required(
            self._json(path, kind=kind, prefix=prefix).get("ids"), "ids", f"GET {path}"
        )
        return found

    def watch(
        self, session_id: str, *, since: int = 0, wait_seconds: float = 0.0
    ) -> Watched | None:
        """GET /qsession/watch: the session and the jobs that changed since a revision.

        Returns:
            None if nothing changed in the time.
        """
        page = self._watch(session_id, since, wait_seconds)
        if page is None or not page[1]:
            return page and page[0]
        # A job that changes meanwhile is listed again on a later page: its revision has grown.
        found, more = page
        jobs = {job.document.id: job for job in found.jobs}
        deleted = found.deleted
        while more:
            page = self._watch(session_id, found.revision, 0.0)
            if page is None:
                break
            found, more = page
            jobs |= {job.document.id: job for job in found.jobs}
            deleted = deleted + found.deleted
        return replace(found, jobs=sorted(jobs.values(), key=_as_it_came), deleted=deleted)

    def _watch(
        self, session_id: str, since: int, wait_seconds: float
    ) -> tuple[Watched, bool] | None:
        """Return one page of `watch`, and whether more jobs have changed."""

        def ask() -> Json | None:
            answer = self.transport.request(
                "GET",
                f"/{EXTRA}/watch",
                params={"session_id": session_id, "since": since},
                headers=_prefer(wait_seconds),
                held_seconds=wait_seconds,
            )
            return None if answer.status_code == _NOT_MODIFIED else _read(answer)

        found = self._own(session_id, ask, lambda found: found and found.get("session"))
        if found is None:
            return None
        request = f"GET /{EXTRA}/watch"
        page = _document(WatchDocument, found, request)
        watched = Watched(
            required(page.revision, "revision", request),
            required(page.session, "session", request),
            _received(page.jobs, found, request),
            page.deleted or [],
        )
        return watched, bool(page.more)

    def interim(self, job_id: str, *, after: int = 0, wait_seconds: float = 0.0) -> InterimDocument:
        """GET /qsession/jobs/{id}/interim: results of pubs, without the first `after` ones."""
        path = f"/{EXTRA}/jobs/{_part(job_id)}/interim"
        answer = self.transport.request(
            "GET",
            path,
            params={"after": after},
            headers=_prefer(wait_seconds),
            held_seconds=wait_seconds,
        )
        if answer.status_code == _NOT_MODIFIED:
            return InterimDocument(interim=[], next=after, final=False)
        return _document(InterimDocument, _read(answer), f"GET {path}")

    def outcome(self, job_id: str, *, wait_seconds: float = 0.0) -> Outcome | None:
        """GET /qsession/jobs/{id}/outcome: a final job with its result; None until it is final."""
        path = f"/{EXTRA}/jobs/{_part(job_id)}/outcome"

        def ask() -> Json | None:
            answer = self.transport.request(
                "GET", path, headers=_prefer(wait_seconds), held_seconds=wait_seconds
            )
            return None if answer.status_code == _NOT_MODIFIED else _read(answer)

        found = self._own(job_id, ask, lambda found: found and found.get("job"))
        if found is None:
            return None
        document = _document(OutcomeDocument, found, f"GET {path}")
        job = ReceivedJob(required(document.job, "job", f"GET {path}"), found["job"])
        return Outcome(job, known(document.etag), known(document.result))

    def cancel_queued(self, session_id: str, *, key: str) -> list[str]:
        """POST /qsession/sessions/{id}/cancel_queued: ids of the jobs that this cancelled.

        The same key returns the same ids, since a job is cancelled only once.
        """
        path = f"/{EXTRA}/sessions/{_part(session_id)}/cancel_queued"
        answer = self.transport.request("POST", path, repeatable=True, key=key)
        cancelled: list[str] = required(_read(answer).get("cancelled"), "cancelled", f"POST {path}")
        return cancelled

    def workloads(self, **query: Any) -> WorkloadsDocument:
        """GET /workloads: one page of sessions, batches and jobs outside of them."""
        return _document(WorkloadsDocument, self._json("/workloads", **query), "GET /workloads")

    def advance_clock(self, seconds: float, *, key: str) -> str:
        """POST /qsession/clock: advances a virtual clock; returns the time that it shows then."""
        body = {"advance_seconds": seconds}
        answer = self.transport.request("POST", f"/{EXTRA}/clock", body=body, key=key)
        return str(_read(answer)["now"])

    def shut_down(self) -> None:
        """POST /qsession/shutdown: ends the runtime's process."""
        self.transport.request("POST", f"/{EXTRA}/shutdown")

    def _own(self, wanted: str, ask: Callable[[], _T], body: Callable[[_T], Any]) -> _T:
        """Send a request, and refuse responses that belong to another job or session.

        Args:
            wanted: the id of the job or session.
            ask: sends the request.
            body: returns the JSON of the response; None if it has none.
        """
        other: object = None
        for _ in range(_ASKED):
            found = ask()
            about = body(found)
            if about is None:
                return found
            other = about.get("id") if isinstance(about, dict) else about
            if other == wanted:
                return found
            self.transport.hang_up()
        raise ServiceUnavailableError(
            f"{self.transport.url} was asked for {wanted!r} and answers with {other!r}"
        )

    def _json(self, path: str, **query: Any) -> Json:
        return _read(self.transport.request("GET", path, params=query))

    def _poll(self, path: str, query: Json, etag: str | None, wait_seconds: float) -> Polled[Json]:
        headers = {} if etag is None else {"If-None-Match": etag, **_prefer(wait_seconds)}
        answer = self.transport.request(
            "GET", path, params=query, headers=headers, held_seconds=wait_seconds
        )
        return Polled(
            body=None if answer.status_code == _NOT_MODIFIED else _read(answer),
            etag=answer.headers.get("ETag", etag),
            waited="wait" in answer.headers.get(PREFERENCE_APPLIED, ""),
        )


def _itself(body: Json) -> Json:
    return body


def _of_poll(answer: Polled[Json]) -> Json | None:
    return answer.body


def _document(kind: type[_Kind], found: Json, request: str) -> _Kind:
    """Read an answer as a document.

    Args:
        kind: the document.
        found: the answer's JSON.
        request: what was asked for, such as "GET /jobs/ID", for the error's message.

    Raises:
        ServiceError: if it has no id, and must have one.
    """
    try:
        return documents.read(kind, found)
    except CodecError as error:
        raise ServiceError(f"{request}: {error}", status_code=HTTPStatus.OK) from error


def _job(found: Json, request: str) -> ReceivedJob:
    return ReceivedJob(_document(JobDocument, found, request), found)


def _received(jobs: list[JobDocument] | UnsetType, found: Json, request: str) -> list[ReceivedJob]:
    """Return the jobs of an answer with the JSON of each.

    Raises:
        ServiceError: if the answer has no list of jobs, or one of them cannot be read.
    """
    read, sent = required(jobs, "jobs", request), found["jobs"]
    if len(read) < len(sent):
        raise ServiceError(
            f"{request}: one of 'jobs' is not a JSON object", status_code=HTTPStatus.OK
        )
    return [ReceivedJob(*each) for each in zip(read, sent, strict=True)]


def _as_it_came(job: ReceivedJob) -> tuple[datetime, int]:
    """Return a job's sort key: its time, and its number for equal times."""
    document = job.document
    created = required(document.created, "jobs.created", f"GET /{EXTRA}/watch")
    extras = document.qsession or JobExtrasDocument()
    return datetime.fromisoformat(created), extras.number or 0


def _prefer(wait_seconds: float) -> dict[str, str]:
    return {PREFER: f"wait={wait_seconds:g}"} if wait_seconds > 0 else {}


def _part(name: str) -> str:
    """Quote a string as one segment of a path, so that no id reaches another endpoint."""
    if not name.strip("."):
        raise InvalidInputError(f"{name!r} is not an id or name")
    return quote(name, safe="")


def _read(answer: Answer) -> Json:
    """Parse the JSON object of an answer; an empty body counts as an empty object."""
    try:
        body = answer.json()
    except ValueError as error:
        raise _unreadable(answer, "the answer is not JSON") from error
    if not isinstance(body, dict | None):
        raise _unreadable(answer, "the answer is not a JSON object")
    return body or {}


def _unreadable(answer: Answer, problem: str) -> ServiceError:
    return ServiceError(f"{answer.request}: {problem}", status_code=answer.status_code)
