"""The REST API: reads requests, asks coordinator and store, writes answers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.control.admission import NewSession
from qsession_widget.runtime.device_catalog import MOCK_PREFIX
from qsession_widget.runtime.http import errors, parsing, requested_shots, serializers, unsupported
from qsession_widget.runtime.http.kept_answers import (
    KEPT_SECONDS,
    AnswersByKey,
    AttentiveAnswer,
    GivenOnce,
    Removed,
)
from qsession_widget.runtime.http.large_bodies import LargeBodies
from qsession_widget.runtime.http.middleware.long_poll import LongPoll
from qsession_widget.runtime.http.requester import is_administrator
from qsession_widget.runtime.http.responses import LARGE_CHARACTERS, JsonAnswer, LongAnswer
from qsession_widget.runtime.http.routes.users import require_administrator
from qsession_widget.runtime.model.job import Job
from qsession_widget.runtime.model.lifecycle import NotAcceptingJobsError
from qsession_widget.runtime.store.store import JobFilter, Write
from qsession_widget.wire.fields import (
    API_VERSION,
    API_VERSION_HEADER,
    DESCRIBED_DEVICES_SINCE,
    PREFER,
    PREFERENCE_APPLIED,
    PROGRAMS,
    mock_of,
    wait_preference,
)
from qsession_widget.wire.states import JobState, Mode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.control.coordinator import Coordinator
    from qsession_widget.runtime.device_catalog import Catalog, Device
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.settings import Settings
    from qsession_widget.runtime.store.store import Store

T = TypeVar("T")

_END_ON_DISK_SECONDS = 10.0
FIXED_TTLS = ("max_ttl", "interactive_ttl", "active_ttl")
"""What a session gets when it is opened, for good."""


@dataclass(frozen=True)
class Api:
    """What the endpoints work with.

    Attributes:
        version: of the package.
        shut_down: asks the server to end.
        polls: who asks again and again, and is held.
        private_results: is held by who takes a private job's result.
        given: who was given one.
        acts: what came of acts that a client may ask for again.
        removed: jobs that were deleted, for who watches their session.
        large_bodies: where a user's large jobs find room while they come in.
        large_answers: likewise while they are sent.
        background: what goes on after an answer.
    """

    settings: Settings
    clock: Clock
    catalog: Catalog
    store: Store
    coordinator: Coordinator
    version: str
    shut_down: Callable[[], None]
    polls: LongPoll = field(default_factory=LongPoll)
    private_results: asyncio.Lock = field(default_factory=asyncio.Lock)
    given: GivenOnce = field(default_factory=GivenOnce)
    acts: AnswersByKey = field(default_factory=AnswersByKey)
    removed: Removed = field(default_factory=Removed)
    large_bodies: LargeBodies = field(default_factory=LargeBodies)
    large_answers: LargeBodies = field(default_factory=LargeBodies)
    background: set[asyncio.Task[None]] = field(default_factory=set)

    def routes(self) -> list[Route]:
        """Give every route, relative to the API's prefix."""
        return [
            # They are tried one after the other, so that what is asked for most comes first.
            Route("/jobs", self.create_job, methods=["POST"]),
            Route("/qsession/jobs/{job_id}/outcome", self.read_outcome),
            Route("/qsession/watch", self.watch),
            Route("/jobs", self.list_jobs),
            Route("/jobs/{job_id}", self.read_job),
            Route("/jobs/{job_id}", self.delete_job, methods=["DELETE"]),
            Route("/jobs/{job_id}/results", self.read_results),
            Route("/jobs/{job_id}/cancel", self.cancel_job, methods=["POST"]),
            Route("/jobs/{job_id}/logs", self.read_logs),
            Route("/jobs/{job_id}/metrics", self.read_metrics),
            Route("/sessions", self.create_session, methods=["POST"]),
            Route("/sessions/{session_id}", self.read_session),
            Route("/sessions/{session_id}", self.patch_session, methods=["PATCH"]),
            Route("/sessions/{session_id}/close", self.cancel_session, methods=["DELETE"]),
            Route("/backends", self.list_backends),
            Route("/backends/{name}/configuration", self.read_configuration),
            Route("/backends/{name}/properties", self.read_properties),
            Route("/backends/{name}/defaults", self.read_defaults),
            Route("/backends/{name}/status", self.read_status),
            Route("/qsession", self.read_runtime),
            Route("/qsession/jobs/{job_id}/interim", self.read_interim),
            Route(
                "/qsession/sessions/{session_id}/cancel_queued",
                self.cancel_queued,
                methods=["POST"],
            ),
            Route("/qsession/shutdown", self.shutdown, methods=["POST"]),
        ]

    # -- devices ---------------------------------------------------------------------------

    async def list_backends(self, request: Request) -> Response:
        """GET /backends."""
        mocks = parsing.flag(request.query_params.get("include_mocks"), "include_mocks") is True
        # The first call reads the devices' files.
        found = await asyncio.to_thread(self.catalog.in_order_of_choice, mocks=mocks)
        if request.headers.get(API_VERSION_HEADER, API_VERSION) < DESCRIBED_DEVICES_SINCE:
            return JsonAnswer({"devices": [device.name for device in found]})
        described = [
            serializers.device_document(
                device, queue_length=self.coordinator.queue_length(device.name)
            )
            for device in found
        ]
        return JsonAnswer({"devices": described})

    async def read_configuration(self, request: Request) -> Response:
        """GET /backends/{name}/configuration."""
        return JsonAnswer(self._calibrated(request).configuration)

    async def read_properties(self, request: Request) -> Response:
        """GET /backends/{name}/properties."""
        # It was recorded once, so that what is asked for is all there is before any time.
        parsing.time(request.query_params.get("updated_before"))
        return JsonAnswer(self._calibrated(request).properties)

    async def read_defaults(self, request: Request) -> Response:
        """GET /backends/{name}/defaults: no pulses, for older releases of IBM's client."""
        self._device(request.path_params["name"])
        return JsonAnswer({})

    async def read_status(self, request: Request) -> Response:
        """GET /backends/{name}/status."""
        device = self._device(request.path_params["name"])
        length = self.coordinator.queue_length(device.name)
        return JsonAnswer(serializers.device_status_document(device, queue_length=length))

    # -- sessions --------------------------------------------------------------------------

    async def create_session(self, request: Request) -> Response:
        """POST /sessions."""
        body = await parsing.body(request, bounds.SMALL_BODY_BYTES)
        device = self._device(parsing.required_text(body, "backend", body.get("backend_name")))
        if device.simulator:
            raise errors.bad_request(
                f"{device.name} is a simulator; simulators have no sessions.",
                "Send its jobs without a session.",
            )
        mode = parsing.required_text(body, "mode", Mode.DEDICATED.value)
        if mode not in set(Mode):
            raise errors.bad_request(
                f"mode is {mode!r:.80}.",
                f"Allowed are {', '.join(repr(each.value) for each in Mode)}.",
            )
        # There is one, and it has a name and an id as long as others'.
        parsing.optional_text(body, "instance")
        max_seconds = self._max_seconds(body)
        idle_limit = self.settings.interactive_limit(Mode(mode))
        wanted = NewSession(
            parsing.owner(request),
            device.name,
            Mode(mode),
            max_seconds,
            parsing.seconds_up_to(body, "interactive_ttl", idle_limit),
            parsing.seconds_up_to(body, "active_ttl", max_seconds),
        )
        key = parsing.idempotency_key(request)
        session_id = await self.coordinator.create_session(wanted, key)
        return await self._session_answer(request, session_id)

    async def read_session(self, request: Request) -> Response:
        """GET /sessions/{id}."""
        return await self._session_answer(request, request.path_params["session_id"])

    async def patch_session(self, request: Request) -> Response:
        """PATCH /sessions/{id} with `{"accepting_jobs": false}`: closes it."""
        session = await self._session(request)
        body = await parsing.body(request, bounds.SMALL_BODY_BYTES)
        if body.get("accepting_jobs") is not False:
            raise errors.bad_request(
                f"accepting_jobs is {body.get('accepting_jobs')!r:.80}.",
                "Only false is allowed: a session cannot be opened again.",
            )
        fixed = [name for name in FIXED_TTLS if name in body]
        if fixed:
            raise errors.bad_request(
                f"{', '.join(fixed)} of a session cannot be changed.",
                "Open a session with other times, or leave them out.",
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
        key = parsing.idempotency_key(request)
        act = partial(self.coordinator.cancel_queued, session.id)
        what = f"cancelling what is queued in session {session.id}"
        return JsonAnswer({"cancelled": await self.acts.once(session.owner, key, what, act)})

    # -- jobs ------------------------------------------------------------------------------

    async def create_job(self, request: Request) -> Response:
        """POST /jobs."""
        async with self.large_bodies.room(parsing.owner(request)) as room:
            body, payload = await parsing.job_body(request, self.settings, room)
            return await self._create_job(request, body, payload)

    async def _create_job(
        self, request: Request, body: dict[str, Any], payload: parsing.Payload
    ) -> Response:
        program_id = parsing.required_text(body, "program_id")
        if program_id not in PROGRAMS:
            raise errors.program_not_found(program_id, PROGRAMS)
        device = self._device(parsing.required_text(body, "backend"))
        refused = requested_shots.refusal(payload.asked, device, self.settings.max_shots)
        if refused is not None:
            raise errors.bad_request(refused, "Ask for fewer, in several jobs.")
        calibration_id = parsing.optional_text(body, "calibration_id")
        if calibration_id is not None:
            raise errors.bad_request(
                f"calibration_id is {calibration_id!r:.80}.",
                f"{device.name} has the calibration that was recorded, and no other: send none.",
            )
        unsupported.check(body)
        job = Job(
            id="",
            owner=parsing.owner(request),
            backend=device.name,
            program_id=program_id,
            created_at=self.clock.now(),
            session_id=await self._job_session(request, body, device),
            cost_seconds=parsing.optional_seconds(body, "cost"),
            optimization_level=parsing.optimization_level(body),
            private=body.get("private") is True,
            image=parsing.optional_text(body, "runtime"),
            log_level=parsing.optional_text(body, "log_level", bounds.LOG_LEVEL),
            tags=parsing.tags(body),
            pubs=payload.pubs,
        )
        key = parsing.idempotency_key(request)
        # Only our own client sends a key, and it does not poll.
        held = key is None and not self.coordinator.queue_length(device.name)
        try:
            job_id = await self.coordinator.submit(job, payload.text, key)
        except NotAcceptingJobsError as error:
            raise errors.session_closed(str(error)) from error
        if held:
            ended = partial(self._end_on_disk, job.owner, job_id)
            await self._hold(request, job_id, ended, self.settings.hold_new_jobs_seconds)
        answer: dict[str, Any] = {"id": job_id, "backend": job.backend}
        if job.session_id is not None:
            answer["session_id"] = job.session_id
        if job.private:
            answer["private"] = True
        return JsonAnswer(answer)

    async def _end_on_disk(self, owner: str, job_id: str) -> bool | None:
        """Give True once a job's end can be read; None before."""
        # The store is not asked: a job that was taken must not be answered with its failure.
        return None if self.coordinator.unfinished(owner, job_id) else True

    async def list_jobs(self, request: Request) -> Response:
        """GET /jobs."""
        query = request.query_params
        mocks = parsing.flag(query.get("include_mocks"), "include_mocks")
        wanted = JobFilter(
            backend=parsing.query_text(query, "backend"),
            session_id=parsing.query_text(query, "session_id"),
            program_id=parsing.query_text(query, "program"),
            pending=parsing.flag(query.get("pending"), "pending"),
            tags=parsing.query_tags(query),
            # Whoever names a mock means it.
            mocks=mocks or (query.get("backend") or "").startswith(MOCK_PREFIX),
            created_after=parsing.time(query.get("created_after")),
            created_before=parsing.time(query.get("created_before")),
            ascending=parsing.ascending(query.get("sort")),
            limit=parsing.count(
                query.get("limit"), "limit", parsing.DEFAULT_PAGE, parsing.MAX_PAGE
            ),
            offset=parsing.count(query.get("offset"), "offset", 0, parsing.LARGEST),
        )
        jobs, total = await self.store.jobs(parsing.owner(request), wanted)
        return JsonAnswer(
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
        without_params = parsing.flag(request.query_params.get("exclude_params"), "exclude_params")
        owner, job_id = parsing.owner(request), request.path_params["job_id"]

        async def read() -> Job:
            job = await self.store.job(owner, job_id)
            if job is None:
                raise errors.job_not_found(job_id)
            return job

        async def look() -> Job | None:
            job = await read()
            return None if _etag(job) == known else job

        hold_seconds = 0.0
        if known is None and PREFER not in request.headers and self.settings.hold_quick_polls:
            hold_seconds = self.polls.hold_seconds(request.client, job_id)
        if not hold_seconds:
            job, headers = await self._held(request, job_id, look)
            if job is None:
                return Response(status_code=304, headers={**headers, "ETag": known or ""})
        else:
            job, headers = await self._polled(request, job_id, read, hold_seconds), {}
        if job.state.final:
            self.polls.forget(request.client, job_id)
        else:
            self.polls.answered(request.client, job_id, quick=hold_seconds > 0)
        (document,) = self._job_documents([job])
        headers = {**headers, "ETag": _etag(job)}
        if without_params or job.private:
            return JsonAnswer(document, headers=headers)
        return await self._with_params(job, document, headers)

    async def _with_params(
        self, job: Job, document: dict[str, Any], headers: dict[str, str]
    ) -> Response:
        params = await self.store.params(job.id)
        if params is None and job.state.final:
            # They were too old, or too much.
            return JsonAnswer(document, headers=headers)
        if params is None:
            raise errors.job_not_found(job.id)
        # The payload goes out as it came in: it may be large, and nothing of it concerns us.
        before = f'{json.dumps(document)[:-1]},"params":'.encode()
        if len(params) > LARGE_CHARACTERS:
            del params
            read = partial(self.store.params, job.id)
            return await self._long(job.owner, read, before=before, after=b"}", headers=headers)
        text = before + params.encode() + b"}"
        return Response(text, headers=headers, media_type="application/json")

    async def _long(
        self, owner: str, read: Callable[[], Awaitable[str | None]], **more: Any
    ) -> Response:
        """Answer with a long text, of which a user has so many at once.

        Args:
            owner: who asks.
            read: reads it, once there is room for it.
            more: as for `LongAnswer`.
        """
        places = self.large_answers.of(owner)
        await places.acquire()
        text: str | None = None
        try:
            text = await read()
        finally:
            if text is None:
                places.release()
        if text is None:
            raise errors.store_unavailable("it was removed while the request waited")
        return LongAnswer(text, places.release, **more)

    async def _polled(
        self,
        request: Request,
        job_id: str,
        look: Callable[[], Awaitable[Job]],
        hold_seconds: float,
    ) -> Job:
        """Hold a quick poll until the job changes or has ended."""
        asked_at = await look()

        async def changed() -> Job | None:
            job = await look()
            return job if job.state.final or _etag(job) != _etag(asked_at) else None

        return await self._hold(request, job_id, changed, hold_seconds) or await look()

    async def delete_job(self, request: Request) -> Response:
        """DELETE /jobs/{id}: cancels it if need be."""
        job = await self._job(request)
        await self.coordinator.delete_job(job.id)
        if job.session_id is not None:
            self.removed.add(job.session_id, self.coordinator.next_revision(), job.id)
            self.coordinator.notifier.notify([job.session_id])
        return Response(status_code=204)

    async def cancel_job(self, request: Request) -> Response:
        """POST /jobs/{id}/cancel."""
        job = await self._job(request)
        key = parsing.idempotency_key(request)
        act = partial(self._cancel_job, request, job)
        await self.acts.once(job.owner, key, f"cancelling job {job.id}", act)
        return Response(status_code=204)

    async def _cancel_job(self, request: Request, job: Job) -> None:
        if not await self.coordinator.cancel_job(job.id):
            # Its end may be on its way to the disk: what it is said to be must be final.
            ended = partial(self._end_on_disk, job.owner, job.id)
            await self._hold(request, job.id, ended, _END_ON_DISK_SECONDS)
            job = await self._job(request)
            raise errors.job_is_final(job.id, job.state.value)

    async def read_results(self, request: Request) -> Response:
        """GET /jobs/{id}/results: the program's own text; of a failed job, its reason.

        Of a private job the result is given once: for a minute again to the same
        `Idempotency-Key`, or to who comes after a connection that broke with the answer.
        """
        key = parsing.idempotency_key(request)
        job = await self._job(request)
        if job.state is JobState.FAILED:
            return PlainTextResponse(job.reason or "")
        if job.private:
            return await self._result_once(job, key)
        text = await self.store.result(job.id)
        if text is None and job.state is JobState.COMPLETED:
            raise errors.result_removed(job.id)
        if text is None:
            return Response(status_code=204)
        if len(text) > LARGE_CHARACTERS:
            del text
            return await self._long(
                job.owner, partial(self.store.result, job.id), media_type="text/plain"
            )
        return PlainTextResponse(text)

    async def _result_once(self, job: Job, key: str | None) -> Response:
        """Give a private job's result to who may have it, and forget it once it has arrived."""
        async with self.private_results:
            text = await self.store.result(job.id)
            if text is None or not self.given.may_have(job.id, key):
                return Response(status_code=204)
            if self.given.give(job.id, key):
                later = asyncio.create_task(self._spend_later(job.id))
                self.background.add(later)
                later.add_done_callback(self.background.discard)
        if key is not None:
            return PlainTextResponse(text)

        async def heard(lost: bool) -> None:
            if lost:
                self.given.give(job.id, None, lost=True)
            else:
                await self._spend(job.id)

        return AttentiveAnswer(text, heard)

    async def _spend_later(self, job_id: str) -> None:
        await asyncio.sleep(KEPT_SECONDS)
        await self._spend(job_id)

    async def _spend(self, job_id: str) -> None:
        if job_id in self.given:
            # Forgotten after that is on disk: until then nobody else may have it.
            await self.store.write(Write(spent_result=job_id))
            self.given.forget(job_id)

    async def end(self) -> None:
        """Forget, before the runtime ends, the results that were given."""
        for each in self.background:
            each.cancel()
        for job_id in self.given.jobs:
            await self._spend(job_id)

    async def read_logs(self, request: Request) -> Response:
        """GET /jobs/{id}/logs."""
        return PlainTextResponse(serializers.log_text(await self._job(request)))

    async def read_metrics(self, request: Request) -> Response:
        """GET /jobs/{id}/metrics."""
        job = await self._job(request)
        position = self.coordinator.queue_positions([job]).get(job.id)
        return JsonAnswer(serializers.metrics_document(job, queue_position=position))

    async def read_interim(self, request: Request) -> Response:
        """GET /qsession/jobs/{id}/interim: results of pubs that are done, after the first K."""
        after = parsing.count(request.query_params.get("after"), "after", 0, parsing.LARGEST)
        job_id = request.path_params["job_id"]

        async def look() -> Job | None:
            job = await self._job(request)
            more = len(self.coordinator.interim(job_id)) > after
            return job if more or job.state.final else None

        job, headers = await self._held(request, job_id, look)
        found = self.coordinator.interim(job_id)[after:]
        return JsonAnswer(
            {
                "interim": found,
                "next": after + len(found),
                "final": job is not None and job.state.final,
            },
            headers=headers,
        )

    async def read_outcome(self, request: Request) -> Response:
        """GET /qsession/jobs/{id}/outcome: a job that has ended, and its result's text with it.

        `Prefer: wait` holds it until the job has ended. A private job's result is not in it.
        """
        owner, job_id = parsing.owner(request), request.path_params["job_id"]

        async def look() -> tuple[Job, str | None] | None:
            # Most wakes are of a job that goes on: the store need not be asked.
            if self.coordinator.unfinished(owner, job_id):
                return None
            at_hand = self.coordinator.take_outcome(owner, job_id)
            if at_hand is not None:
                return at_hand
            found = await self.store.outcome(owner, job_id)
            if found is None:
                raise errors.job_not_found(job_id)
            return found if found[0].state.final else None

        found, headers = await self._held(request, job_id, look)
        if found is None:
            return Response(status_code=304, headers=headers)
        job, result = found
        (document,) = self._job_documents([job])
        answer = {"job": document, "etag": _etag(job)}
        if result is not None and len(result) > LARGE_CHARACTERS:
            before = msgspec.json.encode(answer)[:-1] + b',"result":"'
            del found, result
            return await self._long(
                owner,
                partial(self.store.result, job.id),
                before=before,
                after=b'"}',
                escaped=True,
                headers=headers,
            )
        return JsonAnswer({**answer, "result": result}, headers=headers)

    # -- the runtime itself ----------------------------------------------------------------

    async def read_runtime(self, request: Request) -> Response:
        """GET /qsession: who we are and what we can do beyond IBM's API."""
        # The number of others' sessions is for the administrator alone.
        owner = None if is_administrator(request) else parsing.owner(request)
        return JsonAnswer(
            {
                "name": "qsession-widget",
                "version": self.version,
                "features": ["interim", "outcome", "transpile", "wait", "watch"],
                "max_session_seconds": self.settings.max_session_seconds,
                "now": serializers.instant(self.clock.now()),
                "rate": self.clock.rate,
                "policy": self.coordinator.policy,
                "queues": {
                    name: length
                    for name in self.catalog.names()
                    if (length := self.coordinator.queue_length(name))
                },
                "sessions": len(self.coordinator.sessions(owner)),
            }
        )

    async def watch(self, request: Request) -> Response:
        """GET /qsession/watch: a session and those of its jobs that changed since a revision.

        Where there are more of them than an answer holds, it says so, and names the revision of the
        last: to be asked for again with that.
        """
        session_id = parsing.query_text(request.query_params, "session_id") or ""
        since = parsing.count(request.query_params.get("since"), "since", 0, parsing.LARGEST)
        owner = parsing.owner(request)

        async def look() -> tuple[Session, list[Job]] | None:
            session, jobs = await self.store.changed(owner, session_id, since, bounds.PAGE + 1)
            if session is None:
                raise errors.session_not_found(session_id)
            changed = jobs or session.revision > since or self.removed.since(session_id, since)
            return (session, jobs) if changed else None

        found, headers = await self._held(request, session_id, look)
        if found is None:
            return Response(status_code=304, headers=headers)
        session, jobs = found
        more = len(jobs) > bounds.PAGE
        jobs = jobs[: bounds.PAGE]
        last = jobs[-1].revision if jobs else 0
        jobs.sort(key=lambda job: (job.created_at, job.number))
        gone = self.removed.since(session_id, since)
        if more:
            # The others belong to the pages that follow.
            gone = {revision: job_id for revision, job_id in gone.items() if revision <= last}
        return JsonAnswer(
            {
                "revision": last if more else max(session.revision, last, *gone),
                "session": self._session_document(session),
                "jobs": self._job_documents(jobs),
                "more": more,
                "deleted": list(gone.values()),
                "now": serializers.instant(self.clock.now()),
            },
            headers=headers,
        )

    async def shutdown(self, request: Request) -> Response:
        """POST /qsession/shutdown."""
        require_administrator(request)
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
        return await self._hold(request, key, look, seconds), {PREFERENCE_APPLIED: "wait"}

    async def _hold(
        self,
        request: Request,
        key: str,
        look: Callable[[], Awaitable[T | None]],
        seconds: float,
    ) -> T | None:
        """Look until there is something, at most for so long."""
        with self.coordinator.notifier.watch(key) as changed:
            try:
                async with asyncio.timeout(seconds):
                    while (found := await look()) is None and not self.coordinator.notifier.closed:
                        await changed.wait()
                        changed.clear()
                        # He may have been removed meanwhile.
                        parsing.owner(request)
            except TimeoutError:
                return None
        return found

    def _calibrated(self, request: Request) -> Device:
        """Give a device as it was recorded: there is no other calibration of it."""
        device = self._device(request.path_params["name"])
        calibration_id = request.query_params.get("calibration_id")
        if calibration_id is not None:
            raise errors.calibration_not_found(device.name, calibration_id)
        return device

    def _device(self, name: str) -> Device:
        device = self.catalog.get(name)
        if device is None:
            raise errors.backend_not_found(name, self.catalog.names())
        return device

    async def _session(self, request: Request) -> Session:
        session_id = request.path_params["session_id"]
        session = await self.store.session(parsing.owner(request), session_id)
        if session is None:
            raise errors.session_not_found(session_id)
        return session

    async def _session_answer(self, request: Request, session_id: str) -> Response:
        session = await self.store.session(parsing.owner(request), session_id)
        if session is None:
            raise errors.session_not_found(session_id)
        return JsonAnswer(self._session_document(session))

    def _session_document(self, session: Session) -> dict[str, Any]:
        return serializers.session_document(
            session,
            now=self.clock.now(),
            rate=self.clock.rate,
            policy=self.coordinator.policy,
        )

    async def _job(self, request: Request) -> Job:
        job_id = request.path_params["job_id"]
        job = await self.store.job(parsing.owner(request), job_id)
        if job is None:
            raise errors.job_not_found(job_id)
        return job

    def _job_documents(self, jobs: list[Job]) -> list[dict[str, Any]]:
        positions = self.coordinator.queue_positions(jobs)
        return [
            serializers.job_document(
                job,
                queue_position=positions.get(job.id),
                estimate=self.coordinator.estimate(job.id) if job.id in positions else None,
            )
            for job in jobs
        ]

    async def _job_session(
        self, request: Request, body: dict[str, Any], device: Device
    ) -> str | None:
        """Check the session that a job names: it exists and is on the job's device."""
        session_id = parsing.optional_text(body, "session_id")
        if session_id is None:
            return None
        owner = parsing.owner(request)
        session = self.coordinator.session(owner, session_id) or await self.store.session(
            owner, session_id
        )
        if session is None:
            raise errors.session_not_found(session_id)
        if device.name == mock_of(session.backend):
            # A dry run takes nothing of the session's device, and nothing of its time.
            return None
        if session.backend != device.name:
            raise errors.bad_request(
                f"The job is for {device.name}; its session is on {session.backend}.",
                "Send the job to its session's backend.",
            )
        return session.id

    def _max_seconds(self, body: dict[str, Any]) -> int:
        limit = self.settings.max_session_seconds
        seconds = parsing.seconds_up_to(body, "max_ttl", limit)
        return limit if seconds is None else seconds


def _etag(job: Job) -> str:
    return f'"{job.revision}"'
