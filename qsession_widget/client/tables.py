"""Lists of jobs and sessions that are displayed as tables."""

from __future__ import annotations

from datetime import datetime
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from qsession_widget.client.jobs.job import RuntimeJob
from qsession_widget.client.session_info import SessionSummary
from qsession_widget.errors import UnsupportedError
from qsession_widget.wire.documents import (
    JobExtrasDocument,
    JobStateDocument,
    ProgramDocument,
    known,
)
from qsession_widget.wire.fields import program_word
from qsession_widget.wire.state_words import job_word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


MOST_ROWS = 50
"""How many rows a table shows; `to_pandas` returns all."""

_T = TypeVar("_T")
_CELL = (
    'style="text-align:left;padding:4px 16px 4px 0;white-space:nowrap;'
    'border-top:1px solid rgba(128,128,128,0.3)"'
)
_TABLE = (
    'style="border-collapse:collapse;color:inherit;font:13px/1.5 system-ui,sans-serif;'
    'font-variant-numeric:tabular-nums"'
)


class Table(list[_T]):
    """A list like any other, which is also displayed as a table: as text and as HTML."""

    _columns: ClassVar[dict[str, Callable[[Any], Any]]]
    """Each heading, and how its value is found for an entry."""

    def __str__(self) -> str:
        rows = [list(self._columns), *([_text(each) for each in row] for row in self._rows())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, *self._more()])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("..." if cycle else str(self))

    def _repr_html_(self) -> str:
        head = "".join(f"<th {_CELL}>{escape(name)}</th>" for name in self._columns)
        rows = "".join(
            f"<tr>{''.join(f'<td {_CELL}>{escape(_text(each))}</td>' for each in row)}</tr>"
            for row in self._rows()
        )
        more = "".join(f"<div>{escape(each)}</div>" for each in self._more())
        return f"<table {_TABLE}><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"

    def to_pandas(self) -> Any:
        """Return all entries as a `pandas.DataFrame`, with times as times.

        Raises:
            UnsupportedError: if pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise UnsupportedError("to_pandas() needs pandas: pip install pandas") from error
        return pandas.DataFrame(
            {name: [value(each) for each in self] for name, value in self._columns.items()}
        )

    def _rows(self) -> list[list[Any]]:
        return [[value(each) for value in self._columns.values()] for each in self[:MOST_ROWS]]

    def _more(self) -> Sequence[str]:
        more = len(self) - MOST_ROWS
        return [f"and {more:,} more"] if more > 0 else []


def _job_state(job: RuntimeJob) -> str:
    extras = job.document.qsession or JobExtrasDocument()
    word = job_word(known((job.document.state or JobStateDocument()).status) or "")
    stage = known(extras.sub_status)
    return f"{word}, {stage.replace('_', ' ')}" if stage else word


def _program(job: RuntimeJob) -> str | None:
    found = known((job.document.program or ProgramDocument()).id)
    extras = job.document.qsession or JobExtrasDocument()
    role = known(extras.role) or job.service.contents.get(job.job_id()).role
    return None if found is None else program_word(found, role)


def _ran_seconds(job: RuntimeJob) -> float | None:
    extras = job.document.qsession or JobExtrasDocument()
    start, end = _time(known(extras.running_at)), _time(known(extras.finished_at))
    return None if start is None or end is None else (end - start).total_seconds()


def _result(job: RuntimeJob) -> str | None:
    found = job.service.summaries.of(job.document)
    return None if found is None else str(found)


class JobTable(Table[RuntimeJob]):
    """The list that `service.jobs()` returns."""

    _columns: ClassVar[dict[str, Callable[[RuntimeJob], Any]]] = {
        "Job": lambda job: job.job_id(),
        "Session": lambda job: job.session_id,
        "Backend": lambda job: known(job.document.backend),
        "Program": _program,
        "State": _job_state,
        "Created": lambda job: _time(known(job.document.created)),
        "Ran (s)": _ran_seconds,
        "Result": _result,
    }


class SessionTable(Table[SessionSummary]):
    """The list that `service.sessions()` returns."""

    _columns: ClassVar[dict[str, Callable[[SessionSummary], Any]]] = {
        "Session": lambda each: each.id,
        "Name": lambda each: each.name,
        "Mode": lambda each: "batch" if each.mode == "batch" else "session",
        "Backend": lambda each: each.backend_name,
        "State": lambda each: each.state or each.status.replace("_", " "),
        "Created": lambda each: each.created_at,
        "Ended": lambda each: each.ended_at,
        "Used (s)": lambda each: each.usage_seconds,
    }


def _text(value: Any) -> str:
    """Return a value as people read it: times in this machine's zone."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
    return str(value)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
