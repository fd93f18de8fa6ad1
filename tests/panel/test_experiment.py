from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from qsession_widget.panel.experiment import throughput
from qsession_widget.panel.explanation import why
from qsession_widget.panel.vocabulary import word
from tests.panel.test_renderings import NOON, job, snapshot

if TYPE_CHECKING:
    from qsession_widget.monitoring.job_row import JobRow


def loop(count: int, each_seconds: float) -> list[JobRow]:
    """Return jobs, the last of which ends at noon."""
    return [
        job(f"j-{at}", ended_at=NOON - timedelta(seconds=each_seconds * (count - 1 - at)))
        for at in range(count)
    ]


def test_a_tight_loop_has_a_pace_until_it_pauses() -> None:
    jobs = loop(200, 0.125)
    assert throughput(snapshot(*jobs, now=NOON)) == 8
    assert throughput(snapshot(*jobs, now=NOON + timedelta(seconds=1.6))) is None
    assert throughput(snapshot(*loop(200, 0.6), now=NOON)) is None
    assert throughput(snapshot()) is None


def test_jobs_that_wait_behind_do_not_hide_it() -> None:
    waiting = [job(f"w-{at}", "Queued", started_at=None, ended_at=None) for at in range(300)]
    assert throughput(snapshot(*loop(200, 0.125), *waiting, now=NOON)) == 8


def test_the_sentence_of_a_loop_is_the_same_in_and_between_its_jobs() -> None:
    session = {"state": "active", "mode": "dedicated", "accepting_jobs": True}
    for last in ([], [job("r", "Running", ended_at=None)]):
        said = why(snapshot(*loop(200, 0.125), *last, now=NOON, session=session))
        assert str(said) == ("Running: 8 jobs a second, ahead of the normal queue; usage goes on.")


def test_a_loop_runs_also_between_two_of_its_jobs() -> None:
    """Its sentence says "Running: 8 jobs a second"."""
    details = {"state": "active", "mode": "dedicated"}
    seen = snapshot(*loop(200, 0.125), now=NOON, session=details)
    assert word(seen) == "Running"
    assert word(replace(seen, now=NOON + timedelta(seconds=1.6))) == "Idle (paid)"
