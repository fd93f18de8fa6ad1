from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from qsession_widget import Session
from qsession_widget.monitoring.job_list import JobList
from qsession_widget.monitoring.job_row import JobRow
from qsession_widget.monitoring.snapshot import NO_SESSION, Holder, Link, LinkState, Snapshot
from qsession_widget.panel import formatting
from qsession_widget.panel.html import as_html
from qsession_widget.panel.terminal import render
from qsession_widget.panel.text import as_text
from qsession_widget.wire.documents import SessionDocument, read
from qsession_widget.wire.results.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>"
ACTIVE = {"max_ttl": 600, "started_at": "2026-11-22T12:00:00Z", "state": "active"}


def job(name: str, state: str = "Completed", **changes: Any) -> JobRow:
    row = JobRow(
        id=name,
        program_id="sampler",
        state=state,
        created_at=NOON,
        started_at=NOON + timedelta(seconds=1),
        ended_at=NOON + timedelta(seconds=3.5),
    )
    return replace(row, **changes)


def snapshot(*jobs: JobRow, session: Mapping[str, Any] | None = None, **changes: Any) -> Snapshot:
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
    return replace(seen, **changes)


def test_text_describes_a_session() -> None:
    text = as_text(snapshot(job("j-1"), job("j-2", "Failed", reason="too wide")))
    assert "Session s-1 on fake_manila: Idle (paid)" in text
    assert "time left: 9 min 00 s" in text
    assert "2 jobs (1 done, 1 failed), as of 2026-11-22 12:01:00 UTC" in text
    assert text.index("j-2") < text.index("j-1")
    assert "2.5 s" in text
    assert "too wide" in text


def test_every_list_shows_results() -> None:
    value, shots = Summary(-1.8542, 0.004), Summary(outcomes=(("00", 0.49), ("11", 0.46)))
    seen = snapshot(job("j-1", summary=value), job("j-2", summary=shots), job("j-3"))
    console = Console(width=120)
    with console.capture() as captured:
        console.print(render(seen))
    for drawn in (as_text(seen), as_html(seen).replace("&nbsp;", " "), captured.get()):
        assert "\N{MINUS SIGN}1.854 ± 0.004" in drawn
        assert "00: 49 % · 11: 46 %" in drawn
    assert as_html(seen).count("<th ") == 6


def test_a_narrow_terminal_cuts_results_and_not_ids() -> None:
    shots = Summary(outcomes=(("0" * 40, 0.49), ("1" * 40, 0.46)))
    console = Console(width=80)
    with console.capture() as captured:
        console.print(render(snapshot(job("a-job-whose-id-is-long-0123", summary=shots))))
    (line,) = [each for each in captured.get().splitlines() if "a-job" in each]
    assert re.search(r"a-job-whose-id-is-long-0123 +sampler +Done +0+… +2\.5 s", line)


def test_text_of_many_jobs_is_short() -> None:
    text = as_text(snapshot(*(job(f"j-{number}") for number in range(100))))
    assert "and 80 more" in text


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
    assert html.count("&lt;img src=x onerror=alert(1)&gt;") == 12


def test_a_short_list_shows_what_runs_and_waits_first() -> None:
    """Of thousands of jobs, the unfinished ones are among the few that are shown."""
    ended = [job(f"e-{number}") for number in range(20)]
    queued = [job(f"q-{number}", "Queued") for number in range(3)]
    seen = snapshot(*ended, job("r", "Running"), *queued)
    shown = formatting.first_shown(seen.jobs, 6)
    assert [each.id for each in shown] == ["r", "q-0", "q-1", "q-2", "e-19", "e-18"]
    console = Console(width=100)
    with console.capture() as captured:
        console.print(render(seen))
    drawn = captured.get()
    assert drawn.index(" r ") < drawn.index("q-0") < drawn.index("e-19")
    assert "and 14 more" in drawn
    assert "24 jobs (3 queued, 1 running, 20 done)" in drawn


def test_a_bar_shows_each_state_that_has_jobs() -> None:
    seen = snapshot(*(job(f"e-{number}") for number in range(999)), job("f", "Failed"))
    console = Console(width=100, force_terminal=True, color_system="standard")
    with console.capture() as captured:
        console.print(render(seen))
    bar = next(
        line
        for line in captured.get().splitlines()
        if "\N{BOX DRAWINGS HEAVY HORIZONTAL}" in line and "31m" in line
    )
    assert "32m" in bar


def test_html_folds_what_is_beyond_ten_jobs() -> None:
    few = as_html(snapshot(*(job(f"j-{number}") for number in range(10)), session={}))
    assert "<details>" not in few
    many = as_html(snapshot(*(job(f"j-{number}") for number in range(70)), session={}))
    unfolded, _, folded = many.partition("<details>")
    assert unfolded.count("<code>j-") == 10
    assert "<summary>60 more jobs</summary>" in folded
    assert folded.count("<code>j-") == 10
    assert "and 50 more" in folded


def test_html_has_human_values_and_the_words_of_the_api_at_hover() -> None:
    html = as_html(snapshot(job("j-1")))
    assert "<td>" not in html
    assert ">max time<" in html
    assert ">10 min<" in html
    assert ">2026-11-22 12:00:00 UTC<" in html
    assert (
        'title="state &quot;active&quot;, status &quot;In progress, accepting new jobs&quot;"'
        in html
    )
    assert 'title="Completed"' in html
    assert "\N{BLACK CIRCLE}</span> Done<" in html


def test_who_has_the_device_is_said_in_each_view() -> None:
    holder = Holder(mine=True, session_id="4e1a6ed4-77", place="vqe.ipynb", idle=True, until=NOON)
    seen = snapshot(job("j", "Queued"), session={"state": "open"}, holder=holder, name="H2")
    said = "fake_manila is held by your session 4e1a6ed4 (vqe.ipynb), idle, until "
    console = Console(width=140)
    with console.capture() as captured:
        console.print(render(seen))
    assert f"{said}{NOON.astimezone():%H:%M:%S}" in captured.get()
    for kept in (as_text(seen), as_html(seen)):
        assert f"{said}12:00:00 UTC" in kept
        assert "H2" in kept


def test_html_names_the_time_of_its_state() -> None:
    html = as_html(snapshot(job("j-1")))
    assert "as of 2026-11-22 12:01:00 UTC" in html
    assert "<code>j-1</code>" in html


def test_terminal_draws_a_session() -> None:
    console = Console(width=100, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(render(snapshot(job("j-1"), job("j-2", "Mystery")), "[bold]a note"))
    drawn = captured.get()
    assert "Idle (paid)" in drawn
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
