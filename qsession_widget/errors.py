"""The errors that this package raises on purpose.

* QSessionError
  x InvalidInputError (also ValueError)
    + BackendNotFoundError
    + AmbiguousIdError
    + CodecError
  x UnsupportedError (also NotImplementedError)
  x SessionClosedError (also RuntimeError)
  x ServiceError
    + NotAuthorizedError
    + NotFoundError
    + ConflictError
    + PlanError
  x ServiceUnavailableError (also ConnectionError)
    + RuntimeStartError
      - RuntimeElsewhereError
  x JobError
    + JobFailedError (also RuntimeError)
    + JobCancelledError (also RuntimeError)
    + JobTimeoutError (also TimeoutError)

The built-in exception that users of Qiskit expect is always a base as well, so that
`except ValueError` works.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


_PACKAGE = str(Path(__file__).parent)


class QSessionError(Exception):
    """The base of all errors that qsession_widget raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception.__reduce__ calls the class with the message alone. Without the arguments that
        # are given by keyword that fails, and a process pool waits for the error forever.
        return _again, (type(self), self.args, vars(self))


class _UsersError(QSessionError):
    """The base of errors that the user's own lines caused: a notebook shows these lines alone."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython prints, without the frames of this package."""
        import traceback  # noqa: PLC0415 - only when an error is displayed

        frames = traceback.extract_tb(self.__traceback__)
        own = [each for each in frames if not each.filename.startswith(_PACKAGE)]
        # IPython runs a cell by frames of its own, which are the first.
        ours = [each for each in own if "IPython" not in Path(each.filename).parts]
        text = traceback.format_list(ours or own) + traceback.format_exception_only(self)
        return "".join(["Traceback (most recent call last):\n", *text]).splitlines()


class InvalidInputError(_UsersError, ValueError):
    """A value cannot be used. The message names it and says what is allowed."""


class BackendNotFoundError(InvalidInputError):
    """There is no such backend. The message lists the names that exist."""


class AmbiguousIdError(InvalidInputError):
    """The beginning of an id fits several sessions or jobs.

    Attributes:
        candidates: their ids, ten at most.
    """

    def __init__(self, message: str, *, candidates: tuple[str, ...]) -> None:
        super().__init__(message)
        self.candidates = candidates


class UnsupportedError(_UsersError, NotImplementedError):
    """A part of Qiskit's interfaces is not supported. The message says what to use instead."""


class CodecError(InvalidInputError):
    """A value cannot be encoded for the wire, or a text from the wire cannot be decoded."""


class SessionClosedError(_UsersError, RuntimeError):
    """A job was sent to a session that accepts no more jobs."""


class ServiceError(QSessionError):
    """The server understood the request and refused it.

    Attributes:
        status_code: HTTP status of the response.
        code: the service's own error code, or None.
    """

    def __init__(self, message: str, *, status_code: int, code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code


class NotAuthorizedError(ServiceError):
    """The token is wrong, expired or missing (401)."""


class NotFoundError(ServiceError):
    """The resource does not exist, or belongs to another user (404)."""


class ConflictError(ServiceError):
    """The request does not fit the present state, for example cancelling a finished job (409)."""


class PlanError(ServiceError):
    """The account's plan does not include this. The message says what does."""


class ServiceUnavailableError(QSessionError, ConnectionError):
    """The server cannot be reached, or keeps failing. The request may or may not have arrived."""


class RuntimeStartError(ServiceUnavailableError):
    """The local runtime could not be started. The message says where its log is."""


class RuntimeElsewhereError(RuntimeStartError):
    """The local runtime of this folder runs on another machine that has the same folder.

    Attributes:
        host: name of that machine.
    """

    def __init__(self, message: str, *, host: str) -> None:
        super().__init__(message)
        self.host = host


class JobError(QSessionError):
    """A job has no result.

    Attributes:
        job_id: id of the job.
    """

    def __init__(self, message: str, *, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class JobFailedError(JobError, RuntimeError):
    """The job failed. The message holds the server's reason."""


class JobCancelledError(JobError, RuntimeError):
    """The job was cancelled before it had a result."""


class JobTimeoutError(JobError, TimeoutError):
    """The job was unfinished when the timeout was over. It goes on."""


def _again(kind: type[QSessionError], arguments: tuple[Any, ...], more: dict[str, Any]) -> object:
    """Copy or unpickle an error without calling its constructor."""
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    vars(error).update(more)
    return error
