"""One method for each endpoint of the REST API: JSON in, JSON out, and no policy.

Endpoints under `/qsession` are the local runtime's own additions; IBM answers them with 404.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from qsession_widget.errors import InvalidInputError, ServiceError, ServiceUnavailableError
from qsession_widget.transport.answers import BrokenError
from qsession_widget.wire.documents import JobDocument, JobExtrasDocument, read
from qsession_widget.wire.fields import EXTRA, PREFER, PREFERENCE_APPLIED

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.transport.answers import Answer
    from qsession_widget.transport.http import Transport

Json = dict[str, Any]
"""A JSON object of the wire."""

_T = TypeVar("_T")

_NO_CONTENT = 204
_READING_SECONDS = 840.0
_NOT_MODIFIED = 304
_SHORT_ATTEMPTS = 3
_ASKED = 2
"""How often a request is sent if its response belongs to another job or session."""


@dataclass(frozen=True)
class Polled:
    """The response of a conditional GET.

    Attributes:
        body: the JSON; None if nothing changed (304).
        etag: for the next request; None if the server sends none.
        waited: whether the server held the request, so that the next one needs no pause.
    """

    body: Json | None
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
        devices: list[Json] = self._json("/backends", **query)["devices"]
        return devices

    def configuration(self, name: str) -> Json:
        """GET /backends/{name}/configuration."""
        return self._json(f"/backends/{_part(name)}/configuration")

    def properties(self, name: str, updated_before: str | None = None) -> Json:
        """GET /backends/{name}/properties; empty if the backend has none."""
        path = f"/backends/{_part(name)}/properties"
        return self._json(path, updated_before=updated_before) or {}

    def backend_status(self, name: str) -> Json:
        """GET /backends/{name}/status."""
        return self._json(f"/backends/{_part(name)}/status")

    def usage(self) -> Json:
        """GET /instances/usage."""
        return self._json("/instances/usage")

    # Sessions

    def create_session(self, body: Json, *, key: str) -> Json:
        """POST /sessions."""
        return _read(self.transport.request("POST", "/sessions", body=body, key=key))

    def session(self, session_id: str) -> Json:
        """GET /sessions/{id}."""
        path = f"/sessions/{_part(session_id)}"
        return self._own(session_id, lambda: self._json(path), _itself)

    def session_if_changed(self, session_id: str, *, etag: str | None = None) -> Polled:
        """GET /sessions/{id}; with an ETag there is no body if nothing changed."""
        path = f"/sessions/{_part(session_id)}"
        return self._own(session_id, lambda: self._poll(path, {}, etag, 0.0), _of_poll)

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

    def create_job(self, text: str, *, key: str) -> Json:
        """POST /jobs; the text is the body, encoded by the wire's codec."""
        # The official client's timeout: the service reads a large body before it responds.
        return _read(
            self.transport.request(
                "POST", "/jobs", body=text, key=key, held_seconds=_READING_SECONDS
            )
        )

    def jobs(self, **query: Any) -> Json:
        """GET /jobs: one page, without the jobs' inputs."""
        return self._json("/jobs", exclude_params="true", **query)

    def job(self, job_id: str, *, etag: str | None = None, wait_seconds: float = 0.0) -> Polled:
        """GET /jobs/{id} without its inputs; with an ETag it is held until something changes."""
        path, query = f"/jobs/{_part(job_id)}", {"exclude_params": "true"}
        return self._own(job_id, lambda: self._poll(path, query, etag, wait_seconds), _of_poll)

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
        """GET /jobs/{id}/results as text; None if there is no result (any more).

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

    def watch(self, session_id: str, *, since: int = 0, wait_seconds: float = 0.0) -> Json | None:
        """GET /qsession/watch: the session and the jobs that changed since a revision.

        Returns:
            `{"revision", "session", "jobs", "now"}` with the jobs as they came, each once; None
            if nothing changed in the time.
        """
        found = self._watch(session_id, since, wait_seconds)
        if found is None or not found.get("more"):
            return found
        # A job that changes meanwhile is listed again on a later page: its revision has grown.
        jobs: dict[str, Json] = {job["id"]: job for job in found["jobs"]}
        deleted = list(found.get("deleted") or ())
        while found.get("more"):
            following = self._watch(session_id, found["revision"], 0.0)
            if following is None:
                break
            found = following
            jobs |= {job["id"]: job for job in found["jobs"]}
            deleted += found.get("deleted") or ()
        ordered = sorted(jobs.values(), key=_as_it_came)
        return {**found, "jobs": ordered, "deleted": deleted}

    def _watch(self, session_id: str, since: int, wait_seconds: float) -> Json | None:
        def ask() -> Json | None:
            answer = self.transport.request(
                "GET",
                f"/{EXTRA}/watch",
                params={"session_id": session_id, "since": since},
                headers=_prefer(wait_seconds),
                held_seconds=wait_seconds,
            )
            return None if answer.status_code == _NOT_MODIFIED else _read(answer)

        return self._own(session_id, ask, lambda found: found and found["session"])

    def interim(self, job_id: str, *, after: int = 0, wait_seconds: float = 0.0) -> Json:
        """GET /qsession/jobs/{id}/interim: results of pubs, without the first `after` ones.

        Returns:
            `{"interim": [text], "next": int, "final": bool}`.
        """
        answer = self.transport.request(
            "GET",
            f"/{EXTRA}/jobs/{_part(job_id)}/interim",
            params={"after": after},
            headers=_prefer(wait_seconds),
            held_seconds=wait_seconds,
        )
        if answer.status_code == _NOT_MODIFIED:
            return {"interim": [], "next": after, "final": False}
        return _read(answer)

    def outcome(self, job_id: str, *, wait_seconds: float = 0.0) -> Json | None:
        """GET /qsession/jobs/{id}/outcome: a final job with its result.

        Returns:
            `{"job": JSON of the job, "etag": str, "result": text or None}`; None while the job is
            unfinished.
        """
        path = f"/{EXTRA}/jobs/{_part(job_id)}/outcome"

        def ask() -> Json | None:
            answer = self.transport.request(
                "GET", path, headers=_prefer(wait_seconds), held_seconds=wait_seconds
            )
            return None if answer.status_code == _NOT_MODIFIED else _read(answer)

        return self._own(job_id, ask, lambda found: found and found["job"])

    def cancel_queued(self, session_id: str, *, key: str) -> list[str]:
        """POST /qsession/sessions/{id}/cancel_queued: ids of the jobs that this cancelled.

        The same key returns the same ids, since a job is cancelled only once.
        """
        path = f"/{EXTRA}/sessions/{_part(session_id)}/cancel_queued"
        answer = self.transport.request("POST", path, repeatable=True, key=key)
        cancelled: list[str] = _read(answer)["cancelled"]
        return cancelled

    def workloads(self, **query: Any) -> Json:
        """GET /workloads: one page of sessions, batches and jobs outside of them."""
        return self._json("/workloads", **query)

    def shut_down(self) -> None:
        """POST /qsession/shutdown: ends the runtime's process."""
        self.transport.request("POST", f"/{EXTRA}/shutdown")

    def _own(self, wanted: str, ask: Callable[[], _T], body: Callable[[_T], Json | None]) -> _T:
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
            if about is None or about.get("id") == wanted:
                return found
            other = about.get("id")
            self.transport.hang_up()
        raise ServiceUnavailableError(
            f"{self.transport.url} was asked for {wanted!r} and answers with {other!r}"
        )

    def _json(self, path: str, **query: Any) -> Json:
        return _read(self.transport.request("GET", path, params=query))

    def _poll(self, path: str, query: Json, etag: str | None, wait_seconds: float) -> Polled:
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


def _of_poll(answer: Polled) -> Json | None:
    return answer.body


def _as_it_came(job: Json) -> tuple[datetime, int]:
    """Return a job's sort key: its time, and its number for equal times."""
    document = read(JobDocument, job)
    extras = document.qsession or JobExtrasDocument()
    return datetime.fromisoformat(document.created or ""), extras.number or 0


def _prefer(wait_seconds: float) -> dict[str, str]:
    return {PREFER: f"wait={wait_seconds:g}"} if wait_seconds > 0 else {}


def _part(name: str) -> str:
    """Quote a text as one segment of a path, so that no id reaches another endpoint."""
    if not name.strip("."):
        raise InvalidInputError(f"{name!r} is not an id or name")
    return quote(name, safe="")


def _read(answer: Answer) -> Json:
    try:
        body: Json = answer.json()
    except ValueError as error:
        raise ServiceError(
            f"{answer.request}: the answer is not JSON",
            status_code=answer.status_code,
        ) from error
    return body
