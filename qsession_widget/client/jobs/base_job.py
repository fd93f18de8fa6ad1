"""Polling a job: its last known JSON, and waiting until it is final."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Self, TypeVar

from qiskit.primitives import BasePrimitiveJob

from qsession_widget.client.jobs import async_wait
from qsession_widget.errors import (
    InvalidInputError,
    JobTimeoutError,
    RuntimeStartError,
    ServiceError,
    ServiceUnavailableError,
)
from qsession_widget.support import forking, validation
from qsession_widget.support.warnings import warn_user
from qsession_widget.transport.http import hurried, unattended
from qsession_widget.wire.documents import (
    JobDocument,
    JobExtrasDocument,
    JobMetricsDocument,
    JobTimesDocument,
    job_status,
    known,
    read,
)
from qsession_widget.wire.holders import SHORT_ID, ReadHolder, holder_parts
from qsession_widget.wire.states import FINAL_JOB_STATUS, JOB_STATUS

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.client.protocols import Service
    from qsession_widget.transport.rest import ReceivedJob
    from qsession_widget.wire.holders import Holder

_HELD_SECONDS = 25.0
_AWAITED_HELD_SECONDS = 5.0
"""The same for an awaited job, whose task may be cancelled meanwhile."""
_SILENT_SECONDS = 3.0
"""How long it waits before it says what it waits for."""
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_PAUSE_GROWTH = 1.5
_LONGEST_OUTAGE_SECONDS = 300.0
"""How long waiting goes on while the service cannot be reached."""

LONG_SECONDS = 600.0
"""A job that is expected to run for longer is worth a warning."""

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


def _long(seconds: float) -> str:
    hours = seconds / 3600
    return f"about {seconds / 60:.0f} min" if hours < 2 else f"about {hours:.0f} h"  # noqa: PLR2004 - in words


class _Asking:
    """A request for a result that is under way; other threads wait for its response."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.answered = False
        self.text: str | None = None


class PolledJob(BasePrimitiveJob):
    """The polled state of a job. A final job never changes, and is not asked for again.

    Args:
        service: the service that it runs on.
        job_id: its id.
        received: what the service sent of it, if it is known already.
    """

    def __init__(self, service: Service, job_id: str, received: ReceivedJob | None) -> None:
        super().__init__(job_id)
        self._service = service
        self._lock = forking.Lock()
        self._received = received
        self._etag: str | None = None
        self._text: str | None = None
        self._asking: _Asking | None = None
        self._key = ""
        self._told = False
        forking.heed(self)

    def after_fork(self) -> None:
        """Forget the request that a thread of the parent process was sending."""
        self._asking = None

    def wait_for_final_state(
        self,
        timeout: float | None = None,
        poll_interval: float | None = None,
        *,
        wait: float | None = None,
        callback: Callable[[str, str, Self], object] | None = None,
    ) -> None:
        """Wait until it is final, whether it succeeds or not.

        A KeyboardInterrupt ends the waiting, not the job; a note on it says how to get the job
        back.

        Args:
            timeout: seconds to wait at most; None waits as long as it takes.
            poll_interval: seconds between two requests, for services that have to be polled, at
                least 0.1; None starts there and lets them grow. The local runtime holds the
                request until the job is final, whatever is given.
            wait: another name for `poll_interval`, from Qiskit.
            callback: called as `callback(job_id, status, job)` before each request while the job
                is unfinished; that is every `poll_interval` seconds, or 2.

        Raises:
            InvalidInputError: for a timeout or interval that is not a number of seconds, and for an
                interval that is given twice.
            JobTimeoutError: if it is unfinished by then. It goes on.
            ServiceUnavailableError: if the service cannot be reached for five minutes. The job goes
                on.
        """
        timeout = validation.timeout("timeout", timeout)
        pause = _interval(poll_interval, wait)
        validation.given(validation.function, "callback", callback)
        try:
            self._wait(timeout, pause, callback)
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(self._way_back())
            raise

    def _wait(
        self,
        timeout: float | None,
        interval: float | None = None,
        callback: Callable[[str, str, Self], object] | None = None,
        *,
        longest_held: float = _HELD_SECONDS,
        called_off: threading.Event | None = None,
    ) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_PAUSE_SECONDS if interval is None else interval
        if callback is not None:
            longest_held = interval or _LONGEST_PAUSE_SECONDS
        left = longest_held if timeout is None else timeout
        asked = told = False
        shortly = min(longest_held, _SILENT_SECONDS)
        while not (self._over() or (called_off is not None and called_off.is_set())):
            held = min(left, longest_held if asked else shortly)
            if callback is not None:
                callback(self._job_id, job_status(self.document), self)
            if self._service.known_to_offer("outcome"):
                ask_outcome = partial(self._await_outcome, held)
                self._patiently(unattended()(ask_outcome) if asked else ask_outcome, deadline)
                asked_to_hold = waited = True
            else:
                # A request can be held only with an ETag to compare with.
                asked_to_hold = self._etag is not None
                ask = partial(self._refresh, held if asked_to_hold else 0.0)
                waited = self._patiently(unattended()(ask) if asked else ask, deadline)
            # The first request starts a local runtime if none runs. Later ones only wait: a runtime
            # that was stopped meanwhile stays stopped.
            asked = True
            if held >= _SILENT_SECONDS and not told:
                told = self._patiently(unattended()(self._say_who_holds), deadline)
            if self._over() or self._patiently(unattended()(self._ended_unheard_of), deadline):
                return
            left = longest_held if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise JobTimeoutError(
                    f"job {self._job_id} was unfinished after {timeout:g} s; it goes on, and "
                    f"service.job({self._job_id!r}) returns it",
                    job_id=self._job_id,
                )
            self._tell_if_long(deadline)
            if not waited and (asked_to_hold or self._etag is None):
                self._service.api.transport.pause(min(pause, left))
                if interval is None:
                    pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)

    def _say_who_holds(self) -> bool:
        """Log one line if it waits for a session that holds its backend; return whether it did.

        Without it, waiting for an idle session that the user opened before looks like a fault.
        """
        if self._over() or not self._service.known_to_offer("holders"):
            return False
        document = self._extras().held_by
        if not document:
            return False
        found = ReadHolder(document)
        parts = holder_parts(found, self.document.backend or "its backend")
        words = "".join(
            part if isinstance(part, str) else f"{part.astimezone():%H:%M:%S}" for part in parts
        )
        logger.warning("Job %s waits: %s.%s", self._job_id, words, _what_to_do(found))
        return True

    def _tell_if_long(self, deadline: float | None) -> None:
        """Warn once of a job that its service expects to run for long."""
        if self._told:
            return
        if self._service.known_to_offer("outcome"):
            # Its JSON came with no response to a request that was held for its end.
            self._patiently(unattended()(self._refresh), deadline)
        seconds = known(self.document.estimated_running_time_seconds)
        if self._over() or seconds is None or seconds < LONG_SECONDS:
            return
        self._told = True
        by = (self.document.qsession or JobExtrasDocument()).estimated_by
        warn_user(
            f"job {self._job_id} is expected to run for {_long(seconds)} in all"
            f"{f', by {by}' if by else ''}. Its cancel() ends it, and "
            f"service.job({self._job_id!r}) returns it if you do not wait."
        )

    def _patiently(self, ask: Callable[[], _T], deadline: float | None) -> _T:
        """Retry a request until it is answered: the job goes on while the service is unreachable.

        Args:
            ask: sends the request.
            deadline: when to give up, by `time.monotonic`; None is the longest outage allowed.

        Raises:
            ServiceUnavailableError: if there was no response for too long.
        """
        until = time.monotonic() + _LONGEST_OUTAGE_SECONDS
        if deadline is not None:
            until = min(until, deadline)
        # Only the first request may start a local runtime: one that was stopped stays stopped.
        for question in chain([hurried()(ask)], repeat(unattended()(ask))):
            try:
                return question()
            except ServiceUnavailableError as error:
                left = self._patience(error, until)
                self._service.api.transport.pause(min(_LONGEST_PAUSE_SECONDS, left))
        raise AssertionError("unreachable: the loop has no end")

    def _patience(self, error: ServiceUnavailableError, until: float) -> float:
        """Return the seconds that an outage may still last, or raise its error if none are left."""
        left = until - time.monotonic()
        if left <= 0 or self._service.closed or isinstance(error, RuntimeStartError):
            error.add_note(self._way_back())
            raise error
        logger.warning("Job %s goes on, and is asked for again: %s", self._job_id, error)
        return left

    def _way_back(self) -> str:
        return (
            f"Job {self._job_id} goes on. service.job({self._job_id!r}) returns it, and its "
            "cancel() ends it."
        )

    def _known(self) -> ReceivedJob:
        """Return what the service last sent of it, fetched if nothing is known."""
        if self._received is None:
            self._refresh()
        if self._received is None:
            raise ServiceError(
                f"job {self._job_id}: no response to a first request", status_code=304
            )
        return self._received

    @property
    def document(self) -> JobDocument:
        """Its last known state, in the fields that this package reads."""
        return self._known().document

    def _over(self) -> bool:
        known = self._received
        return known is not None and job_status(known.document) in FINAL_JOB_STATUS

    def _ended_unheard_of(self) -> bool:
        """Whether it is in an unknown state although the service calls it finished.

        States that a service introduces later must not make users wait forever.
        """
        if job_status(self.document) in JOB_STATUS.values():
            return False
        try:
            metrics = read(JobMetricsDocument, self._service.api.metrics(self._job_id))
        except ServiceError:
            return False
        return known((metrics.timestamps or JobTimesDocument()).finished) is not None

    def _result_text(self) -> str | None:
        """Return the text of the final job's result; None if there is none, or it is gone.

        One thread asks for it at a time, since the result of a private job is returned once, and
        it is kept until it is decoded. Other threads wait for that one, and hold no lock meanwhile.
        """
        while True:
            with self._lock:
                if self._text is not None:
                    # It came with the last response, from services that can do that.
                    return self._text
                asking = self._asking
                if asking is None:
                    mine = self._asking = _Asking()
                    # With the key, this object and no other gets it again if a response is lost.
                    self._key = self._key or str(uuid.uuid4())
            if asking is None:
                return self._ask_for_result(mine)
            asking.over.wait()
            if asking.answered:
                return asking.text

    def _ask_for_result(self, asking: _Asking) -> str | None:
        try:
            asking.text = self._service.api.results(self._job_id, key=self._key)
            asking.answered = True
            return asking.text
        finally:
            with self._lock:
                self._text, self._asking = asking.text, None
            asking.over.set()

    def _await_outcome(self, held_seconds: float) -> None:
        """Fetch its JSON and its result in one request, held until it is final."""
        found = self._service.api.outcome(self._job_id, wait_seconds=held_seconds)
        with self._lock:
            if found is not None and not self._over():
                self._received, self._etag, self._text = found.job, found.etag, found.result

    def _refresh(
        self, held_seconds: float = 0.0, *, changed_only: bool = True, anew: bool = False
    ) -> bool:
        """Fetch its JSON, and return whether the server held the request.

        Args:
            held_seconds: how long the server may hold it.
            changed_only: whether to send the last ETag, for a response only if something changed.
            anew: whether to keep the response even if the job was known to be final.
        """
        known = self._etag if changed_only else None
        polled = self._service.api.job(self._job_id, etag=known, wait_seconds=held_seconds)
        with self._lock:
            # Responses to two threads may come in any order: a final job stays final.
            if polled.body is not None and (anew or not self._over()):
                self._received, self._etag = polled.body, polled.etag
        return polled.waited

    def _extras(self) -> JobExtrasDocument:
        """Return the local runtime's additions to a job as they are now; empty at IBM."""
        if not self._over():
            # Without the ETag: a job's JSON does not change when jobs before it leave the queue.
            self._refresh(changed_only=False)
        return self.document.qsession or JobExtrasDocument()

    async def _over_in_the_end(self) -> None:
        """Wait until it is final, and let other asyncio tasks run meanwhile."""
        import asyncio  # noqa: PLC0415 - 30 ms, and only who awaits needs it

        pause = _FIRST_PAUSE_SECONDS
        until = time.monotonic() + _LONGEST_OUTAGE_SECONDS
        name = f"qsession-await-{self._job_id}"
        # As in `_wait`: only the first request may start a local runtime.
        ask, ended_unheard_of = hurried()(self._refresh), unattended()(self._ended_unheard_of)
        while not self._over():
            if async_wait.held.take():
                called_off = threading.Event()
                try:
                    await async_wait.in_thread(partial(self._held_until_over, called_off), name)
                finally:
                    # A thread in a held request cannot be stopped at once, but soon.
                    called_off.set()
                return
            try:
                await async_wait.in_thread(ask, name)
                ask = unattended()(self._refresh)
                if await async_wait.in_thread(ended_unheard_of, name):
                    return
                until = time.monotonic() + _LONGEST_OUTAGE_SECONDS
            except ServiceUnavailableError as error:
                self._patience(error, until)
            if not self._over():
                await asyncio.sleep(pause)
                pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)

    def _held_until_over(self, called_off: threading.Event) -> None:
        with async_wait.held.given_back():
            self._wait(None, longest_held=_AWAITED_HELD_SECONDS, called_off=called_off)


def _what_to_do(holder: Holder) -> str:
    if not holder.mine:
        return ""
    short = (holder.session_id or "")[:SHORT_ID]
    return f" To have it at once: Session.from_id({short!r}).close(), or `qsession close {short}`."


def _interval(poll_interval: float | None, wait: float | None) -> float | None:
    """Return the seconds between two requests.

    Raises:
        InvalidInputError: for a value that is not a number of seconds, and if both are given.
    """
    if poll_interval is not None and wait is not None:
        raise InvalidInputError("poll_interval= and wait= are two names for the same: give one")
    name, given = ("wait", wait) if poll_interval is None else ("poll_interval", poll_interval)
    return None if given is None else max(validation.number(0)(name, given), _FIRST_PAUSE_SECONDS)
