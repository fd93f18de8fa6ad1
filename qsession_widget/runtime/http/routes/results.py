"""Routes of results: final ones, those of a private job, interim ones, and outcomes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from qsession_widget.runtime.http import errors, holding, parsing, serializers
from qsession_widget.runtime.http.kept_answers import KEPT_SECONDS, AttentiveAnswer, GivenOnce
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.runtime.pieces import LongText
from qsession_widget.runtime.store.writes import DeleteResult
from qsession_widget.wire.documents import LARGEST, InterimDocument, OutcomeDocument
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from qsession_widget.runtime.control.coordinator import Coordinator
    from qsession_widget.runtime.http.large_texts import LargeTexts
    from qsession_widget.runtime.http.resources import Resources
    from qsession_widget.runtime.http.serializers import Serializer
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.store.store import Store


@dataclass(frozen=True)
class ResultRoutes:
    """The endpoints of results and outcomes.

    Attributes:
        large: sends results that are large.
        taking: is held while a private job's result is taken.
        given: results of private jobs that were returned, and may be asked for again for a while.
        background: tasks that go on after their answer.
    """

    store: Store
    coordinator: Coordinator
    resources: Resources
    serializer: Serializer
    large: LargeTexts
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)
    given: GivenOnce = field(default_factory=GivenOnce)
    background: set[asyncio.Task[None]] = field(default_factory=set)

    def routes(self) -> list[Route]:
        """Return every route, relative to the API's prefix."""
        return [
            Route("/qsession/jobs/{job_id}/outcome", self.read_outcome),
            Route("/qsession/jobs/{job_id}/interim", self.read_interim),
            Route("/jobs/{job_id}/results", self.read_results),
        ]

    async def read_results(self, request: Request) -> Response:
        """GET /jobs/{id}/results: read a job's result, or the reason of its failure, as text.

        A private job's result is returned once: for a minute again to the same `Idempotency-Key`,
        or to the request that follows a connection which broke with the answer.
        """
        key = parsing.idempotency_key(request)
        job = await self.resources.job(request)
        if job.state is JobState.FAILED:
            return PlainTextResponse(job.reason or "")
        if job.private:
            return await self._result_once(job, key)
        text = await self.store.result(job.id)
        if text is None and job.state is JobState.COMPLETED:
            raise errors.result_removed(job.id)
        if text is None:
            return Response(status_code=204)
        if isinstance(text, LongText):
            read = partial(self.store.result_in_pieces, job.id)
            return await self.large.answer(job.owner, read, media_type="text/plain")
        return PlainTextResponse(text)

    async def read_interim(self, request: Request) -> Response:
        """GET /qsession/jobs/{id}/interim: read the results of finished pubs."""
        after = parsing.count(request.query_params.get("after"), "after", 0, LARGEST)
        job_id = request.path_params["job_id"]

        async def look() -> Job | None:
            job = await self.resources.job(request)
            more = len(self.coordinator.interim(job_id)) > after
            return job if more or job.state.final else None

        job, headers = await holding.hold_as_preferred(
            self.coordinator.notifier, request, job_id, look
        )
        found = self.coordinator.interim(job_id)[after:]
        return JsonAnswer(
            InterimDocument(
                interim=found,
                next=after + len(found),
                final=job is not None and job.state.final,
            ),
            headers=headers,
        )

    async def read_outcome(self, request: Request) -> Response:
        """GET /qsession/jobs/{id}/outcome: read a job that has ended, with its result.

        `Prefer: wait` holds it until the job has ended. A private job's result is not in it.
        """
        owner, job_id = parsing.owner(request), request.path_params["job_id"]

        async def look() -> tuple[Job, str | LongText | None] | None:
            # Most wake-ups find the job unfinished: the store need not be asked.
            if self.coordinator.unfinished(owner, job_id):
                return None
            at_hand = self.coordinator.take_outcome(owner, job_id)
            if at_hand is not None:
                return at_hand
            found = await self.store.outcome(owner, job_id)
            if found is None:
                raise errors.job_not_found(job_id)
            return found if found[0].state.final else None

        found, headers = await holding.hold_as_preferred(
            self.coordinator.notifier, request, job_id, look
        )
        if found is None:
            return Response(status_code=304, headers=headers)
        job, result = found
        (document,) = self.serializer.jobs([job])
        answer = OutcomeDocument(job=document, etag=serializers.etag(job))
        if isinstance(result, LongText):
            before = msgspec.json.encode(answer)[:-1] + b',"result":"'
            read = partial(self.store.result_in_pieces, job.id)
            return await self.large.answer(
                owner, read, before=before, after=b'"}', escaped=True, headers=headers
            )
        answer.result = result
        return JsonAnswer(answer, headers=headers)

    async def end(self) -> None:
        """Delete the private results that were returned, before the runtime ends."""
        for each in self.background:
            each.cancel()
        for job_id in self.given.jobs:
            await self._spend(job_id)

    async def _result_once(self, job: Job, key: str | None) -> Response:
        """Return a private job's result if the request may have it, and delete it afterwards."""
        async with self.taking:
            text = await self.store.result(job.id)
            if text is None or not self.given.may_have(job.id, key):
                return Response(status_code=204)
            if not isinstance(text, LongText):
                self._give(job.id, key)

        async def read() -> Sequence[bytes | memoryview] | None:
            # It is given only now: the request may have waited longer than a result is kept.
            async with self.taking:
                if not self.given.may_have(job.id, key):
                    return None
                pieces = await self.store.result_in_pieces(job.id)
                if pieces is not None:
                    self._give(job.id, key)
                return pieces

        async def heard(lost: bool) -> None:
            if lost:
                self.given.give(job.id, None, lost=True)
            else:
                await self._spend(job.id)

        if isinstance(text, LongText):
            told = heard if key is None else None
            return await self.large.answer(job.owner, read, media_type="text/plain", heard=told)
        if key is not None:
            return PlainTextResponse(text)
        return AttentiveAnswer(text, heard)

    def _give(self, job_id: str, key: str | None) -> None:
        if self.given.give(job_id, key):
            later = asyncio.create_task(self._spend_later(job_id))
            self.background.add(later)
            later.add_done_callback(self.background.discard)

    async def _spend_later(self, job_id: str) -> None:
        await asyncio.sleep(KEPT_SECONDS)
        await self._spend(job_id)

    async def _spend(self, job_id: str) -> None:
        # In turn with requests: a result that was read before its deletion is not returned later.
        async with self.taking:
            if job_id in self.given:
                # Forgotten only once the deletion is on disk: no other request may have it before.
                await self.store.write(DeleteResult(job_id))
                self.given.forget(job_id)
