"""Routes of jobs: submit, list, read, cancel and delete them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.device_catalog import MOCK_PREFIX
from qsession_widget.runtime.http import (
    errors,
    holding,
    parsing,
    requested_shots,
    serializers,
    unsupported,
)
from qsession_widget.runtime.http.large_bodies import LargeBodies
from qsession_widget.runtime.http.long_poll import LongPoll
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.runtime.model.job import Job
from qsession_widget.runtime.model.lifecycle import NotAcceptingJobsError
from qsession_widget.runtime.pieces import LongText
from qsession_widget.runtime.store.store import JobFilter
from qsession_widget.wire.documents import LARGEST, CreatedJobDocument, JobsDocument
from qsession_widget.wire.fields import PREFER, mock_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.control.coordinator import Coordinator
    from qsession_widget.runtime.device_catalog import Device
    from qsession_widget.runtime.http.kept_answers import AnswersByKey, DeletedJobs
    from qsession_widget.runtime.http.large_texts import LargeTexts
    from qsession_widget.runtime.http.resources import Resources
    from qsession_widget.runtime.http.serializers import Serializer
    from qsession_widget.runtime.settings import Settings
    from qsession_widget.runtime.store.store import Store
    from qsession_widget.wire.documents import JobDocument

T = TypeVar("T")

_END_ON_DISK_SECONDS = 10.0


@dataclass(frozen=True)
class JobRoutes:
    """The endpoints below `/jobs`, but for results.

    Attributes:
        removed: is told of jobs that are deleted.
        acts: answers to actions that a client may request again.
        large: sends payloads that are large.
        polls: decides which quick polls are held.
        large_bodies: where a user's large jobs find room while they are received.
    """

    settings: Settings
    clock: Clock
    store: Store
    coordinator: Coordinator
    resources: Resources
    serializer: Serializer
    removed: DeletedJobs
    acts: AnswersByKey
    large: LargeTexts
    polls: LongPoll = field(default_factory=LongPoll)
    large_bodies: LargeBodies = field(default_factory=LargeBodies)

    def routes(self) -> list[Route]:
        """Return every route, relative to the API's prefix."""
        return [
            Route("/jobs", self.create_job, methods=["POST"]),
            Route("/jobs", self.list_jobs),
            Route("/jobs/{job_id}", self.read_job),
            Route("/jobs/{job_id}", self.delete_job, methods=["DELETE"]),
            Route("/jobs/{job_id}/cancel", self.cancel_job, methods=["POST"]),
            Route("/jobs/{job_id}/logs", self.read_logs),
            Route("/jobs/{job_id}/metrics", self.read_metrics),
        ]

    async def create_job(self, request: Request) -> Response:
        """POST /jobs: submit a job."""
        async with self.large_bodies.room(parsing.owner(request)) as room:
            body, payload = await parsing.job_body(request, self.settings, room)
            return await self._create_job(request, body, payload)

    async def _create_job(
        self, request: Request, body: dict[str, Any], payload: parsing.Payload
    ) -> Response:
        program_id = parsing.required_text(body, "program_id")
        if program_id not in self.settings.programs:
            raise errors.program_not_found(program_id, self.settings.programs)
        device = self.resources.backend(parsing.required_text(body, "backend"))
        refused = requested_shots.refusal(payload.requested, device, self.settings.max_shots)
        if refused is not None:
            raise errors.bad_request(refused, "Ask for fewer, in several jobs.")
        calibration_id = parsing.optional_text(body, "calibration_id")
        if calibration_id is not None:
            raise errors.bad_request(
                f"calibration_id is {calibration_id!r:.80}.",
                f"{device.name} has the calibration that was recorded, and no other: send none.",
            )
        unsupported.check(body)
        extra = parsing.extras(body)
        process = parsing.process(extra)
        job = Job(
            id="",
            owner=parsing.owner(request),
            backend=device.name,
            program_id=program_id,
            created_at=self.clock.now(),
            session_id=await self._session_of(request, body, device),
            cost_seconds=parsing.optional_seconds(body, "cost"),
            optimization_level=parsing.optimization_level(extra),
            private=body.get("private") is True,
            image=parsing.optional_text(body, "runtime"),
            log_level=parsing.optional_text(body, "log_level", bounds.LOG_LEVEL),
            tags=parsing.tags(body),
            pubs=payload.pubs,
            role=payload.role,
        )
        key = parsing.idempotency_key(request)
        # Only our own client sends a key, and it does not poll.
        held = key is None and not self.coordinator.queue_length(device.name)
        try:
            job_id = await self.coordinator.submit(job, payload.text, key, process)
        except NotAcceptingJobsError as error:
            raise errors.session_closed(str(error)) from error
        if held:
            ended = partial(self._has_ended, job.owner, job_id)
            await self._hold(request, job_id, ended, self.settings.hold_new_jobs_seconds)
        return JsonAnswer(
            CreatedJobDocument(
                id=job_id,
                backend=job.backend,
                session_id=serializers.sent(job.session_id),
                private=job.private or msgspec.UNSET,
            )
        )

    async def list_jobs(self, request: Request) -> Response:
        """GET /jobs: list jobs, the newest first."""
        query = request.query_params
        mocks = parsing.flag(query.get("include_mocks"), "include_mocks")
        wanted = JobFilter(
            backend=parsing.query_text(query, "backend"),
            session_id=parsing.query_text(query, "session_id"),
            program_id=parsing.query_text(query, "program"),
            pending=parsing.flag(query.get("pending"), "pending"),
            tags=parsing.query_tags(query),
            # A request that names a mock wants its jobs.
            mocks=mocks or (query.get("backend") or "").startswith(MOCK_PREFIX),
            created_after=parsing.time(query.get("created_after")),
            created_before=parsing.time(query.get("created_before")),
            ascending=parsing.ascending(query.get("sort")),
            limit=parsing.count(
                query.get("limit"), "limit", parsing.DEFAULT_PAGE, parsing.MAX_PAGE
            ),
            offset=parsing.count(query.get("offset"), "offset", 0, LARGEST),
        )
        jobs, total = await self.store.jobs(parsing.owner(request), wanted)
        return JsonAnswer(
            JobsDocument(
                jobs=self.serializer.jobs(jobs),
                # The official client asks for page after page until it has `count` jobs; past the
                # end, only this count stops it.
                count=total if jobs or not wanted.offset else wanted.offset,
                limit=wanted.limit,
                offset=wanted.offset,
            )
        )

    async def read_job(self, request: Request) -> Response:
        """GET /jobs/{id}: read a job. `Prefer: wait` holds it until the job changes."""
        known = request.headers.get("If-None-Match")
        without_params = parsing.flag(request.query_params.get("exclude_params"), "exclude_params")
        job_id = request.path_params["job_id"]

        async def look() -> Job | None:
            job = await self.resources.job(request)
            return None if serializers.etag(job) == known else job

        hold_seconds = 0.0
        if known is None and PREFER not in request.headers and self.settings.hold_quick_polls:
            hold_seconds = self.polls.hold_seconds(request.client, job_id)
        if not hold_seconds:
            job, headers = await holding.hold_as_preferred(
                self.coordinator.notifier, request, job_id, look
            )
            if job is None:
                return Response(status_code=304, headers={**headers, "ETag": known or ""})
        else:
            read = partial(self.resources.job, request)
            job, headers = await self._polled(request, job_id, read, hold_seconds), {}
        if job.state.final:
            self.polls.forget(request.client, job_id)
        else:
            self.polls.answered(request.client, job_id, quick=hold_seconds > 0)
        (document,) = self.serializer.jobs([job])
        headers = {**headers, "ETag": serializers.etag(job)}
        if without_params or job.private:
            return JsonAnswer(document, headers=headers)
        return await self._with_params(job, document, headers)

    async def _with_params(
        self, job: Job, document: JobDocument, headers: dict[str, str]
    ) -> Response:
        """Return a job with its payload as it was received: parsing a large one would take time."""
        params = await self.store.params(job.id)
        if params is None and job.state.final:
            # The params of a job that has ended may have been removed (see `retention`).
            return JsonAnswer(document, headers=headers)
        if params is None:
            raise errors.job_not_found(job.id)
        if isinstance(params, LongText):
            before = msgspec.json.encode(document)[:-1] + b',"params":'
            read = partial(self.store.params_in_pieces, job.id)
            return await self.large.answer(
                job.owner, read, before=before, after=b"}", headers=headers
            )
        whole = msgspec.structs.replace(document, params=msgspec.Raw(params.encode()))
        return JsonAnswer(whole, headers=headers)

    async def delete_job(self, request: Request) -> Response:
        """DELETE /jobs/{id}: delete a job, and cancel it first if it is unfinished."""
        job = await self.resources.job(request)
        await self.coordinator.delete_job(job.id)
        if job.session_id is not None:
            self.removed.add(job.session_id, self.coordinator.next_revision(), job.id)
            self.coordinator.notifier.notify([job.session_id])
        return Response(status_code=204)

    async def cancel_job(self, request: Request) -> Response:
        """POST /jobs/{id}/cancel: cancel a job."""
        job = await self.resources.job(request)
        key = parsing.idempotency_key(request)
        act = partial(self._cancel_job, request, job)
        await self.acts.once(job.owner, key, f"cancelling job {job.id}", act)
        return Response(status_code=204)

    async def _cancel_job(self, request: Request, job: Job) -> None:
        if not await self.coordinator.cancel_job(job.id):
            # The job may have ended without that being on disk yet: the answer names a final state.
            ended = partial(self._has_ended, job.owner, job.id)
            await self._hold(request, job.id, ended, _END_ON_DISK_SECONDS)
            job = await self.resources.job(request)
            raise errors.job_is_final(job.id, job.state.value)

    async def read_logs(self, request: Request) -> Response:
        """GET /jobs/{id}/logs: read a job's log."""
        return PlainTextResponse(serializers.log_text(await self.resources.job(request)))

    async def read_metrics(self, request: Request) -> Response:
        """GET /jobs/{id}/metrics: read the times and the usage of a job."""
        job = await self.resources.job(request)
        position = self.coordinator.queue_positions([job]).get(job.id)
        return JsonAnswer(serializers.metrics_document(job, queue_position=position))

    async def _has_ended(self, owner: str, job_id: str) -> bool | None:
        """Return True once a job's outcome can be read; None before."""
        # The store is not asked: an accepted job must not be answered with the store's failure.
        return None if self.coordinator.unfinished(owner, job_id) else True

    async def _polled(
        self,
        request: Request,
        job_id: str,
        look: Callable[[], Awaitable[Job]],
        hold_seconds: float,
    ) -> Job:
        """Hold a quick poll until the job changes or has ended."""
        before = await look()

        async def changed() -> Job | None:
            job = await look()
            unchanged = serializers.etag(job) == serializers.etag(before)
            return None if unchanged and not job.state.final else job

        return await self._hold(request, job_id, changed, hold_seconds) or await look()

    async def _hold(
        self, request: Request, key: str, look: Callable[[], Awaitable[T | None]], seconds: float
    ) -> T | None:
        return await holding.hold(self.coordinator.notifier, request, key, look, seconds)

    async def _session_of(
        self, request: Request, body: dict[str, Any], device: Device
    ) -> str | None:
        """Check that the session which a job names exists and is on the job's backend."""
        session_id = parsing.optional_text(body, "session_id")
        if session_id is None:
            return None
        session = self.coordinator.session(parsing.owner(request), session_id)
        session = session or await self.resources.session(request, session_id)
        if device.name == mock_of(session.backend):
            # A dry run uses neither the session's backend nor its time.
            return None
        if session.backend != device.name:
            raise errors.bad_request(
                f"The job is for {device.name}; its session is on {session.backend}.",
                "Send the job to its session's backend.",
            )
        return session.id
