"""Passes a job's results to a callback, on a thread of its own."""

from __future__ import annotations

import json
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from qsession_widget.errors import JobError, ServiceUnavailableError
from qsession_widget.transport.http import unattended
from qsession_widget.wire.documents import required
from qsession_widget.wire.fields import EXTRA

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.client.jobs.job import RuntimeJob

    Callback = Callable[[str, Any], object]

logger = logging.getLogger(__name__)

_HELD_SECONDS = 25.0
_PAUSE_SECONDS = 2.0


def follow(job: RuntimeJob, callback: Callback) -> threading.Thread:
    """Call `callback(job_id, result)` for every result of a job, until the job is final.

    If the service has interim results, as the local runtime does, the callback gets the result of
    each pub when the pub is finished. At the end it gets the whole result once, from every service.
    A job that fails or is cancelled has no whole result. An exception in the callback is logged,
    and ends nothing.

    Returns:
        The thread, a daemon, already started.
    """
    name = f"qsession-callback-{job.job_id()}"
    thread = threading.Thread(target=_follow, args=(job, callback), name=name, daemon=True)
    thread.start()
    return thread


@unattended()
def _follow(job: RuntimeJob, callback: Callback) -> None:
    try:
        interim = "interim" in _patiently(job, lambda: job.service.features)
        seen = _hand_over_interim(job, callback) if interim else 0
        _patiently(job, job.wait_for_final_state)
        # The text that `result` decodes is kept: a private job's is returned once.
        text = _patiently(job, job.final_text)
        if text is None:
            logger.warning(
                "No final result for the callback of job %s: the service no longer has it",
                job.job_id(),
            )
            return
        if interim:
            # The runtime drops interim results of final jobs, maybe before we have asked for them.
            for pub in _pubs(text)[seen:]:
                _hand_over(job, callback, job.decode(json.dumps(pub)))
        _hand_over(job, callback, _patiently(job, job.result))
    except JobError as error:
        logger.info("No final result for the callback: %s", error)
    except Exception:
        # From the service, or from the user's decoder: nothing else would report it.
        logger.exception("The callback of job %s gets no more results", job.job_id())


def _pubs(text: str) -> list[Any]:
    """Return the encoded results of the pubs; empty for a program that has no pubs."""
    match json.loads(text):
        case {"__value__": {"pub_results": list(pubs)}}:
            return pubs
        case _:
            return []


def _hand_over_interim(job: RuntimeJob, callback: Callback) -> int:
    """Pass on results of pubs until the job is final, and return how many there were."""
    seen, final = 0, False
    request = f"GET /{EXTRA}/jobs/{job.job_id()}/interim"
    while not final:
        ask = partial(job.service.api.interim, after=seen, wait_seconds=_HELD_SECONDS)
        found = _patiently(job, partial(ask, job.job_id()))
        for text in required(found.interim, "interim", request):
            _hand_over(job, callback, job.decode(text))
        seen = required(found.next, "next", request)
        final = required(found.final, "final", request)
    return seen


def _patiently(job: RuntimeJob, ask: Callable[[], Any]) -> Any:
    """Retry a request until it is answered: the job goes on while the service is unreachable."""
    while True:
        try:
            return ask()
        except ServiceUnavailableError as error:
            logger.warning("Job %s: %s", job.job_id(), error)
            # Raises if the connection was closed for good.
            job.service.api.transport.pause(_PAUSE_SECONDS)


def _hand_over(job: RuntimeJob, callback: Callback, result: Any) -> None:
    try:
        callback(job.job_id(), result)
    # The callback is the user's code: an exception in it must not cost the results that follow,
    # and `sys.exit()` in it must not end this thread.
    except (Exception, SystemExit):
        logger.exception("The callback of job %s raised", job.job_id())
