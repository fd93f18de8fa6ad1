"""Errors of the REST API: one exception, and its JSON in the shape of IBM's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qsession_widget.runtime.http.middleware import access_log
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.wire.fields import PROGRAM_NOT_FOUND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request


class Problem(Exception):  # noqa: N818 - an answer to the client, not an error of the server
    """An error response: a status of 400 or more, and what the client can do about it.

    Attributes:
        status: HTTP status.
        code: the service's own code.
        message: what is wrong; names the value.
        solution: what is allowed, or what to do instead.
    """

    def __init__(self, status: int, code: int, message: str, solution: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.solution = solution


def bad_request(message: str, solution: str = "") -> Problem:
    """Return the error for a request whose content is wrong."""
    return Problem(400, 1200, message, solution)


def unauthorized() -> Problem:
    """Return the error for a wrong or missing token."""
    return Problem(
        401,
        1217,
        "The token is missing or wrong.",
        "Take the token of the runtime's discovery file, or ask its owner for one.",
    )


def forbidden(what: str) -> Problem:
    """Return the error for a request that only the administrator may send."""
    return Problem(
        403,
        1200,
        f"{what:.120} is for the runtime's administrator.",
        "Their token is in the runtime's discovery file.",
    )


def user_exists(name: str) -> Problem:
    """Return the error for a new user whose name is taken."""
    return Problem(
        409, 1200, f"There is a user {name} already.", "For a new token, remove and add them again."
    )


def user_not_found(name: str) -> Problem:
    """Return the error for a user who was not added."""
    return Problem(
        404, 1200, f"User not found: {name:.80}", "`qsession user list` lists all users."
    )


def host_not_found(host: str) -> Problem:
    """Return the error for a host that has not joined."""
    return Problem(404, 1200, f"Host not found: {host:.80}", "`qsession status` lists all hosts.")


def session_not_found(session_id: str) -> Problem:
    """Return the error for a session that does not exist, or that another user owns."""
    return Problem(404, 1291, f"Session not found: {session_id:.80}", "Check the session id.")


def job_not_found(job_id: str) -> Problem:
    """Return the error for a job that does not exist, or that another user owns."""
    return Problem(404, 1291, f"Job not found: {job_id:.80}", "Check the job id.")


def backend_not_found(name: str, known: Iterable[str]) -> Problem:
    """Return the error for an unknown backend."""
    return Problem(404, 1216, f"Backend not found: {name:.80}", f"Known are {', '.join(known)}.")


def calibration_not_found(name: str, calibration_id: str) -> Problem:
    """Return the error for a calibration id: a recorded device has one calibration only."""
    return Problem(
        404,
        1216,
        f"Calibration not found: {calibration_id} of {name}",
        "A recorded device has one calibration, which needs no id.",
    )


def program_not_found(name: str, known: Iterable[str]) -> Problem:
    """Return the error for an unknown program."""
    return Problem(
        404, PROGRAM_NOT_FOUND, f"Program not found: {name:.80}", f"Known are {', '.join(known)}."
    )


def session_closed(session_id: str) -> Problem:
    """Return the error for a job of a session that accepts no more jobs."""
    return Problem(
        409, 1211, f"Session {session_id} takes no more jobs.", "Open a new session for them."
    )


def job_is_final(job_id: str, state: str) -> Problem:
    """Return the error for cancelling a job that has ended."""
    return Problem(409, 1230, f"Job {job_id} cannot be cancelled: it is {state}.")


def result_removed(job_id: str) -> Problem:
    """Return the error for a result that retention has deleted."""
    return Problem(
        410,
        1291,
        f"The result of job {job_id} was removed: its runtime keeps results for a time only.",
        "Run the job again; `qsession serve --help` says how to keep results longer.",
    )


def clock_runs_by_itself(kind: str) -> Problem:
    """Return the error for advancing a clock that is not virtual."""
    return Problem(
        409,
        1200,
        f"The clock of this runtime is {kind!r}, and goes on by itself.",
        "Only a virtual clock can be advanced: qsession serve --clock virtual.",
    )


def body_too_large(limit: int) -> Problem:
    """Return the error for a body that is larger than this runtime accepts."""
    return Problem(413, 1213, f"The request is larger than {limit} bytes.", "Send smaller jobs.")


def too_many(count: int, limit: int, what: str) -> Problem:
    """Return the error for a limit that is reached, with the status, code and words of IBM."""
    return Problem(
        400,
        3458,
        f"You have reached the limit of {limit} {what}: there are {count}.",
        "Wait until one has ended, or cancel one.",
    )


def key_reused(what: str) -> Problem:
    """Return the error for an idempotency key that was used for another request."""
    return Problem(409, 1200, what, "Send a new key with a new request.")


def too_many_connections() -> Problem:
    """Return the error for a user whose connections are all in use."""
    return Problem(
        429, 1200, "You have too many connections to this runtime.", "Close some, then try again."
    )


def store_unavailable(detail: str) -> Problem:
    """Return the error for a store that cannot write: nothing changed, clients may retry."""
    return Problem(
        503,
        1000,
        f"The runtime cannot store this at the moment: {detail}.",
        "Look whether its disk is full, or another program holds its file.",
    )


def as_response(problem: Problem) -> JsonAnswer:
    """Build the response for a problem, in the shape of IBM's current API."""
    error = {
        "code": problem.code,
        "message": problem.message,
        "solution": problem.solution,
        "more_info": "",
    }
    body = {"trace": access_log.request_id(), "errors": [error]}
    return JsonAnswer(body, status_code=problem.status)


async def answer(_request: Request, problem: Exception) -> JsonAnswer:
    """Handle a `Problem` that an endpoint raised."""
    if not isinstance(problem, Problem):
        raise problem
    return as_response(problem)
