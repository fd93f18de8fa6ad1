"""Estimates of when a job starts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from qsession_widget.wire.states import SessionState
from tests.runtime.scheduling.queue_of_jobs import NOON, Queue, session


def ran(queue: Queue, *seconds: float, of: str | None = None) -> None:
    for number, each in enumerate(seconds):
        job = f"ran {number} {of}"
        queue.waits(job, session=of)
        assert queue.starts() == [job]
        queue.ends(job, seconds=each)


def test_an_estimate_names_its_basis() -> None:
    queue = Queue()
    ran(queue, 1.0, 2.0, 9.0)
    queue.waits("a", "b", "c")
    queue.starts()
    queue.now += timedelta(seconds=0.5)
    found = queue.inside.estimate("c", queue.now)
    assert found is not None
    assert found.start_seconds == pytest.approx(3.5), "the rest of a, and all of b"
    assert found.basis == "3 jobs on manila took 2 s each (median)"


def test_estimates_prefer_a_sessions_own_jobs() -> None:
    queue = Queue(session("s"))
    ran(queue, 4.0, 4.0, 4.0, of="s")
    queue.waits("x", "y", session="s")
    found = queue.inside.estimate("y", queue.now)
    assert found == (4.0, "3 jobs of this session took 4 s each (median)")


def test_there_is_no_estimate_without_earlier_jobs() -> None:
    queue = Queue(session("later", SessionState.OPEN))
    ran(queue, 1.0, 1.0)
    queue.waits("a", "b")
    assert queue.inside.estimate("b", NOON) is None, "two jobs are too few"
    assert queue.inside.estimate("unknown", NOON) is None
    queue.starts()
    queue.ends("a", seconds=1)
    assert queue.inside.estimate("b", NOON) == (0.0, "3 jobs on manila took 1 s each (median)")
    queue.waits("s1", session="later")
    queue.waits("c")
    assert queue.inside.estimate("c", NOON) is None, "a session of unknown length is ahead"
    queue.starts()
    queue.ends("b", seconds=1)
    queue.starts()
    queue.becomes("later", SessionState.ACTIVE)
    assert queue.inside.estimate("c", NOON) is None, "it has the device to itself"
    queue.inside.shared = True
    assert queue.inside.estimate("c", NOON) is not None
