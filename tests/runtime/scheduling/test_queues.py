"""Numbers of waiting jobs stay sorted through additions and removals."""

from __future__ import annotations

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from qsession_widget.runtime.scheduling.queues import Numbers

STEPS = st.lists(st.one_of(st.just("take"), st.integers(0, 300)), max_size=300)


@given(steps=STEPS)
def test_numbers_are_a_sorted_list(steps: list[int | str]) -> None:
    numbers, expected = Numbers(), list[int]()
    for step in steps:
        if isinstance(step, str):
            if expected:
                assert numbers.take_first() == expected.pop(0)
        elif step in expected:
            numbers.remove(step)
            expected.remove(step)
        else:
            numbers.add(step)
            expected = sorted([*expected, step])
        assert list(numbers) == expected
        assert len(numbers) == len(expected)
        assert numbers.first == (expected[0] if expected else None)
        assert numbers.below(150) == bisect_left(expected, 150)


def test_taken_numbers_are_not_kept() -> None:
    numbers = Numbers()
    for number in range(1_000):
        numbers.add(number)
        if number > 9:
            numbers.take_first()
    assert (numbers[0], len(numbers)) == (990, 10)
    assert len(numbers._items) < 200
