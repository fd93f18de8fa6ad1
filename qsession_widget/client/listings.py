"""The part of the service that lists jobs, sessions and batches, page by page."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Self, TypeVar

from qsession_widget.client.instances import Instances
from qsession_widget.client.job import RuntimeJob
from qsession_widget.client.session_info import SessionSummary
from qsession_widget.support import validation
from qsession_widget.support.validation import given
from qsession_widget.wire.states import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_count = validation.whole(0)

PAGE = 100
"""How many jobs or sessions are asked for at once."""


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""Where a session stands in the order of time if its service does not say."""

_T = TypeVar("_T")


class Listings(Instances):
    """Lists of every instance in use."""

    def jobs(  # noqa: PLR0917 - the order of qiskit-ibm-runtime
        self,
        limit: int | None = 10,
        skip: int = 0,
        backend_name: str | None = None,
        pending: bool | None = None,
        program_id: str | None = None,
        instance: str | None = None,
        job_tags: Sequence[str] | None = None,
        session_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        descending: bool = True,
        include_mocks: bool = False,
    ) -> list[RuntimeJob]:
        """List jobs, the newest first, each once.

        Args:
            limit: at most so many; None is all.
            skip: leave out the first so many.
            backend_name: only those of this device.
            pending: only those that are queued or running (True) or over (False).
            program_id: only those of this program.
            instance: only those of the instance with this CRN or name; None is the service's own,
                or all instances of the account where it was made without one.
            job_tags: only those with all of these tags.
            session_id: only those of this session.
            created_after: only those since then; a time without a zone is in local time.
            created_before: only those until then.
            descending: whether the newest come first.
            include_mocks: whether dry runs are listed too, which went to a device's mock.

        Raises:
            InvalidInputError: for a limit or skip that is no count, for anything else that is not
                what it has to be, and for an instance that there is not.
        """
        limit, skip = given(_count, "limit", limit), _count("skip", skip)
        descending = validation.boolean("descending", descending)
        pending = given(validation.boolean, "pending", pending)
        query = {
            "backend": given(validation.text, "backend_name", backend_name),
            "pending": None if pending is None else str(pending).lower(),
            "program": given(validation.text, "program_id", program_id),
            "session_id": given(validation.text, "session_id", session_id),
            "tags": given(validation.tags, "job_tags", job_tags) or None,
            "created_after": given(validation.moment, "created_after", created_after),
            "created_before": given(validation.moment, "created_before", created_before),
            "sort": None if descending else "ASC",
            "include_mocks": "true" if validation.boolean("include_mocks", include_mocks) else None,
        }
        return self._merged(
            lambda service, most, first: service._jobs_of_it(query, most, first),  # noqa: SLF001 - of the same class
            lambda job: job.creation_date,
            limit,
            skip,
            descending=descending,
            instance=instance,
        )

    def sessions(
        self,
        limit: int | None = 10,
        *,
        backend_name: str | None = None,
        pending: bool | None = None,
        mode: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        instance: str | None = None,
    ) -> list[SessionSummary]:
        """List sessions and batches, the newest first, each once (GET /workloads).

        Also those that nobody has a handle on any more: `Session.from_id(found.id).close()` ends
        one that was left open.

        Args:
            limit: at most so many; None is all.
            backend_name: only those on this device.
            pending: only those that are not over (True) or are (False).
            mode: only sessions ("dedicated") or only batches ("batch").
            created_after: only those since then; a time without a zone is in local time.
            created_before: only those until then.
            instance: as for `jobs`.

        Raises:
            InvalidInputError: for a limit that is no count, for an unknown mode, and for an
                instance that there is not.
        """
        limit = given(_count, "limit", limit)
        mode = given(validation.one_of(*Mode), "mode", mode)
        pending = given(validation.boolean, "pending", pending)
        over = {True: ["pending", "in_progress"], False: ["completed", "canceled", "failed"]}
        query: dict[str, Any] = {
            # The listing has a word of its own for dedicated sessions.
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
        return self._merged(
            lambda service, most, _: service._sessions_of_it(query, most),  # noqa: SLF001 - of the same class
            lambda each: each.created_at or _LONG_AGO,
            limit,
            instance=instance,
        )

    def _merged(
        self,
        ask: Callable[[Self, int | None, int], list[_T]],
        when: Callable[[_T], datetime],
        limit: int | None,
        skip: int = 0,
        *,
        descending: bool = True,
        instance: str | None,
    ) -> list[_T]:
        """List what each instance in use has: at most so many of all, after the first so many."""
        if len(self._in_use(instance)) == 1:
            return self._each(lambda service: ask(service, limit, skip), instance)[0]
        # Any of them may have all that is wanted.
        most = None if limit is None else skip + limit
        lists = self._each(lambda service: ask(service, most, 0), instance)
        found = sorted(chain(*lists), key=when, reverse=descending)
        return found[skip:most]

    def _jobs_of_it(
        self, query: Mapping[str, Any], limit: int | None, skip: int
    ) -> list[RuntimeJob]:
        """List jobs of this service's own instance."""
        found: dict[str, RuntimeJob] = {}
        offset = skip
        while limit is None or len(found) < limit:
            size = PAGE if limit is None else min(limit - len(found), PAGE)
            page = self.api.jobs(limit=size, offset=offset, **query)["jobs"]
            # A job that arrives between two pages pushes one that was seen onto the next page.
            found.update({job["id"]: RuntimeJob(self._whole, job["id"], data=job) for job in page})
            if len(page) < size:
                break
            offset += len(page)
        return list(found.values())[:limit]

    def _sessions_of_it(self, query: Mapping[str, Any], limit: int | None) -> list[SessionSummary]:
        """List sessions of this service's own instance."""
        found: dict[str, SessionSummary] = {}
        cursors: set[str] = set()
        cursor: str | None = None
        while limit is None or len(found) < limit:
            size = PAGE if limit is None else min(limit - len(found), PAGE)
            page = self.api.workloads(limit=size, next=cursor, **query)
            listed = map(SessionSummary.from_json, page["workloads"])
            found.update({each.id: each for each in listed})
            cursor = page.get("next")
            # A cursor that comes again would go round in circles.
            if not cursor or cursor in cursors or not page["workloads"]:
                break
            cursors.add(cursor)
        return list(found.values())[:limit]
