"""Payloads of jobs that start soon, and outcomes of jobs that have just ended, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qsession_widget.runtime.pieces import LongText

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qsession_widget.runtime.model.job import Job

MOST = 32
"""How many payloads, and how many outcomes, are kept at hand."""

LARGEST = 2**18
"""Characters of the largest of them."""


class AtHand:
    """Keeps a few payloads and outcomes, so that they need not be read from the store."""

    def __init__(self) -> None:
        self._payloads: dict[str, str] = {}
        self._outcomes: dict[str, tuple[Job, str]] = {}

    def __contains__(self, job_id: str) -> bool:
        """Return whether the outcome of a job is at hand."""
        return job_id in self._outcomes

    def keep_payload(self, job_id: str, params: str | LongText) -> bool:
        """Keep the payload of a job that starts soon; False where it has to be read."""
        if isinstance(params, LongText) or len(params) > LARGEST or len(self._payloads) >= MOST:
            return False
        self._payloads[job_id] = params
        return True

    def take_payload(self, job_id: str) -> str | None:
        """Return a payload that is at hand, once."""
        return self._payloads.pop(job_id, None)

    def keep_outcome(self, job: Job, result: str | LongText) -> None:
        """Keep the outcome of a job that was just stored, so that it need not be read."""
        if job.private or isinstance(result, LongText) or len(result) > LARGEST:
            return
        self._outcomes[job.id] = job, result
        if len(self._outcomes) > MOST:
            del self._outcomes[next(iter(self._outcomes))]

    def take_outcome(self, owner: str, job_id: str) -> tuple[Job, str] | None:
        """Return a job's outcome that is at hand, once, to its owner."""
        found = self._outcomes.get(job_id)
        if found is None or found[0].owner != owner:
            return None
        del self._outcomes[job_id]
        return found

    def forget_outcomes(self, job_ids: Iterable[str]) -> None:
        """Drop the outcomes of jobs that have changed."""
        for job_id in job_ids:
            self._outcomes.pop(job_id, None)
