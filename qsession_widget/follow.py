"""Hands a job's results to a callback, on a thread of its own."""

from __future__ import annotations

import json
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from qsession_widget.errors import JobError, QSessionError, ServiceUnavailableError
from qsession_widget.transport.http import unattended

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.job import RuntimeJob

    Callback = Callable[[str, Any], object]

logger = logging.getLogger(__name__)

_HELD_SECONDS = 25.0
_PAUSE_SECONDS = 2.0


def follow(job: RuntimeJob, callback: Callback) -> threading.Thread:
    """Call `callback(job_id, result)` for every result of a job, until it is over.

    Where the service gives interim results (the local runtime does), the callback gets the result
    of each pub as it is finished, and then everywhere the whole result once. A job that fails or
    is cancelled has no whole result. An exception in the callback is logged and ends nothing.

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
        result = _patiently(job, job.result)
        if interim:
            # The runtime forgets them at the end, and the end may come before we have asked.
            text = _patiently(job, lambda: job.service.api.results(job.job_id()))
            for pub in json.loads(text)["__value__"]["pub_results"][seen:]:
                _hand_over(job, callback, job.decode(json.dumps(pub)))
        _hand_over(job, callback, result)
    except JobError as error:
        logger.info("No final result for the callback: %s", error)
    except QSessionError:
        logger.exception("The callback of job %s gets no more results", job.job_id())


def _hand_over_interim(job: RuntimeJob, callback: Callback) -> int:
    """Hand over results of pubs until the job is over, and give how many they were."""
    seen, final = 0, False
    while not final:
        ask = partial(job.service.api.interim, after=seen, wait_seconds=_HELD_SECONDS)
        found = _patiently(job, partial(ask, job.job_id()))
        for text in found["interim"]:
            _hand_over(job, callback, job.decode(text))
        seen, final = found["next"], found["final"]
    return seen


def _patiently(job: RuntimeJob, ask: Callable[[], Any]) -> Any:
    """Ask until there is an answer: the job goes on while the service cannot be reached."""
    while True:
        try:
            return ask()
        except ServiceUnavailableError as error:
            logger.warning("Job %s: %s", job.job_id(), error)
            # Raises where the connection was closed for good.
            job.service.api.transport.pause(_PAUSE_SECONDS)


def _hand_over(job: RuntimeJob, callback: Callback, result: Any) -> None:
    try:
        callback(job.job_id(), result)
    # The callback is the user's: whatever it raises must not cost the results that follow.
    except Exception:
        logger.exception("The callback of job %s raised", job.job_id())
