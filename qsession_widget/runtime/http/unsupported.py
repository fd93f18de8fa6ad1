"""Rejects what a job asks for that this runtime cannot do, so that nothing is silently ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qsession_widget.runtime.http import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
"""Allowed in upper and lower case; the default is "WARNING", as at IBM."""


def check(body: Mapping[str, Any]) -> None:
    """Check that this runtime can do what a job asks for.

    Args:
        body: of POST /jobs, without its `params`.

    Raises:
        errors.Problem: 400, which says what to do instead.
    """
    level = body.get("log_level")
    if isinstance(level, str) and level.upper() not in LOG_LEVELS:
        raise errors.bad_request(
            f"log_level is {level!r:.80}.", f"Allowed are {', '.join(LOG_LEVELS)}, in any case."
        )
    private = body.get("private")
    if private is not None and not isinstance(private, bool):
        raise errors.bad_request(f"private is {private!r:.80}.", "Allowed are true and false.")
    for name in ("session_time", "start_session"):
        if body.get(name):
            raise errors.bad_request(
                f"{name} is {body[name]!r:.80}, and no job starts a session.",
                "POST /sessions opens one, and its max_ttl says how long it may last.",
            )
