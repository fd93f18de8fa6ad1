"""Routes of lists: workloads, tags, versions, and an account's usage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET
from starlette.responses import Response
from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.http import errors, parsing, serializers
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.runtime.store import usage, workloads
from qsession_widget.wire.documents import (
    LARGEST,
    WORKLOAD_MODES,
    WORKLOAD_STATUSES,
    WorkloadDocument,
    WorkloadExtrasDocument,
    WorkloadsDocument,
)
from qsession_widget.wire.fields import API_VERSION, INSTANCE_CRN, OLDEST_API_VERSION
from qsession_widget.wire.states import Mode

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from qsession_widget.runtime.control.coordinator import Coordinator
    from qsession_widget.runtime.store.store import Store

NO_LIMIT_SECONDS = 2**31 - 1
"""The client expects an integer as the limit; the local runtime has no limit."""


@dataclass(frozen=True)
class WorkloadRoutes:
    """The endpoints `/workloads`, `/tags`, `/jobs/{id}/tags`, `/versions`, `/instances/usage`."""

    store: Store
    coordinator: Coordinator

    def routes(self) -> list[Route]:
        """Return every route, relative to the API's prefix."""
        return [
            Route("/workloads", self.list_workloads),
            Route("/jobs/{job_id}/tags", self.put_tags, methods=["PUT"]),
            Route("/tags", self.list_tags),
            Route("/versions", self.list_versions),
            Route("/instances/usage", self.read_usage),
        ]

    async def list_workloads(self, request: Request) -> Response:
        """GET /workloads: list sessions, batches, and jobs outside of them."""
        query = request.query_params
        wanted = workloads.Wanted(
            modes=_modes(query),
            statuses=_among(query, "status", WORKLOAD_STATUSES),
            backend=parsing.query_text(query, "backend"),
            search=parsing.query_text(query, "search", bounds.SEARCH),
            tags=parsing.query_tags(query),
            created_after=parsing.time(query.get("created_after")),
            created_before=parsing.time(query.get("created_before")),
            ascending=parsing.ascending(query.get("sort")),
            limit=parsing.count(
                query.get("limit"), "limit", parsing.DEFAULT_PAGE, parsing.MAX_PAGE
            ),
            offset=max(_cursor(query, "next"), _cursor(query, "previous")),
        )
        owner = parsing.owner(request)
        rows, total = await self.store.read_lists(workloads.read, owner, wanted)
        end = wanted.offset + len(rows)
        return JsonAnswer(
            WorkloadsDocument(
                workloads=[_document(row, owner) for row in rows],
                total_count=total,
                limit=wanted.limit,
                next=str(end) if rows and end < total else UNSET,
                previous=str(max(0, wanted.offset - wanted.limit)) if wanted.offset else UNSET,
            )
        )

    async def put_tags(self, request: Request) -> Response:
        """PUT /jobs/{id}/tags: replace a job's tags."""
        job_id = request.path_params["job_id"]
        tags = parsing.tags(await parsing.body(request, bounds.TAGS_BODY_BYTES))
        job = await self.store.job(parsing.owner(request), job_id)
        if job is None:
            raise errors.job_not_found(job_id)
        await self.coordinator.set_tags(job, tags)
        return Response(status_code=204)

    async def list_tags(self, request: Request) -> Response:
        """GET /tags: list the tags of jobs."""
        query = request.query_params
        _among(query, "type", (workloads.JOB,))
        search = parsing.query_text(query, "search", bounds.SEARCH) or ""
        owner = parsing.owner(request)
        found = await self.store.read_lists(workloads.tags, owner, search, parsing.MAX_PAGE)
        return JsonAnswer({"tags": found})

    async def list_versions(self, _request: Request) -> Response:
        """GET /versions: list the revisions of IBM's API that are supported."""
        return JsonAnswer(
            {
                "versions": [
                    {"version": OLDEST_API_VERSION, "status": "deprecated"},
                    {"version": API_VERSION, "status": "live"},
                ]
            }
        )

    async def read_usage(self, request: Request) -> Response:
        """GET /instances/usage: read for how long this account's jobs were on devices."""
        owner = parsing.owner(request)
        used = int(await self.store.read_lists(usage.used_seconds, owner))
        return JsonAnswer(
            {
                "instance_id": INSTANCE_CRN,
                "plan_id": "local",
                "usage_consumed_seconds": used,
                "usage_limit_seconds": NO_LIMIT_SECONDS,
                "usage_limit_reached": False,
            }
        )


def _document(row: workloads.Workload, owner: str) -> WorkloadDocument:
    return WorkloadDocument(
        id=row.id,
        mode=_SESSION if row.mode == Mode.DEDICATED else row.mode,
        status=row.status,
        status_reason=row.reason or "",
        backend=row.backend,
        instance=INSTANCE_CRN,
        user_id=owner,
        created=serializers.instant(row.created_at),
        ended=serializers.instant_or_none(row.ended_at),
        tags=list(row.tags),
        usage=serializers.usage_document(row.seconds, ended=row.ended_at is not None),
        accepting_jobs=UNSET if row.accepting_jobs is None else row.accepting_jobs,
        qsession=UNSET
        if row.session is None
        else WorkloadExtrasDocument(
            name=row.session.name or None,
            state=row.session.state,
            idle=row.session.idle_since is not None,
        ),
    )


_SESSION = "session"


def _modes(query: QueryParams) -> list[str]:
    """Parse modes as the wire spells them: a dedicated session is called "session" here."""
    modes = _among(query, "mode", WORKLOAD_MODES)
    return [Mode.DEDICATED.value if mode == _SESSION else mode for mode in modes]


def _among(query: QueryParams, name: str, allowed: tuple[str, ...]) -> list[str]:
    """Parse a repeated parameter, each value of which has to be one of a few."""
    asked = parsing.query_list(query, name, bounds.CHOICES, bounds.NAME)
    for value in asked:
        if value not in allowed:
            raise errors.bad_request(
                f"{name} is {value!r:.80}.", f"Allowed are {', '.join(map(repr, allowed))}."
            )
    return asked


def _cursor(query: QueryParams, name: str) -> int:
    return parsing.count(query.get(name), name, 0, LARGEST)
