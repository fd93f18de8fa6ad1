"""The pictures of sessions in the documentation are those of the code."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from docs._ext import diagrams
from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.errors import InvalidTransitionError
from qsession_widget.runtime.model.lifecycle import NotAcceptingJobsError, Session
from qsession_widget.wire.states import SessionState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

SVG = "{http://www.w3.org/2000/svg}"
MOST_JOBS = 2
DEPTH = 7
"""Enough events for every transition; with two more there is no other."""


def cancelled(session: Session, now: datetime) -> Session:
    return lifecycle.cancel(session, now).session


def unchanged(session: Session, _: datetime) -> Session:
    return session


EVENTS: tuple[tuple[float, Callable[[Session, datetime], Session]], ...] = (
    (1, lambda session, _: lifecycle.submit(session)),
    (1, lifecycle.start),
    (1, lifecycle.end),
    (1, lifecycle.drop),
    (1, lifecycle.requeue),
    (1, lifecycle.close),
    (1, cancelled),
    (1, lifecycle.give_up_device),
    (60, unchanged),
    (400, unchanged),
    (1_800, unchanged),
)


def after_one_event(session: Session, now: datetime) -> Iterator[tuple[Session, datetime]]:
    """Yield the sessions that one event leads to, and when."""
    for seconds, event in EVENTS:
        then = now + timedelta(seconds=seconds)
        try:
            after = event(lifecycle.tick(session, then).session, then)
        except (InvalidTransitionError, NotAcceptingJobsError):
            continue
        if after.queued + after.running <= MOST_JOBS:
            yield after, then


def test_the_picture_has_every_transition_that_there_is() -> None:
    # Its active time is over before its maximum time.
    first = replace(diagrams.history([]).session, active_seconds=300, max_seconds=1_000)
    reached = {(first, first.created_at)}
    found: set[tuple[SessionState, SessionState]] = set()
    for _ in range(DEPTH):
        reached = {after for session, now in reached for after in after_one_event(session, now)}
        for session, _now in reached:
            states = [state for state, _ in session.transitions]
            found.update(itertools.pairwise(states))
        # What has closed stays so.
        reached = {each for each in reached if each[0].state is not SessionState.CLOSED}
    assert found == set(diagrams.ARROWS)


def test_every_state_has_its_box() -> None:
    picture = _svg(diagrams.state_diagram())
    boxes = {each.get("class", "").split()[1] for each in picture.iter(f"{SVG}rect")}
    assert boxes == {f"qs-{state}" for state in SessionState}
    assert all(arrow.label for arrow in diagrams.ARROWS.values())


def test_a_timeline_shows_what_the_code_does() -> None:
    lines = ["0:00 submit A", "0:10 start A", "0:20 end A", "4:00 until"]
    found = diagrams.history(lines)
    states = [state for state, _ in found.session.transitions]
    assert states == [SessionState.OPEN, SessionState.ACTIVE, SessionState.INACTIVE]
    picture = diagrams.timeline("A pause", found)
    said = _svg(picture).find(f"{SVG}desc")
    assert said is not None
    assert said.text == "open at 0:00; active at 0:10; inactive at 1:20. Usage: 70 s."
    # The shorter interactive timeout of another release would move the band.
    bands = [each for each in _svg(picture).iter(f"{SVG}rect") if "qs-band" in each.attrib["class"]]
    assert [each.attrib["class"] for each in bands] == [f"qs-band qs-{each}" for each in states]
    widths = [float(each.attrib["width"]) for each in bands]
    assert widths[1] / widths[0] == pytest.approx(7, abs=0.1)


def test_jobs_that_a_limit_ends_are_drawn_as_ended() -> None:
    lines = ["0:00 submit A", "0:00 submit B", "0:10 start A", "3:00 until"]
    found = diagrams.history([*lines[:3], "2:30 end A", lines[3]], max_seconds=60)
    assert dict(found.jobs["B"])["failed"] == diagrams.BEGIN + timedelta(seconds=70)
    assert ">failed</text>" in diagrams.timeline("A limit", found)


@pytest.mark.parametrize("line", ["submit A", "1:x start A", "0:10", "0:10 sleep"])
def test_a_line_that_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(diagrams.TimelineError, match=r"0:10|submit|1:x"):
        diagrams.history([line])


def _svg(picture: str) -> ET.Element:
    found = ET.fromstring(picture).find(f"{SVG}svg")  # noqa: S314 - our own text
    assert found is not None
    return found
