from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsession_widget.errors import InvalidInputError
from qsession_widget.support.duration import parse_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1, 1),
        (28_800, 28_800),
        (np.int64(90), 90),
        ("2h 30m 40s", 9040),
        ("2h30m40s", 9040),
        ("40s 1h", 3640),
        ("1d", 86_400),
        ("90s", 90),
        ("1.5h", 5400),
        ("0.5h30m", 3600),
        ("30m 0.5h", 3600),
        ("0.1d", 8640),
        (" 10 m ", 600),
        (timedelta(minutes=5), 300),
    ],
)
def test_reads(value: Any, seconds: int) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *(0, -5, True, False, 1.5, 90.0, float("inf"), float("nan"), None, b"90s", [90]),
        *("", " ", "90", "1h1h", "1h junk", "-5m", "1.5", "2H", "5min", "1e3s", "1h,30m", ".5h"),
        *(
            "1.5s",
            "0s",
            "1..5h",
            "1.h",
            "\N{ARABIC-INDIC DIGIT ONE}h",
            "1h 30",
            "9" * 5000 + "s",
            "1/2h",
        ),
        *(timedelta(0), timedelta(seconds=-1), timedelta(milliseconds=1500), timedelta(days=-1)),
    ],
)
def test_refuses_by_name(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_time=") as caught:
        parse_duration(value)
    assert repr(value)[:300] in str(caught.value)
    assert '"2h 30m 40s"' in str(caught.value), "the message names the allowed forms"


@given(
    st.permutations("dhms"),
    st.lists(st.integers(1, 10**6), min_size=4, max_size=4),
    st.integers(1, 4),
    st.sampled_from(["", " ", "  "]),
)
def test_sums_each_unit_once(units: list[str], numbers: list[int], count: int, gap: str) -> None:
    parts = list(zip(numbers, units, strict=True))[:count]
    text = gap.join(f"{number}{unit}" for number, unit in parts)
    worth = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
    assert parse_duration(text) == sum(number * worth[unit] for number, unit in parts)
    assert parse_duration(timedelta(seconds=parse_duration(text))) == parse_duration(text)


@given(st.text(alphabet="0123456789dhms. -+e"))
def test_text_is_a_whole_number_of_seconds_or_an_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except InvalidInputError:
        return
    assert seconds >= 1
    assert {unit: text.count(unit) for unit in "dhms" if text.count(unit) > 1} == {}
