"""Route by which a client watches a session and its jobs with one held request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.http import errors, holding, parsing, serializers
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.wire.documents import LARGEST, WatchDocument

if TYPE_CHECKING:
    from starlette.requests import Request

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.control.coordinator import Coordinator
    from qsession_widget.runtime.http.kept_answers import DeletedJobs
    from qsession_widget.runtime.http.serializers import Serializer
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.store.store import Store


@dataclass(frozen=True)
class WatchRoutes:
    """The endpoint `/qsession/watch`.

    Attributes:
        removed: jobs that were deleted, which the clients that know them have to drop.
    """

    clock: Clock
    store: Store
    coordinator: Coordinator
    serializer: Serializer
    removed: DeletedJobs

    def routes(self) -> list[Route]:
        """Return the route, relative to the API's prefix."""
        return [Route("/qsession/watch", self.watch)]

    async def watch(self, request: Request) -> Response:
        """GET /qsession/watch: read a session, and its jobs that changed since a revision.

        Where more jobs changed than one answer holds, `more` is true and `revision` is that of the
        last one: the client asks again with it.
        """
        session_id = parsing.query_text(request.query_params, "session_id") or ""
        since = parsing.count(request.query_params.get("since"), "since", 0, LARGEST)
        owner = parsing.owner(request)

        async def look() -> tuple[Session, list[Job]] | None:
            session, jobs = await self.store.changed(owner, session_id, since, bounds.PAGE + 1)
            if session is None:
                raise errors.session_not_found(session_id)
            changed = jobs or session.revision > since or self.removed.since(session_id, since)
            return (session, jobs) if changed else None

        found, headers = await holding.hold_as_preferred(
            self.coordinator.notifier, request, session_id, look
        )
        if found is None:
            return Response(status_code=304, headers=headers)
        session, jobs = found
        more = len(jobs) > bounds.PAGE
        jobs = jobs[: bounds.PAGE]
        last = jobs[-1].revision if jobs else 0
        jobs.sort(key=lambda job: (job.created_at, job.number))
        deleted = self.removed.since(session_id, since)
        if more:
            # The others belong to the pages that follow.
            deleted = {revision: job_id for revision, job_id in deleted.items() if revision <= last}
        return JsonAnswer(
            WatchDocument(
                revision=last if more else max(session.revision, last, *deleted),
                session=self.serializer.session(session),
                jobs=self.serializer.jobs(jobs),
                more=more,
                deleted=list(deleted.values()),
                now=serializers.instant(self.clock.now()),
            ),
            headers=headers,
        )
