"""The recordings of the page that replays sessions: what they hold, and how they are made."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from docs._ext import replay
from docs.replay import record

PATH = re.compile(r"/(?:home|root|tmp|usr|work)/|[A-Z]:\\\\")
MOMENTS = 10


def states(recording: dict[str, Any]) -> list[str]:
    """Return the states that a session goes through."""
    heads = (frame["traits"].get("head", {}) for frame in recording["frames"])
    found = [head.get("$set", head).get("state") for head in heads]
    return [state for state in found if state]


def test_moments_are_in_order_and_have_names_of_their_own() -> None:
    recordings = replay.recordings()
    moments = [each for recording in recordings for each in recording["moments"]]
    assert len({each["id"] for each in moments}) == len(moments) == MOMENTS
    for recording in recordings:
        times = [each["at"] for each in recording["moments"]]
        assert times == sorted(times)
        assert times[-1] <= recording["seconds"]
        frames = [frame["at"] for frame in recording["frames"]]
        assert frames == sorted(frames)


def test_recordings_hold_nothing_of_the_machine_that_made_them() -> None:
    text = json.dumps(replay.recordings())
    assert not PATH.search(text)
    assert '"token"' not in text
    # Dates are fixed, so that a new recording differs in little.
    assert set(re.findall(r"20\d\d-\d\d-\d\d", text)) == {"2026-01-15"}


def test_a_script_that_would_end_its_element_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_text", lambda path: "</script>" if path.suffix == ".js" else "")
    with pytest.raises(ValueError, match="ends or hides a script"):
        replay.page()


@pytest.mark.minute
@pytest.mark.process
def test_a_session_is_recorded_again() -> None:
    """The clock is virtual, so the same happens at the same seconds."""
    (old,) = (each for each in replay.recordings() if each["title"] == "Out of time")
    with record.runtime() as (folder, service):
        new = record.out_of_time(folder, service)
    assert new["moments"] == old["moments"]
    assert new["seconds"] == old["seconds"]
    assert states(new) == states(old)
    assert new["peeks"].keys() == old["peeks"].keys()
    assert not PATH.search(json.dumps(new))
