"""A list of jobs as the columns that travel to the browser (`js/src/contract.ts`)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from qsession_widget.snapshot import JobRow

_CODES = {state: code for code, state in enumerate(JobState)}
_UNKNOWN_CODE = 15
_UNKNOWN_TIME = 0xFFFF_FFFF
_LONGEST_REASON = 600


def static_columns(jobs: Iterable[JobRow]) -> dict[str, list[Any]]:
    """Give what never changes: ids, programs, and creation times in ms since 1970."""
    rows = list(jobs)
    return {
        "ids": [row.id for row in rows],
        "programs": [row.program_id for row in rows],
        "created": [milliseconds(row.created_at) for row in rows],
    }


def state_bytes(jobs: Iterable[JobRow]) -> bytes:
    """Give one byte for each job: its state's code, 15 for one that is not known here."""
    return bytes(_CODES.get(row.state, _UNKNOWN_CODE) for row in jobs)  # type: ignore[call-overload]


def time_bytes(jobs: Iterable[JobRow]) -> bytes:
    """Give two uint32 for each job: ms from creation to start, and from start to end."""
    pairs = (
        (_between(row.created_at, row.started_at), _between(row.started_at, row.ended_at))
        for row in jobs
    )
    return b"".join(struct.pack("<II", *pair) for pair in pairs)


def reasons(jobs: Iterable[JobRow]) -> dict[str, str]:
    """Give why jobs failed or were cancelled, shortened where it would swell the page."""
    return {row.id: row.reason[:_LONGEST_REASON] for row in jobs if row.reason}


def milliseconds(when: datetime | None) -> int:
    """Give a time in ms since 1970, 0 for none."""
    return 0 if when is None else round(when.timestamp() * 1000)


def _between(start: datetime | None, end: datetime | None) -> int:
    if start is None or end is None:
        return _UNKNOWN_TIME
    return min(max(round((end - start).total_seconds() * 1000), 0), _UNKNOWN_TIME - 1)
