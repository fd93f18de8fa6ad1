"""A job as its service told of it last, and waiting until it is over."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from qiskit.primitives import BasePrimitiveJob

from qsession_widget.errors import JobTimeoutError, ServiceError
from qsession_widget.wire.fields import EXTRA
from qsession_widget.wire.states import FINAL_JOB_STATUS, JOB_STATUS, job_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qsession_widget.service import QiskitRuntimeService

_HELD_SECONDS = 25.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_PAUSE_GROWTH = 1.5


class PolledJob(BasePrimitiveJob):  # type: ignore[misc] # qiskit has no types
    """What a service says of a job. A job that is over never changes, and is not asked for again.

    Args:
        service: the service that it runs on.
        job_id: its id.
        data: JSON of GET /jobs/{id}, where it is known already.
    """

    def __init__(
        self, service: QiskitRuntimeService, job_id: str, data: Mapping[str, Any] | None
    ) -> None:
        super().__init__(job_id)
        self._service = service
        self._lock = threading.Lock()
        self._data = data
        self._etag: str | None = None
        self._text: str | None = None

    def wait_for_final_state(self, timeout: float | None = None) -> None:
        """Wait until it is over, however it ends.

        A KeyboardInterrupt ends the waiting, not the job; a note on it says how to get it back.

        Args:
            timeout: seconds to wait at most; None waits as long as it takes.

        Raises:
            JobTimeoutError: where it is not over by then. It goes on.
            ServiceUnavailableError: where the service cannot be reached. It goes on.
        """
        try:
            self._wait(timeout)
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(
                f"Job {self._job_id} goes on. service.job({self._job_id!r}) gives it back, "
                "its cancel() ends it."
            )
            raise

    def _wait(self, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_PAUSE_SECONDS
        left = _HELD_SECONDS if timeout is None else timeout
        while not self._over():
            if self._service.known_to_offer("outcome"):
                self._await_outcome(min(left, _HELD_SECONDS))
                asked_to_hold = waited = True
            else:
                # A request can be held only where there is something to compare with.
                asked_to_hold = self._etag is not None
                waited = self._refresh(min(left, _HELD_SECONDS) if asked_to_hold else 0.0)
            if self._over() or self._ended_unheard_of():
                return
            left = _HELD_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise JobTimeoutError(
                    f"job {self._job_id} was not over after {timeout} s; it goes on, and "
                    f"service.job({self._job_id!r}) gives it back",
                    job_id=self._job_id,
                )
            if not waited and (asked_to_hold or self._etag is None):
                self._service.api.transport.pause(min(pause, left))
                pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)

    def _known(self) -> Mapping[str, Any]:
        """Give its JSON as last seen, and fetch it where it was never seen."""
        if self._data is None:
            self._refresh()
        if self._data is None:
            raise ServiceError(
                f"job {self._job_id}: no answer to a first question", status_code=304
            )
        return self._data

    def _over(self) -> bool:
        return self._data is not None and job_status(self._data) in FINAL_JOB_STATUS

    def _ended_unheard_of(self) -> bool:
        """Whether it is in a state that is not known here, and yet the service calls it finished.

        Words that a service brings in later must not make anybody wait for ever.
        """
        if job_status(self._known()) in JOB_STATUS.values():
            return False
        try:
            times = self._service.api.metrics(self._job_id).get("timestamps") or {}
        except ServiceError:
            return False
        return times.get("finished") is not None

    def _await_outcome(self, held_seconds: float) -> None:
        """Ask for its JSON and its result once it is over."""
        found = self._service.api.outcome(self._job_id, wait_seconds=held_seconds)
        with self._lock:
            if found is not None and not self._over():
                self._data, self._etag, self._text = found["job"], found["etag"], found["result"]

    def _refresh(self, held_seconds: float = 0.0, *, changed_only: bool = True) -> bool:
        """Ask for its JSON, and say whether the server held the request."""
        known = self._etag if changed_only else None
        polled = self._service.api.job(self._job_id, etag=known, wait_seconds=held_seconds)
        with self._lock:
            # Answers of two threads may come in any order: what is over stays over.
            if polled.body is not None and not self._over():
                self._data, self._etag = polled.body, polled.etag
        return polled.waited

    def _said_now(self, what: str) -> Any:
        """Ask for one of the local runtime's additions to a job; None where there is none."""
        if not self._over():
            # Not by the ETag: a job does not change when those before it go.
            self._refresh(changed_only=False)
        return (self._known().get(EXTRA) or {}).get(what)

    async def _over_in_the_end(self) -> None:
        # Short questions and no held ones: a thread that is held cannot be called off, and there
        # are few of them for everybody who waits.
        pause = _FIRST_PAUSE_SECONDS
        while not self._over():
            await asyncio.to_thread(self._refresh)
            if await asyncio.to_thread(self._ended_unheard_of):
                return
            if not self._over():
                await asyncio.sleep(pause)
                pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)
