from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from qsession_widget import Session
from qsession_widget.monitoring.job_list import JobList
from qsession_widget.monitoring.job_row import JobRow
from qsession_widget.monitoring.snapshot import NO_SESSION, Link, LinkState, Snapshot
from qsession_widget.panel import formatting
from qsession_widget.panel.html import as_html
from qsession_widget.panel.terminal import render
from qsession_widget.panel.text import as_text
from qsession_widget.wire.documents import SessionDocument, read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>"
ACTIVE = {"max_ttl": 600, "started_at": "2026-11-22T12:00:00Z", "state": "active"}


def job(name: str, state: str = "Completed", **changes: object) -> JobRow:
    row = JobRow(
        id=name,
        program_id="sampler",
        state=state,
        created_at=NOON,
        started_at=NOON + timedelta(seconds=1),
        ended_at=NOON + timedelta(seconds=3.5),
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def snapshot(
    *jobs: JobRow, session: Mapping[str, Any] | None = None, **changes: object
) -> Snapshot:
    """Make a snapshot; the session's JSON is that of an active one unless it is given."""
    found = ACTIVE if session is None else session
    seen = Snapshot(
        key="k",
        session_id="s-1",
        backend_name="fake_manila",
        simulator=False,
        link=Link(LinkState.LIVE, NOON),
        status="In progress, accepting new jobs",
        session=read(SessionDocument, {"id": "s-1", **found}) if found else NO_SESSION,
        jobs=JobList(jobs),
        now=NOON + timedelta(seconds=60),
    )
    return replace(seen, **changes)  # type: ignore[arg-type]


def test_text_describes_a_session() -> None:
    text = as_text(snapshot(job("j-1"), job("j-2", "Failed", reason="too wide")))
    assert "Session s-1 on fake_manila: In progress, accepting new jobs" in text
    assert "time left: 9 min 00 s" in text
    assert "2 jobs (1 completed, 1 failed), as of 2026-11-22 12:01:00 UTC" in text
    assert text.index("j-2") < text.index("j-1")
    assert "2.5 s" in text
    assert "too wide" in text


def test_text_of_many_jobs_is_short() -> None:
    text = as_text(snapshot(*(job(f"j-{number}") for number in range(100))))
    assert "and 80 older jobs" in text


def test_text_reports_errors() -> None:
    link = Link(LinkState.RETRYING, NOON, "no route")
    assert "no answer from the service: no route" in as_text(snapshot(link=link))


def test_html_escapes_all_that_comes_from_the_service() -> None:
    hostile = job(HOSTILE, program_id=HOSTILE, state=HOSTILE, reason=HOSTILE)
    seen = snapshot(
        hostile,
        session_id=HOSTILE,
        backend_name=HOSTILE,
        status=HOSTILE,
        session={"id": HOSTILE, "mode": HOSTILE},
        link=Link(LinkState.RETRYING, NOON, HOSTILE),
    )
    html = as_html(seen)
    assert "<img" not in html
    assert html.count("&lt;img src=x onerror=alert(1)&gt;") == 10


def test_html_names_the_time_of_its_state() -> None:
    html = as_html(snapshot(job("j-1")))
    assert "as of 2026-11-22 12:01:00 UTC" in html
    assert "<code>j-1</code>" in html


def test_terminal_draws_a_session() -> None:
    console = Console(width=100, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(render(snapshot(job("j-1"), job("j-2", "Mystery")), "[bold]a note"))
    drawn = captured.get()
    assert "In progress, accepting new jobs" in drawn
    assert "Mystery" in drawn
    assert "[bold]a note" in drawn


def test_a_session_draws_itself_in_a_terminal(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del runtime
    monkeypatch.setenv("COLUMNS", "100")
    session = Session(backend="fake_manila")
    drawn = io.StringIO()
    with redirect_stdout(drawn), session.live():
        session.close()
    assert str(session.session_id) in drawn.getvalue()
    assert "closed by its user" in drawn.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\N{EN DASH}"),
        (0, "0.00 s"),
        (0.04, "0.04 s"),
        (12.34, "12.3 s"),
        (59.96, "1 min 00 s"),
        (60, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.9, "1 h 00 min"),
        (3780, "1 h 03 min"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert formatting.duration(seconds) == text


def test_ended() -> None:
    closed = {"state": "closed"}
    assert snapshot(job("j"), session=closed).ended
    assert not snapshot(job("j", "Running"), session=closed).ended
    assert not snapshot(job("j")).ended
    assert not snapshot(job("j"), session={}, simulator=True).ended
