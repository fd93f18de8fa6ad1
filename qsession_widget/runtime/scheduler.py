"""Which waiting job starts next, and what place each one has: pure functions, no clock needed.

One job runs on a device at a time. A dedicated session that is active has its device to itself;
an active batch goes ahead of the normal queue without reserving anything (IBM: execution modes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qsession_widget.runtime import lifecycle

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from qsession_widget.runtime.job import Job
    from qsession_widget.runtime.lifecycle import Session


def start_order(waiting: Iterable[Job], sessions: Mapping[str, Session]) -> list[Job]:
    """Sort the waiting jobs of one device as they will start, if nothing else comes.

    Args:
        waiting: queued jobs of one device, oldest first.
        sessions: every session that is not closed, by id.
    """

    def place(job: Job) -> int:
        session = sessions.get(job.session_id or "")
        return 0 if session is not None and session.prioritised else 1

    return sorted(waiting, key=place)


def startable(
    waiting: Iterable[Job],
    sessions: Mapping[str, Session],
    *,
    busy: Collection[str],
    slots: int,
) -> list[Job]:
    """Choose the jobs to start now.

    Args:
        waiting: queued jobs of all devices, oldest first.
        sessions: every session that is not closed, by id.
        busy: devices on which a job runs.
        slots: how many workers are free.

    Returns:
        At most `slots` jobs, at most one for each device.
    """
    by_device: dict[str, list[Job]] = {}
    for job in waiting:
        if job.backend not in busy:
            by_device.setdefault(job.backend, []).append(job)
    holders = {session.backend: session.id for session in sessions.values() if session.holds_device}
    chosen: list[Job] = []
    for backend, jobs in by_device.items():
        holder = holders.get(backend)
        for job in start_order(jobs, sessions):
            if len(chosen) >= slots:
                return chosen
            session = sessions.get(job.session_id or "")
            if holder is not None and job.session_id != holder:
                continue
            if session is not None and not lifecycle.may_start(session):
                continue
            chosen.append(job)
            break
    return chosen
