"""Lists the jobs and sessions of a service, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from qsession_widget.client.jobs.job import RuntimeJob
from qsession_widget.client.protocols import Service
from qsession_widget.client.session_info import SessionSummary
from qsession_widget.client.tables import JobTable, SessionTable
from qsession_widget.support import validation
from qsession_widget.support.validation import given
from qsession_widget.wire.documents import required
from qsession_widget.wire.states import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qsession_widget.client.instances import Instances

Query: TypeAlias = Mapping[str, Any]
"""Parameters of GET /jobs or GET /workloads."""

PAGE = 100
"""How many jobs or sessions are asked for at once."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""The creation time of a session in sorting, where its service does not say when it was."""

_S = TypeVar("_S", bound=Service)

_count = validation.whole(0)


class Listings(Generic[_S]):
    """Lists the jobs and sessions of every instance in use.

    Args:
        instances: the instances.
    """

    def __init__(self, instances: Instances[_S]) -> None:
        self._instances = instances

    def jobs(
        self, query: Query, limit: int | None, skip: int, *, descending: bool, instance: str | None
    ) -> JobTable:
        """List jobs as `QiskitRuntimeService.jobs` does.

        Args:
            query: as `job_query` returns it.
            limit: how many at most; None is all.
            skip: how many to leave out at the beginning.
            descending: whether the newest come first.
            instance: CRN or name of the instance; None is every instance in use.
        """
        found = self._instances.merged(
            lambda service, most, first: _list_jobs(service, query, most, first),
            lambda job: job.creation_date,
            given(_count, "limit", limit),
            _count("skip", skip),
            descending=descending,
            instance=instance,
        )
        return JobTable(found)

    def sessions(self, query: Query, limit: int | None, *, instance: str | None) -> SessionTable:
        """List sessions as `QiskitRuntimeService.sessions` does.

        Args:
            query: as `session_query` returns it.
            limit: how many at most; None is all.
            instance: CRN or name of the instance; None is every instance in use.
        """
        found = self._instances.merged(
            lambda service, most, _: _list_sessions(service, query, most),
            lambda each: each.created_at or _LONG_AGO,
            given(_count, "limit", limit),
            instance=instance,
        )
        return SessionTable(found)


def job_query(
    *,
    backend_name: str | None,
    pending: bool | None,
    program_id: str | None,
    session_id: str | None,
    job_tags: Sequence[str] | None,
    created_after: datetime | None,
    created_before: datetime | None,
    descending: bool,
    include_mocks: bool,
) -> Query:
    """Return the parameters of GET /jobs for the arguments of `QiskitRuntimeService.jobs`.

    Raises:
        InvalidInputError: for an argument of the wrong kind.
    """
    pending = given(validation.boolean, "pending", pending)
    return {
        "backend": given(validation.text, "backend_name", backend_name),
        "pending": None if pending is None else str(pending).lower(),
        "program": given(validation.text, "program_id", program_id),
        "session_id": given(validation.text, "session_id", session_id),
        "tags": given(validation.tags, "job_tags", job_tags) or None,
        "created_after": given(validation.moment, "created_after", created_after),
        "created_before": given(validation.moment, "created_before", created_before),
        "sort": None if validation.boolean("descending", descending) else "ASC",
        "include_mocks": "true" if validation.boolean("include_mocks", include_mocks) else None,
    }


def session_query(
    *,
    backend_name: str | None,
    pending: bool | None,
    mode: str | None,
    created_after: datetime | None,
    created_before: datetime | None,
) -> Query:
    """Return the parameters of GET /workloads for the arguments of `QiskitRuntimeService.sessions`.

    Raises:
        InvalidInputError: for an argument of the wrong kind, and for an unknown mode.
    """
    mode = given(validation.one_of(*Mode), "mode", mode)
    pending = given(validation.boolean, "pending", pending)
    over = {True: ["pending", "in_progress"], False: ["completed", "canceled", "failed"]}
    return {
        # The endpoint calls the mode "dedicated" "session".
        "mode": [
            "session" if each == Mode.DEDICATED else each.value
            for each in Mode
            if mode in {None, each}
        ],
        "status": None if pending is None else over[pending],
        "backend": given(validation.text, "backend_name", backend_name),
        "created_after": given(validation.moment, "created_after", created_after),
        "created_before": given(validation.moment, "created_before", created_before),
    }


def _list_jobs(service: Service, query: Query, limit: int | None, skip: int) -> list[RuntimeJob]:
    """Return jobs of a service's own instance, asked for page by page."""
    found: dict[str, RuntimeJob] = {}
    offset = skip
    while limit is None or len(found) < limit:
        size = PAGE if limit is None else min(limit - len(found), PAGE)
        page = service.api.jobs(limit=size, offset=offset, **query).jobs
        # A job that arrives between two pages pushes one that was seen onto the next page.
        for job in page:
            found[job.document.id] = RuntimeJob(service, job.document.id, data=job)
        if len(page) < size:
            break
        offset += len(page)
    return list(found.values())[:limit]


def _list_sessions(service: Service, query: Query, limit: int | None) -> list[SessionSummary]:
    """Return sessions of a service's own instance, asked for page by page."""
    found: dict[str, SessionSummary] = {}
    cursors: set[str] = set()
    cursor: str | None = None
    while limit is None or len(found) < limit:
        size = PAGE if limit is None else min(limit - len(found), PAGE)
        page = service.api.workloads(limit=size, next=cursor, **query)
        listed = required(page.workloads, "workloads", "GET /workloads")
        found.update({each.id: SessionSummary.of(each) for each in listed})
        cursor = page.next or None
        # A cursor that was seen before would lead to an endless loop.
        if not cursor or cursor in cursors or not listed:
            break
        cursors.add(cursor)
    return list(found.values())[:limit]
