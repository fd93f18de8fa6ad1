"""Draws a session as HTML without scripts: for saved notebooks, exports, code hosting sites."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from msgspec import UNSET

from qsession_widget.monitoring.job_row import parse_time
from qsession_widget.panel.countdowns import countdowns
from qsession_widget.panel.explanation import holder_parts, in_utc, why
from qsession_widget.panel.formatting import (
    UNKNOWN,
    cache,
    clock_time,
    countdown,
    duration,
    first_shown,
    job_counts,
    job_state,
    usage,
    whole_duration,
)
from qsession_widget.panel.html_style import (
    CARD,
    CELL,
    FIGURE,
    GREY,
    HEAD,
    JOBS,
    PILL,
    PILLS,
    QUIET,
    TABLE,
    WHOLE,
)
from qsession_widget.panel.vocabulary import word
from qsession_widget.wire import state_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qsession_widget.monitoring.job_row import JobRow
    from qsession_widget.monitoring.snapshot import Snapshot

MOST_JOBS = 20
UNFOLDED_JOBS = 10

_TIMES = ("_at", "last_job_started", "last_job_completed")
_DURATIONS = {"interactive_timeout", "max_time", "active_timeout"}


def as_html(snapshot: Snapshot) -> str:
    """Return a snapshot as a heading, its facts, and a table of its jobs as `first_shown`.

    All text from the service is escaped. Styles are inline, since code hosting sites remove style
    sheets. The date says of when it is: a saved notebook is read later.
    """
    left = (
        f"{each.label.lower()}: {countdown(each, snapshot.now)}" for each in countdowns(snapshot)
    )
    costs = [] if snapshot.session.elapsed_time is UNSET else [f"usage: {usage(snapshot)}"]
    kept = [] if snapshot.cache is None else [f"cache: {cache(snapshot.cache)}"]
    known = escape(" · ".join((job_counts(snapshot.jobs), *left, *costs, *kept)))
    return (
        f'<div style="{CARD}">{_title(snapshot)}{_sentences(snapshot)}'
        f"<div {QUIET}>{known}</div>{_jobs(snapshot)}{_facts(snapshot)}</div>"
    )


def _title(snapshot: Snapshot) -> str:
    name = snapshot.name or snapshot.backend_name or UNKNOWN
    beside = [] if snapshot.simulator else [f"<code>{escape(snapshot.session_id or '')}</code>"]
    if snapshot.name:
        beside.insert(0, escape(snapshot.backend_name or UNKNOWN))
    state = word(snapshot)
    api = state_words.api_words(snapshot.session.state or None, snapshot.status)
    style = f"background:{PILLS.get(state, GREY)};{PILL}"
    pill = f'<span title="{escape(api)}" style="{style}">{escape(state)}</span>'
    beside.append(f'<span style="white-space:nowrap">as of {clock_time(snapshot.now)}</span>')
    return (
        f'<div><b style="font-size:16px">{escape(name)}</b> {pill} '
        f"<span {QUIET}>{' · '.join(beside)}</span></div>"
    )


def _sentences(snapshot: Snapshot) -> str:
    reason, holder, error = why(snapshot), holder_parts(snapshot), snapshot.link.error
    found = [str(reason)] if reason else []
    if holder is not None:
        found.append(f"{in_utc(holder)}.")
    if error:
        found.append(f"No answer from the service: {error}")
    return "".join(f"<div>{escape(each)}</div>" for each in found)


def _facts(snapshot: Snapshot) -> str:
    shown = {name: value for name, value in snapshot.details.items() if name != "timestamps"}
    if not shown:
        return ""
    rows = "".join(
        _row(
            (
                f"<td {CELL}>{escape(name.replace('_', ' '))}</td>",
                f"<td {CELL}>{_text(name, value)}</td>",
            )
        )
        for name, value in shown.items()
    )
    return f"<details><summary>Details</summary><table {TABLE}>{rows}</table></details>"


def _jobs(snapshot: Snapshot) -> str:
    shown = first_shown(snapshot.jobs, MOST_JOBS)
    if not shown:
        return ""
    names = ("Job", "Program", "Status", "Result", "Created", "Ran")
    header = _row(f"<th {HEAD}>{name}</th>" for name in names)
    tables = [
        f"<table {TABLE}><thead>{header}</thead>"
        f"<tbody>{''.join(_job(job, snapshot) for job in part)}</tbody></table>"
        for part in (shown[:UNFOLDED_JOBS], shown[UNFOLDED_JOBS:])
        if part
    ]
    rest = len(snapshot.jobs) - len(shown)
    more = f"<div {QUIET}>and {rest:,} more</div>" if rest else ""
    if len(tables) == 1:
        return tables[0] + more
    others = f"{len(snapshot.jobs) - UNFOLDED_JOBS:,} more jobs"
    folded = f"<summary>{others}</summary>{tables[1]}{more}"
    return f"{tables[0]}<details>{folded}</details>"


def _job(job: JobRow, snapshot: Snapshot) -> str:
    state = f"{job_state(job)}: {job.reason}" if job.reason else job_state(job)
    colour = next((found for name, found in JOBS.items() if name == job.state), GREY)
    dot = f'<span style="color:{colour}">●</span>'
    return _row(
        (
            f"<td {CELL}><code>{escape(job.id)}</code></td>",
            f'<td {CELL} title="{escape(job.program_id)}">{escape(job.program)}</td>',
            f'<td {CELL} title="{escape(job.state)}">{dot} {escape(state)}</td>',
            f"<td {CELL}>{_result(job)}</td>",
            f"<td {WHOLE}>{clock_time(job.created_at)}</td>",
            f"<td {FIGURE}>{duration(job.duration_seconds(snapshot.now))}</td>",
        )
    )


def _result(job: JobRow) -> str:
    """Return a result, which may be broken between two outcomes only."""
    parts = escape(str(job.summary or "")).split(" \N{MIDDLE DOT} ")
    return " \N{MIDDLE DOT} ".join(each.replace(" ", "&nbsp;") for each in parts)


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _text(name: str, value: object) -> str:
    """Return a value as people read it."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and name in _DURATIONS:
        return whole_duration(value)
    if isinstance(value, int | float) and name == "usage_time":
        return duration(value)
    when = parse_time(value) if isinstance(value, str) and name.endswith(_TIMES) else None
    return escape(str(value) if when is None else clock_time(when))
