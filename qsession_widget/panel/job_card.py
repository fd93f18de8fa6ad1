"""Draws one job as a card, as HTML without scripts and as text: for the end of a cell.

It shows the job as it was when the card was made, with the date. Nothing in it can be clicked,
since a saved notebook has no kernel. `live_card` renews it while the job goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from qsession_widget.errors import QSessionError
from qsession_widget.monitoring.job_row import JobRow, Stages
from qsession_widget.monitoring.redaction import without_secrets, without_secrets_in
from qsession_widget.panel import job_preview
from qsession_widget.panel.formatting import UNKNOWN, clock_time, duration, job_state
from qsession_widget.panel.html_style import (
    CARD,
    CELL,
    FIGURE,
    GREY,
    HEAD,
    JOBS,
    PILL,
    QUIET,
    TABLE,
    WHOLE,
)
from qsession_widget.transport.http import unattended
from qsession_widget.wire.documents import known
from qsession_widget.wire.holders import SHORT_ID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from qsession_widget.client.jobs.job import RuntimeJob

_MOST_ROWS = 8
"""Of each result; `result()` has all."""

_CODE = 'style="font:12px/1.5 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere"'
_DRAWING = (
    'style="font:12px/1.2 ui-monospace,monospace;white-space:pre;overflow-x:auto;'
    'margin:4px 0;background:none;color:inherit;padding:0"'
)
_BAR = "display:inline-block;height:8px;border-radius:2px;background:#1769c8;vertical-align:middle"


@dataclass(frozen=True)
class Card:
    """What a card says of a job.

    Attributes:
        row: the job.
        backend: its backend's name; None if the service has not said.
        session_id: its session; None outside of sessions.
        now: the service's time when the card was made.
        submitted: the line of code that sent it, such as "In[5], line 3: job = sampler.run(...)";
            None if this process has not sent it.
        preview: as of `job_preview.peek`; empty if the service could not be asked.
        error: why it could not.
    """

    row: JobRow
    backend: str | None
    session_id: str | None
    now: datetime
    submitted: str | None
    preview: dict[str, Any]
    error: str | None


def card_of(job: RuntimeJob) -> Card:
    """Ask the service for a job, and return what there is to show of it."""
    preview: dict[str, Any] = {}
    error: str | None = None
    try:
        # The cell waits for this, and to look at a job is no reason to start a runtime.
        with unattended():
            job.status()
            preview = without_secrets_in(job_preview.peek(job))
    except QSessionError as problem:
        error = without_secrets(str(problem))
    service, document = job.service, job.document
    row = JobRow.of(document, contents=service.contents.get(job.job_id()))
    # The service's time is known to a second only.
    seen = [when for when in (row.created_at, row.started_at, row.ended_at) if when is not None]
    return Card(
        row=row,
        backend=known(document.backend),
        session_id=job.session_id,
        now=max([service.server_time(), *seen]),
        submitted=job.submitted_by,
        preview=preview,
        error=error,
    )


def as_html(card: Card) -> str:
    """Return a card as HTML. All text from the service is escaped, and styles are inline."""
    row = card.row
    colour = next((found for name, found in JOBS.items() if name == row.state), GREY)
    pill = f'<span title="{escape(row.state)}" style="background:{colour};{PILL}">'
    where = [escape(card.backend or UNKNOWN)]
    if card.session_id:
        short = escape(card.session_id[:SHORT_ID])
        where.append(f'session <code title="{escape(card.session_id)}">{short}</code>')
    title = (
        f'<div><b style="font-size:16px">{escape(row.program)}</b> {pill}{escape(job_state(row))}'
        f"</span> <span {QUIET}><code>{escape(row.id)}</code> · {' · '.join(where)}</span></div>"
    )
    parts = [title]
    parts.extend(f"<div>{escape(each)}</div>" for each in _problems(card))
    parts.append(_times_table(card))
    results = card.preview.get("results", [])
    parts.extend(_result_table(each) for each in results)
    if row.summary and not results:
        parts.append(f"<div>Result: {escape(str(row.summary))}</div>")
    parts.extend(_circuit_html(card))
    parts.extend(f"<div {QUIET}>{escape(each)}</div>" for each in card.preview.get("notes", []))
    parts.append(_code_html(card))
    parts.append(f"<div {QUIET}>as of {escape(clock_time(card.now))}</div>")
    return f'<div style="{CARD}">{"".join(parts)}</div>'


def as_text(card: Card) -> str:
    """Return a card as a few lines."""
    row = card.row
    where = f" in session {card.session_id}" if card.session_id else ""
    lines = [f"Job {row.id}: {row.program} on {card.backend or UNKNOWN}{where}, {job_state(row)}"]
    lines.extend(f"  {each}" for each in _problems(card))
    lines.extend(
        f"  {name:<16}{clock_time(when):<24}{duration(lasted)}".rstrip(f" {UNKNOWN}")
        for name, when, lasted in _times(card)
    )
    results = card.preview.get("results", [])
    lines.extend(f"  {_place(each)}: {_in_words(each)}" for each in results)
    if row.summary and not results:
        lines.append(f"  result: {row.summary}")
    circuit = card.preview.get("circuit")
    if circuit:
        lines.append(f"  circuit: {_described(circuit)}")
    lines.extend(f"  {name}: {code}" for name, code in _code(card))
    lines.append(f"  as of {clock_time(card.now)}")
    return "\n".join(lines)


def _problems(card: Card) -> Iterator[str]:
    if card.row.reason:
        yield card.row.reason
    if card.error:
        yield f"No answer from the service: {card.error}"


def _times(card: Card) -> list[tuple[str, datetime | None, float | None]]:
    """Return each state and stage that the job has reached, when, and for how long."""
    row, stages = card.row, card.row.stages or Stages()
    reached = [
        ("Waiting", row.created_at),
        ("Running", None if row.stages else row.started_at),
        ("Preparing", stages.preparing_at),
        ("On device", stages.on_device_at),
        ("Post-processing", stages.post_processing_at),
    ]
    known_times = [(name, when) for name, when in reached if when is not None]
    ends: list[datetime | None] = [when for _, when in known_times[1:]]
    # A final job without a time of its end, as at IBM, leaves the last length open.
    ends.append(row.ended_at if row.final else card.now)
    found: list[tuple[str, datetime | None, float | None]] = [
        (name, when, None if end is None else max(0.0, (end - when).total_seconds()))
        for (name, when), end in zip(known_times, ends, strict=True)
    ]
    if row.ended_at is not None:
        found.append((job_state(row), row.ended_at, None))
    return found


def _times_table(card: Card) -> str:
    rows = "".join(
        f"<tr><td {CELL}>{escape(name)}</td><td {WHOLE}>{escape(clock_time(when))}</td>"
        f"<td {FIGURE}>{'' if lasted is None else escape(duration(lasted))}</td></tr>"
        for name, when, lasted in _times(card)
    )
    return f"<table {TABLE}>{rows}</table>" if rows else ""


def _result_table(found: dict[str, Any]) -> str:
    head = f"<th {HEAD}>{escape(_place(found))}</th>"
    if "counts" in found:
        shots = max(found["shots"], 1)
        body = "".join(
            f"<tr><td {WHOLE}><code>{escape(str(bits))}</code></td><td {FIGURE}>{count:,}</td>"
            f'<td {CELL}><span style="{_BAR};width:{round(120 * count / shots)}px"></span> '
            f"{100 * count / shots:.1f} %</td></tr>"
            for bits, count in found["counts"][:_MOST_ROWS]
        )
        shown = len(found["counts"])
    else:
        body = "".join(
            f"<tr><td {WHOLE}>{escape(str(at))}</td><td {FIGURE}>{escape(_value(value, error))}"
            "</td></tr>"
            for at, value, error in found["values"][:_MOST_ROWS]
        )
        shown = len(found["values"])
    more = found["more"] + max(0, shown - _MOST_ROWS)
    rest = f"<div {QUIET}>and {more:,} more</div>" if more else ""
    return f"<table {TABLE}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"


def _circuit_html(card: Card) -> Iterator[str]:
    circuit = card.preview.get("circuit")
    if not circuit:
        return
    said = escape(_described(circuit))
    if circuit.get("drawing"):
        drawing = f"<pre {_DRAWING}>{escape(circuit['drawing'])}</pre>"
        yield f"<details open><summary>Circuit: {said}</summary>{drawing}</details>"
    else:
        yield f"<div>Circuit: {said}</div>"


def _code_html(card: Card) -> str:
    return "".join(
        f"<div><span {QUIET}>{escape(name)}</span> <code {_CODE}>{escape(code)}</code></div>"
        for name, code in _code(card)
    )


def _code(card: Card) -> Iterator[tuple[str, str]]:
    if card.submitted:
        yield "sent by", card.submitted
    fetch = f"service.job({card.row.id!r})"
    if card.row.final:
        yield "its result", f"{fetch}.result()"
    else:
        yield "to wait for it", f"{fetch}.result()"
        yield "to cancel it", f"{fetch}.cancel()"


def _described(circuit: dict[str, Any]) -> str:
    qubits, gates = circuit["qubits"], circuit["two_qubit"]
    return (
        f"{circuit['name']}, {qubits} qubit{'s' * (qubits != 1)}, depth {circuit['depth']}, "
        f"{gates} two-qubit gate{'s' * (gates != 1)}"
    )


def _place(found: dict[str, Any]) -> str:
    return f"pub {found['pub']}, {found['name']}"


def _in_words(found: dict[str, Any]) -> str:
    if "counts" in found:
        shots = max(found["shots"], 1)
        rows = [
            f"{bits}: {100 * count / shots:.1f} %" for bits, count in found["counts"][:_MOST_ROWS]
        ]
        shown = len(found["counts"])
    else:
        rows = [_value(value, error) for _, value, error in found["values"][:_MOST_ROWS]]
        shown = len(found["values"])
    more = found["more"] + max(0, shown - _MOST_ROWS)
    return ", ".join([*rows, *([f"and {more:,} more"] if more else [])])


def _value(value: float | None, error: float | None) -> str:
    if value is None:
        return "nan"
    return f"{value:.6g}" if error is None else f"{value:.6g} \N{PLUS-MINUS SIGN} {error:.2g}"
