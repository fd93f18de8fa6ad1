"""Keeps the summaries of results that this process has decoded, where the service sends none."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from qsession_widget.support import forking
from qsession_widget.wire.documents import JobExtrasDocument
from qsession_widget.wire.results.outcomes import summary_of
from qsession_widget.wire.results.summary import Summary

if TYPE_CHECKING:
    from qsession_widget.wire.documents import JobDocument

_MOST_KEPT = 10_000


class Summaries:
    """The summaries of the results that this process has decoded lately. Threads may share it."""

    def __init__(self) -> None:
        self._lock = forking.Lock()
        self._kept: dict[str, Summary] = {}
        self._order: deque[str] = deque(maxlen=_MOST_KEPT)
        self._count = 0

    def note(self, job: JobDocument, result: object) -> None:
        """Keep the summary of a job's result, unless the service has sent it with the job."""
        job_id = job.id
        found = summary_of(result) if _sent_with(job) is None else None
        if found is None:
            return
        with self._lock:
            if job_id not in self._kept:
                if len(self._order) == _MOST_KEPT:
                    self._kept.pop(self._order[0])
                self._order.append(job_id)
                self._count += 1
            self._kept[job_id] = found

    def of(self, job: JobDocument) -> Summary | None:
        """Return a job's summary; None if it was not sent and its result not decoded here."""
        return _sent_with(job) or self._kept.get(job.id)

    def since(self, count: int) -> tuple[int, dict[str, Summary]]:
        """Return how many there have been, and those that came after the first `count`."""
        with self._lock:
            fresh = min(self._count - count, len(self._order))
            ids = [self._order[-at] for at in range(fresh, 0, -1)]
            return self._count, {job_id: self._kept[job_id] for job_id in ids}


def _sent_with(job: JobDocument) -> Summary | None:
    return Summary.of((job.qsession or JobExtrasDocument()).result_summary)
