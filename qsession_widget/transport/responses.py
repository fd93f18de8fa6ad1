"""Turns responses of 400 or more into our errors, and pauses."""

from __future__ import annotations

import email.utils
from datetime import UTC
from typing import TYPE_CHECKING

from qsession_widget.errors import (
    ConflictError,
    NotAuthorizedError,
    NotFoundError,
    ServiceError,
    ServiceUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from qsession_widget.transport.answers import Answer

RETRY_STATUSES = frozenset({500, 502, 503, 504, 520, 521, 522, 524})
"""Statuses of a server, or a gateway before it, that may be gone a moment later."""

RETRY_WHEN_TOLD = frozenset({413, 429})
"""Refusals that are temporary if the server sends `Retry-After`, and final without it."""

_LONGEST_TEXT = 500
_ERRORS: Mapping[int, type[ServiceError]] = {
    401: NotAuthorizedError,
    404: NotFoundError,
    409: ConflictError,
}


def retry_after(response: Answer, now: datetime) -> float | None:
    """Parse `Retry-After`: seconds, or a date (RFC 9110); None if it is missing or unreadable.

    Args:
        response: the response.
        now: the time by the server's clock, to which the date belongs.
    """
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    # A date without a zone is in UTC, by RFC 9110.
    return max((moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds(), 0.0)


def refusal(response: Answer, method: str, path: str) -> ServiceError | ServiceUnavailableError:
    """Return the error of our tree for a response of 400 or more."""
    status = response.status_code
    text, code = _reason(response)
    where = f"{method} {path}, HTTP {status}" + ("" if code is None else f", code {code}")
    message = f"{text} ({where})"
    if status in RETRY_STATUSES:
        return ServiceUnavailableError(message)
    return _ERRORS.get(status, ServiceError)(message, status_code=status, code=code)


def _reason(response: Answer) -> tuple[str, int | None]:
    """Parse the server's message and code from either form of error body, or from plain text."""
    try:
        body = response.json()
    except ValueError:
        body = None
    match body:
        case {"errors": [{"message": str(message), **rest}, *_]} | {
            "error": {"message": str(message), **rest}
        }:
            solution, code = rest.get("solution"), rest.get("code")
            text = f"{message.rstrip('.')}. {solution}" if solution else message
            return text, code if isinstance(code, int) else None
        case _:
            return response.text[:_LONGEST_TEXT].strip() or str(response.reason), None
