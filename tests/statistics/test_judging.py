"""The judges detect faults, and accept correct samples."""

from __future__ import annotations

import numpy as np
import pytest

from tests.statistics import judging

RANDOM = np.random.default_rng(20261127)


def test_a_frozen_series_is_detected() -> None:
    with pytest.raises(AssertionError, match=r"spread 0\.000"):
        judging.judge_spread([0.3] * 25, 1 / 400, "frozen")
    with pytest.raises(AssertionError, match="spread"):
        judging.judge_spread(list(RANDOM.normal(0, 3, 40)), 1, "too wide")
    judging.judge_spread(list(RANDOM.normal(0, 1, 40)), 1, "right")


def test_equal_series_are_detected() -> None:
    values = list(RANDOM.normal(0, 1, 40))
    with pytest.raises(AssertionError, match=r"spread 0\.000"):
        judging.judge_unrelated(values, values, 1, "the same")
    judging.judge_unrelated(values, list(RANDOM.normal(0, 1, 40)), 1, "others")


def test_shared_shots_are_detected_anywhere() -> None:
    one, other = RANDOM.integers(2, size=(2, 4096)).tolist()
    judging.judge_no_shared_shots([one, other])
    with pytest.raises(AssertionError, match="the same"):
        judging.judge_no_shared_shots([one, one])
    with pytest.raises(AssertionError, match=r"\(0, 2113\) and \(1, 0\)"):
        judging.judge_no_shared_shots([one, one[2113:] + other[:2113]])
    with pytest.raises(AssertionError, match="the same"):
        judging.judge_no_shared_shots([one[:500] + one[:500]])


def test_an_averaged_readout_error_is_detected() -> None:
    # Qubit 0 of fake_manila, in 20,000 shots: 5.5 % and 1.6 %, and their mean.
    recorded, evened = np.array([0.0548, 0.9452]), np.array([0.0353, 0.9647])
    counts = dict(enumerate(RANDOM.multinomial(20_000, recorded).tolist()))
    judging.judge_distribution(counts, recorded)
    with pytest.raises(AssertionError, match="distribution"):
        judging.judge_distribution(counts, evened)
    other = dict(enumerate(RANDOM.multinomial(20_000, evened).tolist()))
    with pytest.raises(AssertionError, match="same distribution"):
        judging.judge_same(counts, other)
