"""The REST API: reads requests, asks coordinator and store, writes answers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from qsession_widget.runtime import documents, problems
from qsession_widget.runtime.job import Job
from qsession_widget.runtime.lifecycle import NotAcceptingJobsError
from qsession_widget.runtime.store import JobFilter
from qsession_widget.wire.fields import (
    EXTRA,
    IDEMPOTENCY_KEY,
    PREFER,
    PREFERENCE_APPLIED,
    PROGRAMS,
    wait_preference,
)
from qsession_widget.wire.states import JobState, Mode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.coordinator import Coordinator
    from qsession_widget.runtime.devices import Catalog, Device
    from qsession_widget.runtime.lifecycle import Session
    from qsession_widget.runtime.settings import Settings
    from qsession_widget.runtime.store import Store

T = TypeVar("T")

MAX_PAGE = 200
DEFAULT_PAGE = 20
MAX_OPTIMIZATION_LEVEL = 3
LARGEST = 2**53 - 1
"""Largest whole number that every reader of JSON, and the store, holds exactly."""


@dataclass(frozen=True)
class Api:
    """What the endpoints work with.

    Attributes:
        version: of the package.
        shut_down: asks the server to end.
    """

    settings: Settings
    clock: Clock
    catalog: Catalog
    store: Store
    coordinator: Coordinator
    version: str
    shut_down: Callable[[], None]

    def routes(self) -> list[Route]:
        """Give every route, relative to the API's prefix."""
        return [
            Route("/backends", self.list_backends),
            Route("/backends/{name}/configuration", self.read_configuration),
            Route("/backends/{name}/properties", self.read_properties),
            Route("/backends/{name}/status", self.read_status),
            Route("/instances/usage", self.read_usage),
            Route("/sessions", self.create_session, methods=["POST"]),
            Route("/sessions/{session_id}", self.read_session),
            Route("/sessions/{session_id}", self.patch_session, methods=["PATCH"]),
            Route("/sessions/{session_id}/close", self.cancel_session, methods=["DELETE"]),
            Route("/jobs", self.create_job, methods=["POST"]),
            Route("/jobs", self.list_jobs),
            Route("/jobs/{job_id}", self.read_job),
            Route("/jobs/{job_id}", self.delete_job, methods=["DELETE"]),
            Route("/jobs/{job_id}/results", self.read_results),
            Route("/jobs/{job_id}/cancel", self.cancel_job, methods=["POST"]),
            Route("/jobs/{job_id}/logs", self.read_logs),
            Route("/jobs/{job_id}/metrics", self.read_metrics),
            Route("/qsession", self.read_runtime),
            Route("/qsession/watch", self.watch),
            Route("/qsession/jobs/{job_id}/interim", self.read_interim),
            Route(
                "/qsession/sessions/{session_id}/cancel_queued",
                self.cancel_queued,
                methods=["POST"],
            ),
            Route("/qsession/shutdown", self.shutdown, methods=["POST"]),
        ]

    # -- devices ---------------------------------------------------------------------------

    async def list_backends(self, _request: Request) -> Response:
        """GET /backends."""

        def describe() -> list[dict[str, Any]]:
            found = (self.catalog.get(name) for name in self.catalog.names())
            return [
                documents.device_document(device, queue_length=lengths[device.name])
                for device in found
                if device is not None
            ]

        lengths = {name: self.coordinator.queue_length(name) for name in self.catalog.names()}
        # The first call reads the devices' files.
        return JSONResponse({"devices": await asyncio.to_thread(describe)})

    async def read_configuration(self, request: Request) -> Response:
        """GET /backends/{name}/configuration."""
        return JSONResponse(self._device(request.path_params["name"]).configuration)

    async def read_properties(self, request: Request) -> Response:
        """GET /backends/{name}/properties."""
        return JSONResponse(self._device(request.path_params["name"]).properties)

    async def read_status(self, request: Request) -> Response:
        """GET /backends/{name}/status."""
        device = self._device(request.path_params["name"])
        length = self.coordinator.queue_length(device.name)
        return JSONResponse(documents.device_status_document(device, queue_length=length))

    async def read_usage(self, _request: Request) -> Response:
        """GET /instances/usage: the local runtime costs nothing and has no limit."""
        return JSONResponse(
            {
                "instance_id": "local",
                "plan_id": "local",
                "usage_consumed_seconds": 0,
                "usage_limit_reached": False,
            }
        )

    # -- sessions --------------------------------------------------------------------------

    async def create_session(self, request: Request) -> Response:
        """POST /sessions."""
        body = await self._body(request)
        device = self._device(_text(body, "backend", body.get("backend_name")))
        if device.simulator:
            raise problems.bad_request(
                f"{device.name} is a simulator; simulators have no sessions.",
                "Send its jobs without a session.",
            )
        mode = _text(body, "mode", Mode.DEDICATED.value)
        if mode not in set(Mode):
            raise problems.bad_request(
                f"mode is {mode!r:.80}.",
                f"Allowed are {', '.join(repr(each.value) for each in Mode)}.",
            )
        session_id = await self.coordinator.create_session(
            _owner(request),
            device.name,
            Mode(mode),
            self._max_seconds(body),
            request.headers.get(IDEMPOTENCY_KEY),
        )
        return await self._session_answer(request, session_id)

    async def read_session(self, request: Request) -> Response:
        """GET /sessions/{id}."""
        return await self._session_answer(request, request.path_params["session_id"])

    async def patch_session(self, request: Request) -> Response:
        """PATCH /sessions/{id} with `{"accepting_jobs": false}`: closes it."""
        session = await self._session(request)
        body = await self._body(request)
        if body.get("accepting_jobs") is not False:
            raise problems.bad_request(
                f"accepting_jobs is {body.get('accepting_jobs')!r:.80}.",
                "Only false is allowed: a session cannot be opened again.",
            )
        await self.coordinator.close_session(session.id)
        return Response(status_code=204)

    async def cancel_session(self, request: Request) -> Response:
        """DELETE /sessions/{id}/close: cancels what is queued, and closes."""
        session = await self._session(request)
        await self.coordinator.cancel_session(session.id)
        return Response(status_code=204)

    async def cancel_queued(self, request: Request) -> Response:
        """POST /qsession/sessions/{id}/cancel_queued: leaves the session open."""
        session = await self._session(request)
        return JSONResponse({"cancelled": await self.coordinator.cancel_queued(session.id)})

    # -- jobs ------------------------------------------------------------------------------

    async def create_job(self, request: Request) -> Response:
        """POST /jobs."""
        body = await self._body(request)
        program_id = _text(body, "program_id")
        if program_id not in PROGRAMS:
            raise problems.program_not_found(program_id, PROGRAMS)
        if not isinstance(body.get("params"), dict):
            raise problems.bad_request("params is missing or no object.", "Send the pubs in it.")
        device = self._device(_text(body, "backend"))
        job = Job(
            id="",
            owner=_owner(request),
            backend=device.name,
            program_id=program_id,
            created_at=self.clock.now(),
            session_id=await self._job_session(request, body, device),
            cost_seconds=_optional_seconds(body, "cost"),
            optimization_level=_optimization_level(body),
            private=body.get("private") is True,
            image=_optional_text(body, "runtime"),
            log_level=_optional_text(body, "log_level"),
            tags=_tags(body),
        )
        params = _as_json(body["params"])
        try:
            job_id = await self.coordinator.submit(
                job, params, request.headers.get(IDEMPOTENCY_KEY)
            )
        except NotAcceptingJobsError as error:
            raise problems.session_closed(str(error)) from error
        answer = {"id": job_id, "backend": job.backend}
        if job.session_id is not None:
            answer["session_id"] = job.session_id
        return JSONResponse(answer)

    async def list_jobs(self, request: Request) -> Response:
        """GET /jobs."""
        query = request.query_params
        pending = {"true": True, "false": False}.get(query.get("pending", "").lower())
        wanted = JobFilter(
            backend=query.get("backend"),
            session_id=query.get("session_id"),
            program_id=query.get("program"),
            pending=pending,
            tags=tuple(query.getlist("tags")),
            created_after=_time(query.get("created_after")),
            created_before=_time(query.get("created_before")),
            ascending=query.get("sort", "").upper() == "ASC",
            limit=_count(query.get("limit"), "limit", DEFAULT_PAGE, MAX_PAGE),
            offset=_count(query.get("offset"), "offset", 0, LARGEST),
        )
        jobs, total = await self.store.jobs(_owner(request), wanted)
        return JSONResponse(
            {
                "jobs": self._job_documents(jobs),
                # The official client asks for page after page until it has `count` jobs; past the
                # end only this answer stops it.
                "count": total if jobs or not wanted.offset else wanted.offset,
                "limit": wanted.limit,
                "offset": wanted.offset,
            }
        )

    async def read_job(self, request: Request) -> Response:
        """GET /jobs/{id}; `Prefer: wait` with `If-None-Match` holds it until the job changes."""
        known = request.headers.get("If-None-Match")
        owner, job_id = _owner(request), request.path_params["job_id"]

        async def look() -> Job | None:
            job = await self.store.job(owner, job_id)
            if job is None:
                raise problems.job_not_found(job_id)
            return None if _etag(job) == known else job

        job, headers = await self._held(request, job_id, look)
        if job is None:
            return Response(status_code=304, headers={**headers, "ETag": known or ""})
        (document,) = self._job_documents([job])
        headers = {**headers, "ETag": _etag(job)}
        if request.query_params.get("exclude_params") == "true" or job.private:
            return JSONResponse(document, headers=headers)
        params = await self.store.params(job.id)
        if params is None:
            raise problems.job_not_found(job_id)
        # The payload goes out as it came in: it may be large, and nothing of it concerns us.
        text = f'{json.dumps(document)[:-1]},"params":{params}}}'
        return Response(text, headers=headers, media_type="application/json")

    async def delete_job(self, request: Request) -> Response:
        """DELETE /jobs/{id}: cancels it if need be."""
        job = await self._job(request)
        await self.coordinator.delete_job(job.id)
        return Response(status_code=204)

    async def cancel_job(self, request: Request) -> Response:
        """POST /jobs/{id}/cancel."""
        job = await self._job(request)
        if not await self.coordinator.cancel_job(job.id):
            job = await self._job(request)
            raise problems.job_is_final(job.id, job.state.value)
        return Response(status_code=204)

    async def read_results(self, request: Request) -> Response:
        """GET /jobs/{id}/results: the program's own text; of a failed job, its reason."""
        job = await self._job(request)
        if job.state is JobState.FAILED:
            return PlainTextResponse(job.reason or "")
        text = await self.store.result(job.id)
        return Response(status_code=204) if text is None else PlainTextResponse(text)

    async def read_logs(self, request: Request) -> Response:
        """GET /jobs/{id}/logs."""
        return PlainTextResponse(documents.log_text(await self._job(request)))

    async def read_metrics(self, request: Request) -> Response:
        """GET /jobs/{id}/metrics."""
        return JSONResponse(documents.metrics_document(await self._job(request)))

    async def read_interim(self, request: Request) -> Response:
        """GET /qsession/jobs/{id}/interim: results of pubs that are done, after the first K."""
        after = _count(request.query_params.get("after"), "after", 0, LARGEST)
        job_id = request.path_params["job_id"]

        async def look() -> Job | None:
            job = await self._job(request)
            more = len(self.coordinator.interim(job_id)) > after
            return job if more or job.state.final else None

        job, headers = await self._held(request, job_id, look)
        found = self.coordinator.interim(job_id)[after:]
        return JSONResponse(
            {
                "interim": found,
                "next": after + len(found),
                "final": job is not None and job.state.final,
            },
            headers=headers,
        )

    # -- the runtime itself ----------------------------------------------------------------

    async def read_runtime(self, _request: Request) -> Response:
        """GET /qsession: who we are and what we can do beyond IBM's API."""
        return JSONResponse(
            {
                "name": "qsession-widget",
                "version": self.version,
                "features": ["interim", "transpile", "wait", "watch"],
                "max_session_seconds": self.settings.max_session_seconds,
                "now": documents.instant(self.clock.now()),
                "rate": self.clock.rate,
                "queues": {
                    name: length
                    for name in self.catalog.names()
                    if (length := self.coordinator.queue_length(name))
                },
                "sessions": self.coordinator.session_count,
            }
        )

    async def watch(self, request: Request) -> Response:
        """GET /qsession/watch: a session and those of its jobs that changed since a revision."""
        session_id = request.query_params.get("session_id", "")
        since = _count(request.query_params.get("since"), "since", 0, LARGEST)
        owner = _owner(request)

        async def look() -> tuple[Session, list[Job]] | None:
            session, jobs = await self.store.changed(owner, session_id, since)
            if session is None:
                raise problems.session_not_found(session_id)
            return (session, jobs) if jobs or session.revision > since else None

        found, headers = await self._held(request, session_id, look)
        if found is None:
            return Response(status_code=304, headers=headers)
        session, jobs = found
        now = self.clock.now()
        return JSONResponse(
            {
                "revision": max([session.revision, *(job.revision for job in jobs)]),
                "session": documents.session_document(session, now=now, rate=self.clock.rate),
                "jobs": self._job_documents(jobs),
                "now": documents.instant(now),
            },
            headers=headers,
        )

    async def shutdown(self, _request: Request) -> Response:
        """POST /qsession/shutdown."""
        self.shut_down()
        return Response(status_code=202)

    # -- helpers ---------------------------------------------------------------------------

    async def _held(
        self, request: Request, key: str, look: Callable[[], Awaitable[T | None]]
    ) -> tuple[T | None, dict[str, str]]:
        """Look until there is something, at most as long as the client prefers to wait."""
        seconds = wait_preference(request.headers.get(PREFER))
        if not seconds:
            return await look(), {}
        headers = {PREFERENCE_APPLIED: "wait"}
        with self.coordinator.changes.watch(key) as changed:
            try:
                async with asyncio.timeout(seconds):
                    while (found := await look()) is None and not self.coordinator.changes.closed:
                        await changed.wait()
                        changed.clear()
            except TimeoutError:
                return None, headers
        return found, headers

    def _device(self, name: str) -> Device:
        device = self.catalog.get(name)
        if device is None:
            raise problems.backend_not_found(name, self.catalog.names())
        return device

    async def _session(self, request: Request) -> Session:
        session_id = request.path_params["session_id"]
        session = await self.store.session(_owner(request), session_id)
        if session is None:
            raise problems.session_not_found(session_id)
        return session

    async def _session_answer(self, request: Request, session_id: str) -> Response:
        session = await self.store.session(_owner(request), session_id)
        if session is None:
            raise problems.session_not_found(session_id)
        document = documents.session_document(session, now=self.clock.now(), rate=self.clock.rate)
        return JSONResponse(document)

    async def _job(self, request: Request) -> Job:
        job_id = request.path_params["job_id"]
        job = await self.store.job(_owner(request), job_id)
        if job is None:
            raise problems.job_not_found(job_id)
        return job

    def _job_documents(self, jobs: list[Job]) -> list[dict[str, Any]]:
        positions = self.coordinator.queue_positions(jobs)
        return [documents.job_document(job, queue_position=positions.get(job.id)) for job in jobs]

    async def _job_session(
        self, request: Request, body: dict[str, Any], device: Device
    ) -> str | None:
        """Check the session that a job names: it exists and is on the job's device."""
        session_id = body.get("session_id")
        if session_id is None:
            return None
        session = await self.store.session(_owner(request), str(session_id))
        if session is None:
            raise problems.session_not_found(str(session_id))
        if session.backend != device.name:
            raise problems.bad_request(
                f"The job is for {device.name}; its session is on {session.backend}.",
                "Send the job to its session's backend.",
            )
        return session.id

    def _max_seconds(self, body: dict[str, Any]) -> int:
        limit = self.settings.max_session_seconds
        seconds = body.get("max_ttl", limit)
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not 1 <= seconds <= limit:
            raise problems.bad_request(
                f"max_ttl is {seconds!r:.80}.", f"Allowed are whole seconds from 1 to {limit}."
            )
        return seconds

    async def _body(self, request: Request) -> dict[str, Any]:
        limit = self.settings.max_body_bytes
        raw = bytearray()
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > limit:
                raise problems.body_too_large(limit)
        try:
            body = json.loads(raw, parse_constant=_refuse_constant)
            if b"\\ud" in raw.lower():
                # Half a surrogate pair is JSON, but no text that can be stored or sent.
                json.dumps(body, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise problems.bad_request(f"The body is not JSON: {_printable(error)}") from error
        if not isinstance(body, dict):
            raise problems.bad_request("The body is no JSON object.")
        return body


def _owner(request: Request) -> str:
    return str(request.user.username)


def _etag(job: Job) -> str:
    return f'"{job.revision}"'


def _text(body: dict[str, Any], name: str, default: Any = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or not value:
        raise problems.bad_request(f"{name} is {value!r:.80}.", "It has to be a text.")
    return value


def _optional_text(body: dict[str, Any], name: str) -> str | None:
    return None if body.get(name) is None else _text(body, name)


def _as_json(params: dict[str, Any]) -> str:
    try:
        return json.dumps(params, separators=(",", ":"), allow_nan=False)
    # What can just be read may be nested too deeply to be written; 1e999 is read as infinity.
    except (ValueError, RecursionError) as error:
        raise problems.bad_request(f"params cannot be kept: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _printable(error: Exception) -> str:
    return str(error).encode(errors="backslashreplace").decode()


def _optional_seconds(body: dict[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        raise problems.bad_request(
            f"{name} is {value!r:.80}.", f"Allowed are whole seconds from 1 to {LARGEST}."
        )
    return value


def _optimization_level(body: dict[str, Any]) -> int:
    extra = body.get(EXTRA, {})
    if not isinstance(extra, dict):
        raise problems.bad_request(
            f"{EXTRA} is {extra!r:.80}.", "It has to be an object, such as with optimization_level."
        )
    level = extra.get("optimization_level", 1)
    if type(level) is not int or not 0 <= level <= MAX_OPTIMIZATION_LEVEL:
        raise problems.bad_request(
            f"optimization_level is {level!r:.80}.", f"Allowed are 0 to {MAX_OPTIMIZATION_LEVEL}."
        )
    return level


def _tags(body: dict[str, Any]) -> tuple[str, ...]:
    tags = body.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise problems.bad_request(f"tags is {tags!r:.80}.", "It has to be a list of texts.")
    return tuple(tags)


def _count(text: str | None, name: str, default: int, limit: int) -> int:
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise problems.bad_request(f"{name} is {text!r}.", "It has to be a whole number from 0.")
    return min(value, limit)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise problems.bad_request(f"{text!r} is no time.", "Use ISO 8601.") from error
    return when if when.tzinfo else when.replace(tzinfo=UTC)
