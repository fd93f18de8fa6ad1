"""Whole numbers of shots, by IBM's rules."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
from qiskit_ibm_runtime.executor.calculate_twirling_shots import calculate_twirling_shots

from qsession_widget.errors import InvalidInputError
from qsession_widget.runtime.worker.inputs import shots


def test_a_number_of_shots_survives_as_a_precision() -> None:
    for number in range(1, 100_001):
        assert shots.for_precision(1 / math.sqrt(number)) == number
    for exponent in range(17, 40):
        for number in (2**exponent - 1, 2**exponent):
            found = shots.for_precision(1 / math.sqrt(number))
            assert abs(found - number) <= number * 1e-9


@pytest.mark.parametrize(
    ("precision", "wanted"),
    [
        (0.1, 100),
        (0.01, 10_000),
        (0.03, 1112),  # 1111.1 shots would be enough
        (0.7, 3),
        (1, 1),
        (12.5, 1),
        (1e-200, 2**63 - 1),
    ],
)
def test_a_precision_takes_the_least_shots_that_reach_it(precision: float, wanted: int) -> None:
    assert shots.for_precision(precision) == wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, 4096),
        ({"default_precision": 0.2}, 25),
        ({"default_shots": 1000}, 1000),
        # As IBM documents it.
        ({"default_shots": 1000, "default_precision": 0.2}, 1000),
        ({"twirling": {"num_randomizations": 3, "shots_per_randomization": 7}}, 4096),
    ],
)
def test_defaults(options: dict[str, Any], wanted: int) -> None:
    assert shots.default(options) == wanted


@pytest.mark.parametrize("enabled", ["enable_gates", "enable_measure"])
def test_twirling_takes_what_ibms_own_function_says(enabled: str) -> None:
    values: tuple[int | str, ...] = ("auto", 1, 7, 10, 30, 64, 5000)
    for number, randomizations, of_each in product((1, 63, 1000, 4096, 99_999), values, values):
        twirling = {
            enabled: True,
            "num_randomizations": randomizations,
            "shots_per_randomization": of_each,
        }
        expected = math.prod(calculate_twirling_shots(number, randomizations, of_each))
        assert shots.default({"default_shots": number, "twirling": twirling}) == expected
        unsaid = {name: value for name, value in twirling.items() if value != "auto"}
        assert shots.default({"default_shots": number, "twirling": unsaid}) == expected


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "many", [], math.nan, math.inf])
@pytest.mark.parametrize("name", ["default_shots", "num_randomizations", "shots_per_randomization"])
def test_invalid_numbers_of_shots_are_refused_by_name(name: str, value: Any) -> None:
    options = {name: value} if name == "default_shots" else {"twirling": {name: value}}
    with pytest.raises(InvalidInputError, match=f"{name} is .*whole number from 1"):
        shots.check(options)


@pytest.mark.parametrize("value", [0, -0.1, True, "fine", [], math.nan, math.inf])
def test_invalid_precisions_are_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"default_precision is .*more than 0"):
        shots.check({"default_precision": value})
