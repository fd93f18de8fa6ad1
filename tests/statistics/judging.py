"""Statistical tests of samples, with a stated rate of false alarms.

One run in a million fails by chance: the level `ALPHA` is divided by the number of comparisons, at
most `COMPARISONS`. Real faults, such as a duplicated sample, have a p-value of zero.
"""

from __future__ import annotations

from itertools import count, pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FALSE_ALARMS = 1e-6
"""Probability that a run fails by chance, all of its comparisons together (Bonferroni)."""

COMPARISONS = 10_000
"""Most comparisons in a run, `make soak` included; `judge` counts them."""

ALPHA = FALSE_ALARMS / COMPARISONS
WINDOW = 96
"""Shots in a row that two samples of at least 0.7 bits of entropy a shot do not share by chance: of
ten samples of 4,096 shots, with a probability below 1e-10."""

_LEAST_EXPECTED = 25
"""Smallest expected count of a class; rarer outcomes are merged, so that chi-square is valid."""
_numbers = count(1)


def judge(p_value: float, what: str) -> None:
    """Fail for a p-value that is too small for chance."""
    assert next(_numbers) <= COMPARISONS, "more comparisons than the rate of false alarms allows"
    assert p_value >= ALPHA, f"{what}: p = {p_value:.3g}"


def judge_distribution(
    counts: Mapping[int, int], probabilities: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> None:
    """Fail unless counts of outcomes come from a distribution (chi-square, goodness of fit)."""
    shots = sum(counts.values())
    found = np.array([counts.get(outcome, 0) for outcome in range(len(probabilities))], float)
    expected = shots * probabilities / probabilities.sum()
    assert not found[expected < 1e-9 * shots].any(), "an impossible outcome"
    observed, wanted = _merged(found, expected)
    if len(wanted) > 1:
        judge(float(stats.chisquare(observed, wanted).pvalue), "distribution")


def judge_same(one: Mapping[int, int], other: Mapping[int, int]) -> None:
    """Fail unless two sets of counts come from one distribution (chi-square, homogeneity)."""
    outcomes = sorted({*one, *other})
    table = np.array([[each.get(outcome, 0) for outcome in outcomes] for each in (one, other)])
    pooled = table.sum(axis=0).astype(float)
    merged = np.array([_merged(row.astype(float), pooled)[0] for row in table])
    if merged.shape[1] > 1:
        judge(float(stats.chi2_contingency(merged, correction=False).pvalue), "same distribution")


def _merged(
    found: np.ndarray[tuple[int], np.dtype[np.float64]],
    expected: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> tuple[list[float], list[float]]:
    """Merge rare classes, the rarest first."""
    order = np.argsort(expected)
    observed, wanted = [0.0], [0.0]
    for index in order:
        if wanted[-1] >= _LEAST_EXPECTED:
            observed.append(0.0)
            wanted.append(0.0)
        observed[-1] += found[index]
        wanted[-1] += expected[index]
    if len(wanted) > 1 and wanted[-1] < _LEAST_EXPECTED:
        observed[-2:] = [observed[-2] + observed[-1]]
        wanted[-2:] = [wanted[-2] + wanted[-1]]
    return observed, wanted


def judge_spread(values: Sequence[float], variance: float, what: str) -> None:
    """Fail unless values vary as independent ones of that variance do, neither less nor more."""
    found = np.asarray(values, dtype=float)
    statistic = float(((found - found.mean()) ** 2).sum() / variance)
    freedom = len(found) - 1
    tails = stats.chi2.cdf(statistic, freedom), stats.chi2.sf(statistic, freedom)
    judge(2 * float(min(tails)), f"{what}: spread {np.sqrt(statistic / freedom):.3f} of its due")


def judge_unrelated(
    one: Sequence[float], other: Sequence[float], variance: float, what: str
) -> None:
    """Fail unless two series differ as independent ones do, value by value."""
    differences = np.asarray(one, dtype=float) - np.asarray(other, dtype=float)
    judge_spread(list(differences), 2 * variance, what)


def judge_mean(value: float, expected: float, deviation: float, what: str) -> None:
    """Fail unless a value is as near to what is expected as its standard deviation says."""
    judge(float(2 * stats.norm.sf(abs(value - expected) / deviation)), what)


def judge_no_shared_shots(samples: Sequence[Sequence[int]]) -> None:
    """Fail if a sequence of shots occurs in two samples, or twice in one, at any place.

    Args:
        samples: each at least `WINDOW` shots long, in the order in which they were taken.
    """
    seen: dict[bytes, tuple[int, int]] = {}
    for number, sample in enumerate(samples):
        data = np.asarray(sample, dtype=np.uint32)
        for start in range(len(data) - WINDOW + 1):
            where = number, start
            first = seen.setdefault(data[start : start + WINDOW].tobytes(), where)
            assert first == where, f"shots {first} and {where} (sample, place) are the same"


def judge_order(values: Sequence[float]) -> None:
    """Fail if neighbouring values are correlated."""
    pairs = np.array(list(pairwise(values)))
    judge(float(stats.pearsonr(pairs[:, 0], pairs[:, 1]).pvalue), "neighbours are correlated")
