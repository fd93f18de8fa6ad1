"""Every error that this package raises on purpose: one small tree.

The built-in exception that a reader of Qiskit's documentation expects (ValueError, RuntimeError,
TimeoutError, ConnectionError) is always a base as well, so `except ValueError` works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class QSessionError(Exception):
    """The root: catches everything that qsession_widget raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own calls the class with the message alone, and what an error is given by
        # keyword would be missed: a pool of processes then waits for it for ever.
        return _again, (type(self), self.args, vars(self))


class InvalidInputError(QSessionError, ValueError):
    """A value that cannot be used. The message names the value and what is allowed."""


class BackendNotFoundError(InvalidInputError):
    """No backend of that name. The message lists the names that exist."""


class UnsupportedError(QSessionError, NotImplementedError):
    """Something that Qiskit's interfaces name and that is done in another way here."""


class CodecError(InvalidInputError):
    """A value that has no form on the wire, or text from the wire that cannot be read."""


class SessionClosedError(QSessionError, RuntimeError):
    """A job was given to a session that takes no more jobs."""


class ServiceError(QSessionError):
    """The server understood and refused.

    Attributes:
        status_code: HTTP status of the answer.
        code: the service's own error code, or None.
    """

    def __init__(self, message: str, *, status_code: int, code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code


class NotAuthorizedError(ServiceError):
    """The token is wrong, expired or missing (401)."""


class NotFoundError(ServiceError):
    """What was asked for does not exist, or belongs to somebody else (404)."""


class ConflictError(ServiceError):
    """The request does not fit the present state, for example cancelling a finished job (409)."""


class PlanError(ServiceError):
    """The account's plan does not include this. The message says what does."""


class ServiceUnavailableError(QSessionError, ConnectionError):
    """The server cannot be reached, or keeps failing. Nothing is known about the request's fate."""


class RuntimeStartError(ServiceUnavailableError):
    """The local runtime could not be started. The message says where its log is."""


class JobError(QSessionError):
    """A job that has no result.

    Attributes:
        job_id: which job.
    """

    def __init__(self, message: str, *, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class JobFailedError(JobError, RuntimeError):
    """The job ended as Failed. The message holds the server's reason."""


class JobCancelledError(JobError, RuntimeError):
    """The job was cancelled before it had a result."""


class JobTimeoutError(JobError, TimeoutError):
    """The job did not end within the time that the caller was ready to wait. It goes on."""


def _again(kind: type[QSessionError], arguments: tuple[Any, ...], more: dict[str, Any]) -> object:
    """Make a copy of an error, in this process or another, without its constructor."""
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    vars(error).update(more)
    return error
