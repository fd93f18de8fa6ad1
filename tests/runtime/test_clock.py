"""The runtime's time goes on, whatever the machine's clock is set to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from qsession_widget.runtime.clock import WallClock

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Machine:
    def __init__(self) -> None:
        self.time = NOON
        self.elapsed = 0.0

    def passes(self, seconds: float, *, set_by: float = 0.0) -> None:
        self.elapsed += seconds
        self.time += timedelta(seconds=seconds + set_by)


def test_it_is_the_machines_time_and_follows_it_forwards() -> None:
    machine = Machine()
    clock = WallClock(lambda: machine.time, lambda: machine.elapsed)
    assert clock.now() == NOON
    machine.passes(5)
    assert clock.now() == NOON + timedelta(seconds=5)
    machine.passes(1, set_by=3600)
    assert clock.now() == NOON + timedelta(seconds=3606)


def test_it_goes_on_when_the_machines_clock_is_set_back() -> None:
    machine = Machine()
    clock = WallClock(lambda: machine.time, lambda: machine.elapsed)
    machine.passes(10, set_by=-3600)
    assert clock.now() == NOON + timedelta(seconds=10)
    machine.passes(60)
    assert clock.now() == NOON + timedelta(seconds=70), "timers that run need no second hour"
    machine.passes(0, set_by=3600)
    assert clock.now() == NOON + timedelta(seconds=70), "put right again: nothing is left over"


def test_the_real_one_is_utc_and_now() -> None:
    before = datetime.now(UTC)
    assert before <= WallClock().now() <= datetime.now(UTC)
