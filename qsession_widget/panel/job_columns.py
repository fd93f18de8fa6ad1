"""Encodes a list of jobs as the columns that are sent to the browser (`js/src/contract.ts`).

The size of an update depends on what has changed, not on the number of jobs: the columns of 64 jobs
form a page, which is sent again only if one of its jobs has changed, and the states of all jobs are
one string of bytes, in which a run of equal neighbours takes three.
"""

from __future__ import annotations

from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any

from qsession_widget.monitoring.job_list import PAGE_JOBS
from qsession_widget.monitoring.job_row import SUB_STATUSES
from qsession_widget.wire.states import PANEL_STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from qsession_widget.monitoring.job_list import JobList
    from qsession_widget.monitoring.job_row import Estimate, JobRow
    from qsession_widget.wire.results.summary import Summary

_CODES: dict[str, int] = {state.value: code for code, state in enumerate(PANEL_STATES)}
_SUB_CODES: dict[str | None, int] = {
    name: (at + 1) << 4 for at, name in enumerate(SUB_STATUSES)
} | {None: 0}
_UNKNOWN_CODE = 15
_RUN = 0x80
_SHORTEST_RUN = 4
_LONGEST_RUN = 0xFFFF
_LONGEST_REASON = 600
_ALL_REASONS = 2000
_MOST_TAGS = 8
_LONGEST_TAG = 40
_LONGEST_PROGRAM = 80
_MOST_ESTIMATES = 64
_LONGEST_BASIS = 160


def page(rows: Sequence[JobRow]) -> dict[str, list[Any]]:
    """Return the columns of a page.

    Returns:
        `ids`; `programs` and `tags` as runs of `[value, count]`; `roles` likewise, the words for
        the programs, an empty list where they are the programs' own names; `created` in ms since
        1970, all but the first as the difference to the previous one, None if not known; `waited`
        and `ran` in ms, from creation to start and from start to end, None likewise; `pubs` as
        runs; `stages`, for each job the ms from its creation to the beginning of each stage of
        `SUB_STATUSES`, an empty list where no job of the page has any; `results`, for each job
        `[value, standard error]`, or `[bits, share]` of its most frequent outcomes, likewise.
    """
    created = [None if row.created_at is None else milliseconds(row.created_at) for row in rows]
    return {
        "ids": [row.id for row in rows],
        "programs": _runs(row.program_id[:_LONGEST_PROGRAM] for row in rows),
        "roles": _roles(rows),
        "tags": _runs([tag[:_LONGEST_TAG] for tag in row.tags[:_MOST_TAGS]] for row in rows),
        "created": list(_differences(created)),
        "waited": [_between(row.created_at, row.started_at) for row in rows],
        "ran": [_between(row.started_at, row.ended_at) for row in rows],
        "pubs": _runs(row.pubs for row in rows),
        "results": _results(rows),
        "stages": [_stages(row) for row in rows] if any(row.stages for row in rows) else [],
    }


def state_bytes(jobs: JobList) -> bytes:
    """Return the states of all jobs.

    A byte below 128 is one job: the lower four bits are its state's code, 15 for an unknown state;
    the next two are its stage, 0 for an unknown one, otherwise its place in `SUB_STATUSES` from 1.
    A byte from 128 on is a run of jobs with the state in its lower bits; the length of the run
    follows as two bytes, the lower first. The result is never longer than a byte for each job.
    """
    found = bytearray()
    parts = chain.from_iterable(page.derived(_code_runs) for page in jobs.pages)
    for code, run in groupby(parts, key=lambda part: part[0]):
        length = sum(count for _, count in run)
        while length >= _SHORTEST_RUN:
            part = min(length, _LONGEST_RUN)
            found += bytes((code | _RUN, part & 0xFF, part >> 8))
            length -= part
        found += bytes([code]) * length
    return bytes(found)


def reasons(jobs: JobList) -> list[list[Any]]:
    """Return why jobs failed or were cancelled, newest first, as runs of `[text, first, count]`.

    Only as many as fit into a small message: a job that the user opens shows its own reason.
    """
    found: list[list[Any]] = []
    space = _ALL_REASONS
    for number in range(len(jobs.pages) - 1, -1, -1):
        for text, place, count in reversed(jobs.pages[number].derived(_reason_runs)):
            first = number * PAGE_JOBS + place
            if found and found[-1][0] == text and found[-1][1] == first + count:
                found[-1][1:] = [first, found[-1][2] + count]
                continue
            space -= len(text) + 20
            if space < 0 and found:
                return found
            found.append([text, first, count])
    return found


def estimates(jobs: JobList) -> dict[str, list[Any]]:
    """Return when the first of the queued jobs may start.

    Returns:
        `bases`, on which the service bases its estimates, and `jobs`, for each one
        `[index among all jobs, ms since 1970, index of its basis]`.
    """
    waiting = (
        (number * PAGE_JOBS + place, estimate)
        for number, page in enumerate(jobs.pages)
        for place, estimate in page.derived(_estimated)
    )
    bases: dict[str, int] = {}
    found = [
        [at, milliseconds(estimate.starts_at), bases.setdefault(estimate.basis, len(bases))]
        for at, estimate in islice(waiting, _MOST_ESTIMATES)
    ]
    return {"bases": [basis[:_LONGEST_BASIS] for basis in bases], "jobs": found}


def milliseconds(when: datetime | None) -> int:
    """Return a time in ms since 1970, 0 for None."""
    return 0 if when is None else round(when.timestamp() * 1000)


def _runs(values: Iterable[Any]) -> list[list[Any]]:
    return [[value, sum(1 for _ in run)] for value, run in groupby(values)]


def _differences(values: Iterable[int | None]) -> Iterator[int | None]:
    last = 0
    for value in values:
        yield None if value is None else value - last
        last = last if value is None else value


def _code_runs(rows: tuple[JobRow, ...]) -> list[tuple[int, int]]:
    return [(code, sum(1 for _ in run)) for code, run in groupby(map(_code, rows))]


def _reason_runs(rows: tuple[JobRow, ...]) -> list[tuple[str, int, int]]:
    """Return the reasons of a page's jobs, cut, as runs of text, place of the first, and count."""
    found: list[tuple[str, int, int]] = []
    place = 0
    for reason, run in groupby((row.reason or "")[:_LONGEST_REASON] for row in rows):
        count = sum(1 for _ in run)
        if reason:
            found.append((reason, place, count))
        place += count
    return found


def _estimated(rows: tuple[JobRow, ...]) -> list[tuple[int, Estimate]]:
    return [(place, row.estimate) for place, row in enumerate(rows) if row.estimate is not None]


def _code(row: JobRow) -> int:
    return _CODES.get(row.state, _UNKNOWN_CODE) | _SUB_CODES[row.sub_status]


def _roles(rows: Sequence[JobRow]) -> list[list[Any]]:
    if all(row.program == row.program_id for row in rows):
        return []
    return _runs(row.program[:_LONGEST_PROGRAM] for row in rows)


# Tuples of numbers and texts, of which there are some for each job: the garbage collector follows
# lists, and would look at all of them each time.


def _results(rows: Sequence[JobRow]) -> list[tuple[Any, ...] | None]:
    found = [None if row.summary is None else _result(row.summary) for row in rows]
    return found if any(found) else []


def _result(summary: Summary) -> tuple[Any, ...]:
    if summary.value is None:
        return tuple((bits, round(share, 4)) for bits, share in summary.outcomes)
    return _figures(summary.value), None if summary.error is None else _figures(summary.error)


def _figures(value: float) -> float:
    """Return a value with as many digits as a person may read."""
    return float(f"{value:.6g}")


def _stages(row: JobRow) -> tuple[int | None, ...] | None:
    if row.stages is None:
        return None
    begun = (row.stages.preparing_at, row.stages.on_device_at, row.stages.post_processing_at)
    return tuple(_between(row.created_at, when) for when in begun)


def _between(start: datetime | None, end: datetime | None) -> int | None:
    if start is None or end is None:
        return None
    return max(round((end - start).total_seconds() * 1000), 0)
