"""How many shots a pub takes: its own, those of twirling, or the defaults of its job."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qsession_widget.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_SHOTS = 4096
"""IBM's default, where neither pub nor options say anything; a precision of 1/64."""

AUTO = "auto"
_LEAST_OF_A_RANDOMIZATION = 64
_RANDOMIZATIONS = 32
_MOST = 2**63 - 1
"""Stands for all larger numbers: no device takes that many."""
_ROUNDING = 1e-9
"""Relative: far more than floats lose on the way from shots to precision and back."""


def for_precision(precision: float) -> int:
    """Return the least shots for a standard error of an observable with eigenvalues 1 and -1.

    A precision that was worked out from shots gives the same number: 1/sqrt(1000) is 1000 shots.

    Args:
        precision: standard error, more than 0 and finite.
    """
    exact = 1 / precision / precision
    if exact > _MOST:
        return _MOST
    # A precision of 1e200 would be no shot at all.
    nearest = max(round(exact), 1)
    return nearest if abs(exact - nearest) <= _ROUNDING * nearest else math.ceil(exact)


def check(options: Mapping[str, Any]) -> None:
    """Check the values of the options that decide the shots.

    Raises:
        InvalidInputError: for a value that is not allowed.
    """
    whole = "a whole number from 1"
    _check("default_shots", options.get("default_shots"), _is_count, whole)
    _check(
        "default_precision",
        options.get("default_precision"),
        _is_precision,
        "a finite number that is more than 0",
    )
    twirling = options.get("twirling")
    _check("twirling", twirling, lambda value: isinstance(value, dict), "an object with names")
    for name in ("num_randomizations", "shots_per_randomization"):
        _check(
            f"twirling.{name}",
            (twirling or {}).get(name),
            lambda value: (isinstance(value, str) and value == AUTO) or _is_count(value),
            f"{whole}, or 'auto'",
        )


def _check(name: str, value: Any, allowed: Callable[[Any], bool], words: str) -> None:
    if value is not None and not allowed(value):
        raise InvalidInputError(f"options.{name} is {value!r:.80}; it has to be {words}.")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_precision(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 < value < math.inf


def default(options: Mapping[str, Any]) -> int:
    """Return the shots of a pub that names neither shots nor a precision.

    Args:
        options: of the job, as they are on the wire, checked by `check`.
    """
    shots = options.get("default_shots")
    if shots is None:
        precision = options.get("default_precision")
        shots = DEFAULT_SHOTS if precision is None else for_precision(precision)
    twirling = options.get("twirling") or {}
    if not (twirling.get("enable_gates") or twirling.get("enable_measure")):
        return int(shots)
    return _twirled(
        int(shots), twirling.get("num_randomizations"), twirling.get("shots_per_randomization")
    )


def _twirled(shots: int, randomizations: Any, of_each: Any) -> int:
    """Return the product of randomizations and the shots of each, by IBM's rules for "auto".

    The twirling itself is left out: averaged over randomizations it would turn the device's noise
    into Pauli noise of the same strength.
    """
    if of_each in (None, AUTO):
        of_each = (
            max(_LEAST_OF_A_RANDOMIZATION, math.ceil(shots / _RANDOMIZATIONS))
            if randomizations in (None, AUTO)
            else math.ceil(shots / randomizations)
        )
    if randomizations in (None, AUTO):
        randomizations = math.ceil(shots / of_each)
    return int(randomizations * of_each)
