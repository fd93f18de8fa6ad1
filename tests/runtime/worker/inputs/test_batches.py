"""More and more pubs run in one call while calls are short; all run, in order."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from qsession_widget.runtime.worker.inputs.batches import AIM_SECONDS, batches


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def sizes(clock: Clock, pubs: list[int], seconds_each: float) -> list[int]:
    found, seen = [], []
    for batch in batches(pubs, lambda pub: pub, lambda one, other: one // 1000 == other // 1000):
        found.append(len(batch))
        seen += batch
        clock.seconds += seconds_each * len(batch)
    assert seen == pubs
    return found


def test_calls_grow_while_they_are_short_and_shrink_when_they_are_long(clock: Clock) -> None:
    assert sizes(clock, list(range(100)), 0.0001) == [1, 4, 16, 64, 15]
    assert sizes(clock, list(range(10)), 2 * AIM_SECONDS) == [1] * 10
    # Where all pubs take equally long, no call takes longer than the aim once that is known.
    counts = sizes(clock, list(range(200)), AIM_SECONDS / 10)
    assert max(counts) == 10
    assert all(later <= 4 * earlier for earlier, later in pairwise(counts))


def test_pubs_that_do_not_go_together_are_in_calls_of_their_own(clock: Clock) -> None:
    assert sizes(clock, [0, 1, 2, 3, 4, 1000, 1001, 0, 1], 0.0001) == [1, 4, 2, 2]


def test_pubs_before_one_that_cannot_be_read_come_first(clock: Clock) -> None:
    def read(pub: int) -> int:
        if pub == 7:
            raise ValueError(pub)
        return pub

    seen: list[int] = []

    def all_of_them() -> None:
        for batch in batches(range(20), read, lambda *_: True):
            seen.extend(batch)

    with pytest.raises(ValueError, match="7"):
        all_of_them()
    assert seen == list(range(7))
    assert clock.seconds == 0
