"""The part of a session that ends it: at once, or at the end of a `with` block."""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qsession_widget.client.reading import Readable
from qsession_widget.errors import ConflictError, NotFoundError, QSessionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qsession_widget.client.job import RuntimeJob

logger = logging.getLogger(__name__)


class Ending(Readable):
    """How a session ends, and what becomes of its jobs."""

    def close(self) -> str:
        """Take no more jobs. Queued and running ones finish, then the session is over.

        Doing it again changes nothing.

        Returns:
            What became of it, in words.
        """
        self._close()
        return self._how_it_ended()

    def _close(self) -> None:
        self._active = False
        if self._session_id is not None:
            with self._forgotten():
                self._service.api.close_session(self._session_id)

    def cancel(self) -> str:
        """Take no more jobs, and cancel the queued ones. Running ones finish.

        Doing it again changes nothing.

        Returns:
            What became of it, in words.
        """
        self._cancel()
        return self._how_it_ended()

    def _cancel(self) -> None:
        self._active = False
        if self._session_id is None:
            self.cancel_queued_jobs()
        else:
            with self._forgotten():
                self._service.api.cancel_session(self._session_id)

    @contextmanager
    def _forgotten(self) -> Iterator[None]:
        """Take it for ended where the service does not know it (any more)."""
        try:
            yield
        except NotFoundError:
            logger.info("Session %s is not on the service any more", self._session_id)

    def cancel_queued_jobs(self) -> list[str]:
        """Cancel the queued jobs, and leave the session open.

        Returns:
            Ids of the jobs that this cancelled.
        """
        if self._session_id is not None and "watch" in self._service.features:
            return self._service.api.cancel_queued(self._session_id, key=str(uuid.uuid4()))
        return [job.job_id() for job in self.jobs() if job.queued() and _cancelled(job)]

    def _end(self, error: BaseException | None) -> None:
        """Do what the end of the block means for the session."""
        if error is None:
            self._close()
        elif isinstance(error, (KeyboardInterrupt, asyncio.CancelledError)):
            error.add_note(
                f"{self!r} stays open, and its jobs go on. Its cancel() or close() ends it"
                + (
                    "."
                    if self._session_id is None
                    else f", {type(self).__name__}.from_id finds it."
                )
            )
        elif self._on_error != "leave":
            try:
                self._cancel() if self._on_error == "cancel" else self._close()
            except QSessionError as problem:
                # The first exception is the one that matters; this one must not hide it.
                logger.exception("%r could not be ended", self)
                error.add_note(f"{self!r} could not be ended and may be open: {problem}")

    def _how_it_ended(self) -> str:
        """Count the jobs that are left. The ending itself stands, whether this works or not."""
        if self._session_id is None:
            return "takes no more jobs"
        try:
            page = self._service.api.jobs(session_id=self._session_id, pending="true", limit=1)
        except QSessionError:
            logger.info("Session %s: its jobs cannot be counted", self._session_id, exc_info=True)
            return "takes no more jobs"
        left = int(page["count"])
        if not left:
            return "closed: all its jobs are over"
        return f"takes no more jobs; {left} of them {'goes' if left == 1 else 'go'} on to the end"


def _cancelled(job: RuntimeJob) -> bool:
    try:
        return job.cancel()
    except ConflictError:
        # It was over, or had begun, before this reached it.
        return False
