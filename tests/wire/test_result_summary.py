"""Results in few characters: read from arrays, sent, and shown."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, json
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult

from qsession_widget.wire.documents import JobExtrasDocument, ResultSummaryDocument, read
from qsession_widget.wire.results.outcomes import of_shots, of_value, summary_of
from qsession_widget.wire.results.summary import LONGEST_BITS, MOST_BYTES, Summary, most_outcomes


def values(evs: object, stds: object = None) -> PrimitiveResult:
    data = {"evs": np.asarray(evs)} | ({} if stds is None else {"stds": np.asarray(stds)})
    return PrimitiveResult([PubResult(DataBin(**data))])


def test_a_value_has_its_error() -> None:
    assert summary_of(values(-1.85, 0.004)) == Summary(-1.85, 0.004)
    assert summary_of(values([0.5])) == Summary(0.5)
    assert summary_of(values(0.5, np.nan)) == Summary(0.5)


@pytest.mark.parametrize("result", [None, {}, PrimitiveResult([]), values([1, 2]), values(np.nan)])
def test_what_has_no_short_form_has_none(result: object) -> None:
    assert summary_of(result) is None


@pytest.mark.parametrize("bits", [1, 7, 8, 9, 16, 31, 33, 40])
@pytest.mark.parametrize("outcomes", [3, 1000])
def test_outcomes_are_those_of_the_counts(bits: int, outcomes: int) -> None:
    drawn = np.random.default_rng(bits).integers(0, min(2**bits, outcomes), 500)
    shots = BitArray.from_samples([format(each, f"0{bits}b") for each in drawn], bits)
    counts = shots.get_counts()
    expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: most_outcomes(bits)]
    found = summary_of(PrimitiveResult([PubResult(DataBin(first=shots, second=shots))]))
    assert found is not None
    assert list(found.outcomes) == [(name, count / 500) for name, count in expected]


def test_those_of_all_parameter_values_are_counted_together() -> None:
    shots = np.array([[[0], [1]], [[1], [1]]], dtype=np.uint8)
    assert of_shots(shots, 1) == Summary(outcomes=(("1", 0.75), ("0", 0.25)))


@pytest.mark.parametrize(
    "shots",
    [np.zeros((2**20 + 1, 1)), np.zeros((0, 1)), np.zeros((5, 0)), np.zeros((5, 6))],
    ids=["large", "no shots", "no bits", "wide"],
)
def test_nothing_is_counted_where_it_would_take_long_or_say_nothing(shots: np.ndarray) -> None:
    assert of_shots(shots.astype(np.uint8), 8 * shots.shape[1]) is None


@given(
    st.integers(1, LONGEST_BITS).flatmap(
        lambda bits: st.lists(
            st.tuples(
                st.text("01", min_size=bits, max_size=bits), st.floats(0, 1, allow_nan=False)
            ),
            min_size=1,
            max_size=most_outcomes(bits),
            unique_by=lambda row: row[0],
        )
    )
)
def test_what_is_sent_of_outcomes_is_short_and_read_again(rows: list[tuple[str, float]]) -> None:
    sent = Summary(outcomes=tuple(rows))
    assert len(json.encode(sent.document)) <= MOST_BYTES
    found = Summary.of(json.decode(json.encode(sent.document), type=ResultSummaryDocument))
    assert found is not None
    assert {bits for bits, _ in found.outcomes} == {bits for bits, _ in rows}
    shares = [share for _, share in found.outcomes]
    assert shares == sorted((round(share, 4) for _, share in rows), reverse=True)
    assert str(found)


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.floats(0, allow_nan=False, allow_infinity=False),
)
def test_what_is_sent_of_a_value_is_short_and_read_again(value: float, error: float | None) -> None:
    sent = Summary(value, error)
    assert len(json.encode(sent.document)) <= MOST_BYTES
    found = Summary.of(json.decode(json.encode(sent.document), type=ResultSummaryDocument))
    assert found is not None
    assert len(str(found)) < 40
    assert found.value is not None
    assert math.isclose(found.value, value, rel_tol=1e-5)
    assert (found.error is None) == (error is None)


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (of_value(-1.85423, 0.0041), "\N{MINUS SIGN}1.854 ± 0.004"),
        (of_value(0.51, 0.0148), "0.510 ± 0.015"),
        (of_value(12.3, 2.4), "12 ± 2"),
        (of_value(0.5), "0.5000"),
        (of_value(1.0, 0.0), "1.0000"),
        (of_value(1.0, 5e-324), "1.000000 ± 0.000000"),
        (of_value(1.5e300, 2e299), "1.5e+300 ± 2e+299"),
        (of_value(0.5, 1e12), "0.5 ± 1e+12"),
        (Summary(outcomes=(("00", 0.491), ("11", 0.457), ("01", 0.03))), "00: 49 % · 11: 46 %"),
        (Summary(outcomes=(("1", 1.0),)), "1: 100 %"),
    ],
)
def test_it_is_shown_with_as_many_digits_as_count(summary: Summary, text: str) -> None:
    assert str(summary) == text


@pytest.mark.parametrize(
    "sent",
    [
        {},
        5,
        {"value": "1.0"},
        {"outcomes": {"<img>": 0.5, "0" * 41: 1, "": 1}},
        {"outcomes": {}},
        {"outcomes": ["01", 1.0]},
        {"outcomes": None, "value": None},
    ],
)
def test_anything_may_be_sent_instead(sent: object) -> None:
    assert Summary.of(read(JobExtrasDocument, {"result_summary": sent}).result_summary) is None


def test_a_part_that_can_be_read_is_shown() -> None:
    sent = {"outcomes": {"01": 7.0, "two": 1.0}, "more": 1}
    found = read(JobExtrasDocument, {"result_summary": sent}).result_summary
    assert Summary.of(found) == Summary(outcomes=(("01", 1.0),))
    assert Summary.of(ResultSummaryDocument(value=math.inf)) is None
    assert Summary.of(ResultSummaryDocument(value=1.0, standard_error=math.nan)) == Summary(1.0)
    assert Summary.of(UNSET) is None
