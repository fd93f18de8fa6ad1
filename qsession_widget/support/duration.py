"""Parses durations such as `max_time`: seconds, text such as "2h 30m 40s", or a timedelta."""

from __future__ import annotations

import operator
import re
from datetime import timedelta
from fractions import Fraction
from typing import NoReturn, SupportsIndex

from qsession_widget.errors import InvalidInputError
from qsession_widget.support.value_text import shown

_UNIT_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*([dhms])\s*", re.ASCII)

_LONGEST_SECONDS = 2**63 - 1
"""The largest number that databases and other languages can hold; services allow much less."""

ALLOWED = (
    "a whole number of seconds above 0 (90), text with the units d, h, m, s, each at most once "
    '("2h 30m 40s", "1.5h"), or a timedelta'
)
"""The forms that `parse_duration` accepts, for error messages."""


def parse_duration(value: SupportsIndex | str | timedelta, *, name: str = "max_time") -> int:
    """Parse a duration.

    Args:
        value: whole seconds; or text in which each of the units d, h, m and s appears at most once,
            in any order, after a number that may have decimals; or a timedelta.
        name: name of the argument in the error message.

    Returns:
        Whole seconds, at least 1. There is no upper bound here: the service has its own.

    Raises:
        InvalidInputError: for everything else. A value is never read as a different number.
    """
    match value:
        case bool():
            _refuse(value, name)
        case timedelta():
            # A timedelta counts whole microseconds, so this division is exact.
            seconds = Fraction(value // timedelta(microseconds=1), 1_000_000)
        case str():
            seconds = _read(value, name)
        case _:
            try:
                seconds = Fraction(operator.index(value))
            except TypeError:
                _refuse(value, name)
    if not 0 < seconds <= _LONGEST_SECONDS or seconds.denominator != 1:
        _refuse(value, name)
    return int(seconds)


def _read(text: str, name: str) -> Fraction:
    total, seen, position = Fraction(0), set[str](), 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or part[2] in seen:
            _refuse(text, name)
        seen.add(part[2])
        total += Fraction(part[1]) * _UNIT_SECONDS[part[2]]
        position = part.end()
    return total


def _refuse(value: object, name: str) -> NoReturn:
    raise InvalidInputError(f"{name}={shown(value)} is not a duration; allowed is {ALLOWED}")
