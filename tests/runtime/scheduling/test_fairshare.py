"""The usage of the last 28 days."""

from __future__ import annotations

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from qsession_widget.runtime.scheduling.fairshare import WINDOW_DAYS, Usage


@given(
    used=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.integers(0, 60)), max_size=30
    )
)
@settings(max_examples=200, derandomize=True)
def test_usage_is_the_sum_of_the_last_28_days_in_any_order(
    used: list[tuple[str, int, int]],
) -> None:
    usage, last = Usage(), 0
    for owner, seconds, day in sorted(used, key=lambda each: each[2]):
        usage.add(owner, seconds, date.fromordinal(day + 1))
        changed = usage.roll(date.fromordinal(day + 1))
        assert all(each[2] <= day - WINDOW_DAYS for each in used if each[0] in changed) or changed
        last = day
    for owner in "abc":
        expected = sum(
            seconds for name, seconds, day in used if name == owner and day > last - WINDOW_DAYS
        )
        assert usage.of(owner) == expected * 1_000_000
