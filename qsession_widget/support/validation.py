"""Checks of arguments and options: each takes a name and a value, and returns what it allows."""

from __future__ import annotations

import copy
import math
import operator
import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from numbers import Real
from typing import TYPE_CHECKING, Any

from qsession_widget.errors import InvalidInputError
from qsession_widget.support.duration import parse_duration
from qsession_widget.support.value_text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[str, Any], Any]

_IMAGE = re.compile(r"[a-zA-Z0-9]+([/.\-_][a-zA-Z0-9]+)*:[a-zA-Z0-9]+([.\-_][a-zA-Z0-9]+)*")

LARGEST_WHOLE = 2**63 - 1
"""Largest whole number that the databases and the other languages on the way can hold."""

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def whole(low: int, high: int | None = None) -> Check:
    """Allow whole numbers from a lowest to a highest one; None is 2**63 - 1."""
    allowed = f"a whole number from {low}" + ("" if high is None else f" to {high}")

    def check(name: str, value: Any) -> int:
        try:
            number = operator.index(value)
        except TypeError:
            number = low - 1
        most = LARGEST_WHOLE if high is None else high
        if isinstance(value, bool) or not low <= number <= most:
            raise refusal(name, value, allowed)
        return number

    return check


def number(low: float, *, above: bool = False) -> Check:
    """Allow finite numbers from a lowest one, or above it."""
    allowed = f"a number {'above' if above else 'from'} {low:g}{'' if above else ' up'}"

    def check(name: str, value: Any) -> float:
        given = _as_float(value)
        if not math.isfinite(given) or given < low or (above and given == low):
            raise refusal(name, value, allowed)
        return given

    return check


def either(*checks: Check) -> Check:
    """Allow what any of these allows; the last one's message is shown."""
    *others, last = checks

    def check(name: str, value: Any) -> Any:
        for other in others:
            try:
                return other(name, value)
            except InvalidInputError:
                continue
        return last(name, value)

    return check


def one_of(*allowed: str) -> Check:
    """Allow one of these texts."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise refusal(name, value, ", ".join(allowed))
        return value

    return check


def list_of(each: Check) -> Check:
    """Allow a sequence, each element of which is allowed."""

    def check(name: str, value: Any) -> list[Any]:
        listed = entries(value)
        if listed is None:
            raise refusal(name, value, "a list")
        return [each(f"{name}[{place}]", entry) for place, entry in enumerate(listed)]

    return check


def boolean(name: str, value: Any) -> bool:
    """Allow True and False."""
    # numpy's own, which comparisons of its numbers give, is none of Python's.
    if not isinstance(value, bool) and type(value).__name__ not in {"bool", "bool_"}:
        raise refusal(name, value, "True or False")
    return bool(value)


def text(name: str, value: Any) -> str:
    """Allow a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise refusal(name, value, "a text")
    return value


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Allow a dict, which is copied with all that is in it."""
    if not isinstance(value, Mapping):
        raise refusal(name, value, "a dict")
    return copy.deepcopy(dict(value))


def noise_model(name: str, value: Any) -> dict[str, Any]:
    """Allow a noise model of Aer, or the dict that it makes of itself."""
    if type(value).__module__.startswith("qiskit_aer.noise."):
        value = value.to_dict()
    if not isinstance(value, Mapping) or not isinstance(value.get("errors"), list):
        raise refusal(name, value, "a qiskit_aer.noise.NoiseModel, or a dict of one (to_dict())")
    return copy.deepcopy(dict(value))


def coupling_map(name: str, value: Any) -> list[Any]:
    """Allow pairs of qubits, as a list or a CouplingMap of Qiskit."""
    edges = value.get_edges() if hasattr(value, "get_edges") else value
    found: list[Any] = list_of(list_of(whole(0)))(name, edges)
    return found


def anything(_name: str, value: Any) -> Any:
    """Allow whatever it is: somebody else checks it."""
    return value


def image(name: str, value: Any) -> str:
    """Allow the name of a runtime image."""
    if not isinstance(value, str) or not _IMAGE.fullmatch(value):
        raise refusal(name, value, '"image_name:tag"')
    return value


def log_level(name: str, value: Any) -> str:
    """Allow a level of logging, in any case."""
    level = value.upper() if isinstance(value, str) else None
    if level not in _LOG_LEVELS:
        raise refusal(name, value, ", ".join(_LOG_LEVELS))
    return level


def tags(name: str, value: Any) -> list[str]:
    """Allow a list of texts."""
    listed = entries(value)
    if listed is None or not all(isinstance(tag, str) and tag for tag in listed):
        raise refusal(name, value, "a list of texts")
    return listed


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Allow a list of texts, and give what nobody changes."""
    return tuple(tags(name, value))


def seconds(name: str, value: Any) -> int:
    """Allow a length of time (`duration.parse_duration`)."""
    return parse_duration(value, name=name)


def given(check: Check, name: str, value: Any) -> Any:
    """Check a value that may be left out, which is None."""
    return None if value is None else check(name, value)


def function(name: str, value: Any) -> Any:
    """Allow what can be called."""
    if not callable(value):
        raise refusal(name, value, "a function")
    return value


def decoder(name: str, value: Any) -> Any:
    """Allow a class or an object that has the method `decode`."""
    if not callable(getattr(value, "decode", None)) or isinstance(value, bytes):
        raise refusal(name, value, "a class or an object with a method decode(text)")
    return value


def path(name: str, value: Any) -> Any:
    """Allow the path of a file or a folder."""
    if not isinstance(value, (str, os.PathLike)) or not str(value) or "\0" in str(value):
        raise refusal(name, value, "a path")
    return value


def moment(name: str, value: Any) -> str:
    """Allow a datetime, and give it as text with its zone; without one it is in local time."""
    allowed = "a datetime, such as datetime(2025, 1, 31, tzinfo=timezone.utc)"
    if not isinstance(value, datetime):
        raise refusal(name, value, allowed)
    try:
        return value.astimezone().isoformat()
    # The first and the last days of the calendar have no time in other zones.
    except (OverflowError, OSError, ValueError) as error:
        raise refusal(name, value, allowed) from error


def timeout(name: str, value: Any) -> float | None:
    """Allow a number of seconds; None, and infinity, is as long as it takes."""
    seconds_long = None if value is None else _as_float(value)
    if seconds_long is None or seconds_long == math.inf:
        return None
    if not seconds_long >= 0:
        raise refusal(name, value, "a number of seconds from 0 up, or None for no limit")
    return seconds_long


def refusal(name: str, value: object, allowed: str) -> InvalidInputError:
    """Give the error for a value that is not allowed."""
    return InvalidInputError(f"{name}={shown(value)} is not allowed; allowed: {allowed}")


def _as_float(value: Any) -> float:
    """Give a number, numpy's included, as Python's; nan where it is none or too large."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def entries(value: Any) -> list[Any] | None:
    """Give what is in a list, an array or the like; None where it is none."""
    # A text is a sequence of texts as well, and a dict one of its keys: never what is meant.
    if isinstance(value, (str, bytes, bytearray, Mapping)) or not isinstance(value, Iterable):
        return None
    try:
        return list(value)
    # An array without dimensions says only now that it has no elements.
    except TypeError:
        return None
