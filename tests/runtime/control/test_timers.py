"""Timers fire in order, and outdated ones never."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from qsession_widget.runtime.control.timers import Timers
from tests.runtime.bench import NOON

CHANGES = st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 9)))


@given(changes=CHANGES, now=st.integers(-1, 9))
def test_a_rescheduled_timer_fires_once_at_its_last_time(
    changes: list[tuple[str, int | None]], now: int
) -> None:
    timers, expected = Timers(), dict[str, int]()
    for name, seconds in changes:
        timers.set(name, None if seconds is None else NOON + timedelta(seconds=seconds))
        expected.pop(name, None)
        if seconds is not None:
            expected[name] = seconds
    earliest = timers.next()
    assert earliest == (NOON + timedelta(seconds=min(expected.values())) if expected else None)
    found = []
    while (taken := timers.take_due(NOON + timedelta(seconds=now))) is not None:
        found.append(taken)
    due = {name: seconds for name, seconds in expected.items() if seconds <= now}
    assert sorted(found) == sorted(due)
    assert [due[name] for name in found] == sorted(due.values())


def test_outdated_timers_do_not_accumulate() -> None:
    timers = Timers()
    for second in range(10_000):
        timers.set("job", NOON + timedelta(seconds=second))
        assert len(timers) < 100
    assert timers.next() == NOON + timedelta(seconds=9_999)
