"""Draws a session as HTML without scripts: for saved notebooks, exports, code hosting sites."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from msgspec import UNSET

from qsession_widget.panel.countdowns import countdowns
from qsession_widget.panel.explanation import why
from qsession_widget.panel.formatting import (
    UNKNOWN,
    cache,
    clock_time,
    countdown,
    duration,
    job_counts,
    job_state,
    status,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qsession_widget.monitoring.job_row import JobRow
    from qsession_widget.monitoring.snapshot import Snapshot

MOST_JOBS = 50

_CELL = 'style="text-align:left;padding:2px 12px 2px 0;white-space:nowrap"'
_FIGURE = 'style="text-align:right;padding:2px 12px 2px 0;white-space:nowrap"'
_QUIET = 'style="opacity:0.7"'


def as_html(snapshot: Snapshot) -> str:
    """Return a snapshot as a heading, its facts, and a table of its last jobs, newest first.

    All text from the service is escaped. Styles are inline, since code hosting sites remove style
    sheets.
    """
    title = escape(snapshot.session_id or "Simulator")
    backend = escape(snapshot.backend_name or UNKNOWN)
    error = snapshot.link.error
    problem = f"<div>No answer from the service: {escape(error)}</div>" if error else ""
    reason = why(snapshot)
    explained = f"<div>{escape(str(reason))}</div>" if reason else ""
    left = (
        f"{each.label.lower()}: {countdown(each, snapshot.now)}" for each in countdowns(snapshot)
    )
    costs = [] if snapshot.session.elapsed_time is UNSET else [f"usage: {usage(snapshot)}"]
    kept = [] if snapshot.cache is None else [f"cache: {cache(snapshot.cache)}"]
    known = ", ".join((job_counts(snapshot.jobs), *left, *costs, *kept))
    seen = escape(f"{known}, as of {clock_time(snapshot.now)}")
    return (
        f"<div><div><b>{escape(status(snapshot))}</b> · {backend} · <code>{title}</code></div>"
        f"{explained}{problem}<div {_QUIET}>{seen}</div>{_facts(snapshot)}{_jobs(snapshot)}</div>"
    )


def _facts(snapshot: Snapshot) -> str:
    shown = {name: value for name, value in snapshot.details.items() if name != "timestamps"}
    if not shown:
        return ""
    rows = "".join(
        _row((f"<th {_CELL}>{escape(name)}</th>", f"<td {_CELL}>{_text(value)}</td>"))
        for name, value in shown.items()
    )
    return f"<details><summary>Details</summary><table>{rows}</table></details>"


def _jobs(snapshot: Snapshot) -> str:
    if not snapshot.jobs:
        return ""
    header = _row(
        f"<th {_CELL}>{name}</th>" for name in ("Job", "Program", "Status", "Created", "Duration")
    )
    rows = "".join(_job(job, snapshot) for job in reversed(snapshot.jobs[-MOST_JOBS:]))
    older = len(snapshot.jobs) - MOST_JOBS
    more = f"<div {_QUIET}>and {older} older jobs</div>" if older > 0 else ""
    return f"<table><thead>{header}</thead><tbody>{rows}</tbody></table>{more}"


def _job(job: JobRow, snapshot: Snapshot) -> str:
    state = f"{job_state(job)}: {job.reason}" if job.reason else job_state(job)
    return _row(
        (
            f"<td {_CELL}><code>{escape(job.id)}</code></td>",
            f"<td {_CELL}>{escape(job.program_id)}</td>",
            f"<td {_CELL}>{escape(state)}</td>",
            f"<td {_CELL}>{clock_time(job.created_at)}</td>",
            f"<td {_FIGURE}>{duration(job.duration_seconds(snapshot.now))}</td>",
        )
    )


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _text(value: object) -> str:
    return UNKNOWN if value is None else escape(str(value))
