"""`qsession sessions`, `jobs`, `close` and `logs`: what a runtime has, as tables, and its end."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from qsession_widget.client.short_ids import ask_by_id
from qsession_widget.wire import discovery
from qsession_widget.wire.documents import (
    JobExtrasDocument,
    JobStateDocument,
    ProgramDocument,
    known,
)
from qsession_widget.wire.fields import program_word
from qsession_widget.wire.holders import SHORT_ID
from qsession_widget.wire.results.summary import Summary
from qsession_widget.wire.state_words import job_word, state_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qsession_widget.local.admin import Administration
    from qsession_widget.wire.documents import JobDocument

LATEST_LINES = 40
"""How many lines of the runtime's log are shown."""

_NUMBERS = {"Queued", "Running", "Used"}


def sessions(status: Mapping[str, Any]) -> Table:
    """Return a table of the open sessions of GET /qsession/status."""
    table = _table(
        "Session", "Name", "Opened in", "User", "Backend", "State", "Queued", "Running", "Used"
    )
    for each in status["sessions"]:
        extra = each["qsession"]
        table.add_row(
            each["id"][:SHORT_ID],
            extra.get("name") or "",
            extra.get("place") or "",
            each["user_id"],
            each["backend_name"],
            word(each),
            f"{extra['queued']:,}",
            f"{extra['running']:,}",
            f"{each['elapsed_time']:,.0f} s",
        )
    more = status["session_count"] - len(status["sessions"])
    if more:
        table.add_row(f"and {more:,} more")
    return table


def word(session: Mapping[str, Any]) -> str:
    """Return the word for the state of a session in its JSON."""
    extra = session["qsession"]
    return state_word(
        session["state"],
        accepting_jobs=session["accepting_jobs"],
        mode=session["mode"],
        busy=bool(extra["queued"] or extra["running"]),
    )


def jobs(runtime: Administration, *, pending: bool, limit: int) -> Table:
    """Return a table of one's own jobs, the newest first."""
    table = _table("Job", "Session", "Backend", "Program", "State", "Created", "Result")
    query = {"pending": "true"} if pending else {}
    page = runtime.api.jobs(limit=limit, include_mocks="true", **query)
    for received in page.jobs:
        job = received.document
        state = job.state or JobStateDocument()
        program, extras = job.program or ProgramDocument(), job.qsession or JobExtrasDocument()
        table.add_row(
            job.id,
            (known(job.session_id) or "")[:SHORT_ID],
            known(job.backend) or "",
            program_word(known(program.id) or "", known(extras.role)),
            _state(job),
            _time(known(job.created)),
            Text(known(state.reason) or str(Summary.of(extras.result_summary) or "")),
        )
    more = page.count - len(page.jobs)
    if more > 0:
        table.add_row(f"and {more:,} more")
    return table


def close(runtime: Administration, ids: Sequence[str]) -> list[str]:
    """Close sessions by their ids, or by the beginning of them; returns the whole ids.

    Raises:
        NotFoundError: there is no such session; those before it are closed.
        AmbiguousIdError: several begin so.
    """
    closed = []
    for text in ids:
        session = ask_by_id(runtime, "session", text, runtime.api.session)
        runtime.api.close_session(session.id)
        closed.append(session.id)
    return closed


def latest_log() -> str:
    """Return the last lines of the runtime's log; empty if there is none."""
    path = discovery.home() / discovery.LOG_NAME
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as lines:
        return "".join(deque(lines, LATEST_LINES))


def _state(job: JobDocument) -> str:
    state = job.state or JobStateDocument()
    extras = job.qsession or JobExtrasDocument()
    found = job_word(known(state.status) or "")
    stage = known(extras.sub_status)
    return f"{found}, {stage.replace('_', ' ')}" if stage else found


def _time(text: str | None) -> str:
    """Return a time in the terminal's time zone; with its date unless that is today's."""
    if text is None:
        return ""
    when = datetime.fromisoformat(text).astimezone()
    same_day = when.date() == datetime.now(UTC).astimezone().date()
    return f"{when:%H:%M:%S}" if same_day else f"{when:%Y-%m-%d %H:%M}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for each in columns:
        wraps = each == "Result"
        table.add_column(each, justify="right" if each in _NUMBERS else "left", no_wrap=not wraps)
    return table
