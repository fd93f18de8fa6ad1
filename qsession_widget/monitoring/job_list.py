"""The jobs of a session, in pages: a change costs only the pages that it touches.

A snapshot holds a `JobList`, which never changes. The next one shares the pages that are the same.
What views need of the jobs is computed page by page and kept with the page, so that an update of
one job among 10,000 reads 64 of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from qsession_widget.wire.states import FINAL_JOB_STATES, JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from qsession_widget.monitoring.job_row import JobRow

T = TypeVar("T")

PAGE_JOBS = 64


class JobPage:
    """A run of consecutive jobs.

    Attributes:
        rows: the jobs, `PAGE_JOBS` of them except on the last page.
    """

    __slots__ = ("_derived", "rows")

    def __init__(self, rows: Iterable[JobRow]) -> None:
        self.rows = tuple(rows)
        self._derived: dict[Callable[[tuple[JobRow, ...]], Any], Any] = {}

    def derived(self, function: Callable[[tuple[JobRow, ...]], T]) -> T:
        """Return a function's value for the rows, which is computed once."""
        if function not in self._derived:
            self._derived[function] = function(self.rows)
        return cast("T", self._derived[function])


class JobList(Sequence["JobRow"]):
    """An immutable list of jobs, oldest first.

    Attributes:
        pages: its pages, all full but the last.
    """

    def __init__(self, rows: Iterable[JobRow] = ()) -> None:
        flat = tuple(rows)
        self.pages = tuple(
            JobPage(flat[at : at + PAGE_JOBS]) for at in range(0, len(flat), PAGE_JOBS)
        )
        self._length = len(flat)

    @classmethod
    def of_pages(cls, pages: Iterable[JobPage]) -> JobList:
        """Return the list of some pages, all full but the last."""
        found = cls()
        found.pages = tuple(pages)
        if found.pages:
            found._length = (len(found.pages) - 1) * PAGE_JOBS + len(found.pages[-1].rows)
        return found

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, at: int) -> JobRow: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[JobRow, ...]: ...

    def __getitem__(self, at: int | slice) -> JobRow | tuple[JobRow, ...]:
        if isinstance(at, slice):
            return tuple(self[place] for place in range(*at.indices(len(self))))
        place = range(len(self))[at]
        return self.pages[place // PAGE_JOBS].rows[place % PAGE_JOBS]

    def __iter__(self) -> Iterator[JobRow]:
        for page in self.pages:
            yield from page.rows

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How many jobs are in each state; 0 for other states."""
        found: Counter[str] = Counter()
        for page in self.pages:
            found.update(page.derived(_counts))
        return found

    @cached_property
    def unfinished(self) -> int:
        """How many jobs may still change."""
        return len(self) - sum(self.counts[state] for state in FINAL_JOB_STATES)

    @cached_property
    def running(self) -> tuple[JobRow, ...]:
        """The running jobs."""
        return tuple(row for page in self.pages for row in page.derived(_running))

    @cached_property
    def position(self) -> int | None:
        """The place of the next job among all that wait for the device; None if not known."""
        places = (page.derived(_first_place) for page in self.pages)
        return min((place for place in places if place is not None), default=None)

    @cached_property
    def last_end(self) -> datetime | None:
        """When the last job ended, as far as that is known."""
        ends = (page.derived(_last_end) for page in self.pages)
        return max((when for when in ends if when is not None), default=None)


class JobTable:
    """The jobs that a source knows, by id, in the order in which they were first seen."""

    def __init__(self) -> None:
        self._rows: list[JobRow] = []
        self._places: dict[str, int] = {}
        self._unfinished: dict[str, None] = {}
        self._list = JobList()
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._places

    def __getitem__(self, job_id: str) -> JobRow:
        return self._rows[self._places[job_id]]

    def ids(self) -> set[str]:
        """Return the ids of all jobs."""
        return set(self._places)

    def unfinished(self) -> list[str]:
        """Return the ids of the jobs that may still change, oldest first."""
        return list(self._unfinished)

    def put(self, row: JobRow) -> None:
        """Add a job, or replace what is known of it."""
        place = self._places.setdefault(row.id, len(self._rows))
        if place == len(self._rows):
            self._rows.append(row)
        elif self._rows[place] == row:
            return
        else:
            self._rows[place] = row
        self._changed.add(place // PAGE_JOBS)
        if row.final:
            self._unfinished.pop(row.id, None)
        else:
            self._unfinished[row.id] = None

    def drop(self, job_ids: Iterable[str]) -> None:
        """Remove jobs; ids that are not known are ignored."""
        gone = {job_id for job_id in job_ids if job_id in self._places}
        if not gone:
            return
        first = min(self._places[job_id] for job_id in gone) // PAGE_JOBS
        self._rows = [row for row in self._rows if row.id not in gone]
        self._places = {row.id: place for place, row in enumerate(self._rows)}
        for job_id in gone:
            self._unfinished.pop(job_id, None)
        self._changed.update(range(first, max(len(self._list.pages), self._page_count)))

    def listed(self) -> JobList:
        """Return the jobs as they are now: the same list as long as none changes."""
        if self._changed:
            pages = list(self._list.pages[: self._page_count])
            for at in sorted(self._changed):
                if at < self._page_count:
                    first = at * PAGE_JOBS
                    pages[at : at + 1] = [JobPage(self._rows[first : first + PAGE_JOBS])]
            self._list = JobList.of_pages(pages)
            self._changed.clear()
        return self._list

    @property
    def _page_count(self) -> int:
        return -(-len(self._rows) // PAGE_JOBS)


def _counts(rows: tuple[JobRow, ...]) -> Counter[str]:
    return Counter(row.state for row in rows)


def _running(rows: tuple[JobRow, ...]) -> tuple[JobRow, ...]:
    return tuple(row for row in rows if row.state == JobState.RUNNING)


def _first_place(rows: tuple[JobRow, ...]) -> int | None:
    return min((row.position for row in rows if row.position is not None), default=None)


def _last_end(rows: tuple[JobRow, ...]) -> datetime | None:
    return max((row.ended_at for row in rows if row.ended_at is not None), default=None)
