"""A thread's share of a core, on a clock that the test sets."""

from __future__ import annotations

import pytest

from qsession_widget.monitoring.pace import Pace


class Thread:
    """A thread whose rounds take as much processor time as the test sets."""

    def __init__(self) -> None:
        self.now = self.used = 0.0
        self.pace = Pace(0.01, 0.02, 1.0, lambda: self.now, lambda: self.used)

    def round(self, seconds: float) -> float:
        self.now += seconds
        self.used += seconds
        pause = self.pace.pause_seconds()
        self.now += pause
        return pause


def test_a_busy_thread_takes_its_share() -> None:
    thread = Thread()
    while thread.now < 1_000:
        thread.round(0.004)
    assert thread.used / thread.now == pytest.approx(0.01, rel=0.01)


def test_the_first_rounds_after_a_quiet_time_are_not_delayed() -> None:
    thread = Thread()
    assert [thread.round(0.004) for _ in range(4)] == [0.0] * 4
    assert [thread.round(0.004) > 0 for _ in range(3)][-1]
    thread.now += 60
    assert [thread.round(0.004) for _ in range(4)] == [0.0] * 4


def test_a_round_that_takes_much_is_not_followed_by_a_long_pause() -> None:
    thread = Thread()
    assert thread.round(5.0) == 1.0
    thread.now += 1.0
    assert thread.round(0.001) < 0.2
