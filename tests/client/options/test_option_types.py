"""Each type of an option takes the values within its bounds, and names them when it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest

from qsession_widget.client.options import option_types
from qsession_widget.client.options.checked_options import check_of
from qsession_widget.errors import InvalidInputError

TAKEN: dict[str, list[tuple[Any, Any]]] = {
    "Count": [(1, 1), (2**63 - 1, 2**63 - 1)],
    "CountFromZero": [(0, 0), (7, 7)],
    "Seed": [(0, 0), (option_types.MAX_SEED, option_types.MAX_SEED)],
    "PositiveNumber": [(1e-9, 1e-9), (3, 3.0)],
    "NumberFromZero": [(0, 0.0), (0.5, 0.5)],
    "NumberFromOne": [(1, 1.0), (1.5, 1.5)],
    "Seconds": [(60, 60), ("5m", 300)],
    "Text": [("a", "a")],
    "Texts": [((), []), (("a", "b"), ["a", "b"])],
    "LogLevel": [("debug", "DEBUG"), ("WARNING", "WARNING")],
}
"""By the name of a type: values, and what they become."""

REFUSED: dict[str, list[Any]] = {
    "Count": [0, -1, 1.0, True, "1", 2**63],
    "CountFromZero": [-1, 0.0, False],
    "Seed": [-1, option_types.MAX_SEED + 1, 1.5],
    "PositiveNumber": [0, -1, math.nan, math.inf, True, "1"],
    "NumberFromZero": [-1e-9, math.nan, "0"],
    "NumberFromOne": [0.999, math.inf, None],
    "Seconds": [0, "soon", 1.5],
    "Text": ["", 1],
    "Texts": ["a", [""], [1]],
    "LogLevel": ["LOUD", 10],
}


def test_every_type_is_in_the_tables() -> None:
    types = {name for name, value in vars(option_types).items() if hasattr(value, "__metadata__")}
    assert types == TAKEN.keys() == REFUSED.keys()


@pytest.mark.parametrize("name", TAKEN)
def test_a_type_takes_what_is_within_its_bounds_and_nothing_else(name: str) -> None:
    check = check_of(getattr(option_types, name))
    for value, expected in TAKEN[name]:
        found = check("option", value)
        assert (found, type(found)) == (expected, type(expected))
    for value in REFUSED[name]:
        with pytest.raises(InvalidInputError, match="option="):
            check("option", value)
