"""The words for a session's state are one table; the sample is read by vitest, too."""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path

from qsession_widget.panel import vocabulary
from qsession_widget.wire import state_words
from qsession_widget.wire.states import Mode, SessionState
from tests.panel.test_renderings import job, snapshot

SAMPLE = Path(__file__).parents[2] / "js" / "tests" / "golden" / "session-words.json"


def rows() -> list[list[object]]:
    """Return all that the word depends on, and the word."""
    found: list[list[object]] = []
    states = (*SessionState, "paused", None)
    for state, accepting, mode, busy in product(states, (True, False, None), Mode, (False, True)):
        word = state_words.state_word(state, accepting_jobs=accepting, mode=mode, busy=busy)
        found.append([state, accepting, mode, busy, word])
    return found


def test_the_sample_of_words_is_as_this_side_speaks() -> None:
    if os.environ.get("QSESSION_WRITE"):
        lines = ",\n".join(f"  {json.dumps(row)}" for row in rows())
        SAMPLE.write_text(f"[\n{lines}\n]\n")
    assert json.loads(SAMPLE.read_text()) == json.loads(json.dumps(rows())), (
        "the browser speaks by this sample: change js/src/view/ui/words.ts as well, then write it "
        "anew with QSESSION_WRITE=1"
    )


def test_a_session_that_never_began_and_one_gone_idle_are_told_apart() -> None:
    waiting, idle, inactive = (
        vocabulary.word(snapshot(session={"state": state, "mode": "dedicated"}))
        for state in ("open", "active", "inactive")
    )
    assert (waiting, idle, inactive) == ("Waiting", "Idle (paid)", "Inactive")


def test_what_is_queued_or_runs_makes_an_active_session_run() -> None:
    details = {"state": "active", "mode": "dedicated", "accepting_jobs": True}
    for state in ("Queued", "Running"):
        assert vocabulary.word(snapshot(job("j-1", state), session=details)) == "Running"
    assert vocabulary.word(snapshot(job("j-1"), session=details)) == "Idle (paid)"
    assert vocabulary.word(snapshot(simulator=True, session={})) == "Simulator"


def test_the_words_of_the_api_are_there_on_demand() -> None:
    assert state_words.api_words("inactive", "Pending") == 'state "inactive", status "Pending"'
    assert state_words.api_words(None, "Pending") == 'status "Pending"'
    assert state_words.api_words(None, None) == ""
