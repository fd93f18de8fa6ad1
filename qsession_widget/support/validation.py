"""Checks of arguments and options: each takes a name and a value and returns the checked value.

A value that is not allowed raises an `InvalidInputError` that says what is.
"""

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
"""Largest whole number that databases and other languages on the way can hold."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def whole(low: int, high: int | None = None) -> Check:
    """Allow whole numbers within bounds, both included; without `high` up to 2**63 - 1."""
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
    """Allow finite numbers from `low` on, or only above it."""
    allowed = f"a number {'above' if above else 'from'} {low:g}{'' if above else ' up'}"

    def check(name: str, value: Any) -> float:
        given = _as_float(value)
        if not math.isfinite(given) or given < low or (above and given == low):
            raise refusal(name, value, allowed)
        return given

    return check


def either(*checks: Check) -> Check:
    """Allow what any of these checks allows; the message is that of the last one."""
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
    """Allow a sequence whose elements are all allowed."""

    def check(name: str, value: Any) -> list[Any]:
        listed = entries(value)
        if listed is None:
            raise refusal(name, value, "a list")
        return [each(f"{name}[{place}]", entry) for place, entry in enumerate(listed)]

    return check


def boolean(name: str, value: Any) -> bool:
    """Allow True and False."""
    # Comparisons of numpy's numbers return its own bool, which is not Python's.
    if not isinstance(value, bool) and type(value).__name__ not in {"bool", "bool_"}:
        raise refusal(name, value, "True or False")
    return bool(value)


def text(name: str, value: Any) -> str:
    """Allow a string that is not empty."""
    if not is_text(value):
        raise refusal(name, value, "a non-empty string without half surrogate pairs")
    return str(value)


def is_text(value: object) -> bool:
    """Whether a value is a string that is not empty and can be sent."""
    # Half of a surrogate pair can be written neither into an address nor into JSON.
    return isinstance(value, str) and bool(value) and not _SURROGATE.search(value)


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Allow a dict, and return a deep copy."""
    if not isinstance(value, Mapping):
        raise refusal(name, value, "a dict")
    return copy.deepcopy(dict(value))


def noise_model(name: str, value: Any) -> dict[str, Any]:
    """Allow a noise model of Aer, or its dict, and return a copy of the dict."""
    if type(value).__module__.startswith("qiskit_aer.noise."):
        value = value.to_dict()
    if not isinstance(value, Mapping) or not isinstance(value.get("errors"), list):
        raise refusal(name, value, "a qiskit_aer.noise.NoiseModel, or a dict of one (to_dict())")
    return copy.deepcopy(dict(value))


def coupling_map(name: str, value: Any) -> list[Any]:
    """Allow pairs of qubits, as a list or Qiskit's CouplingMap, and return a list."""
    edges = value.get_edges() if hasattr(value, "get_edges") else value
    found: list[Any] = list_of(list_of(whole(0)))(name, edges)
    return found


def anything(_name: str, value: Any) -> Any:
    """Allow any value: it is checked elsewhere."""
    return value


def device(name: str, value: Any) -> Any:
    """Take the name of a device, or an object that has one."""
    if not isinstance(value if isinstance(value, str) else getattr(value, "name", None), str):
        raise refusal(name, value, "a name such as 'fake_manila', and a backend of a service")
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
    if listed is None or not all(map(is_text, listed)):
        raise refusal(name, value, "a list of non-empty strings")
    return listed


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Allow a list of texts, and return a tuple."""
    return tuple(tags(name, value))


def seconds(name: str, value: Any) -> int:
    """Allow a duration (`duration.parse_duration`), and return its seconds."""
    return parse_duration(value, name=name)


def given(check: Check, name: str, value: Any) -> Any:
    """Check a value that may be left out, which is None."""
    return None if value is None else check(name, value)


def function(name: str, value: Any) -> Any:
    """Allow a callable."""
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
    try:
        os.fsencode(value)
    except UnicodeEncodeError as error:
        raise refusal(name, value, "a path") from error
    return value


def moment(name: str, value: Any) -> str:
    """Allow a datetime, local if it has no zone, and return it as text with its zone."""
    allowed = "a datetime, such as datetime(2025, 1, 31, tzinfo=timezone.utc)"
    if not isinstance(value, datetime):
        raise refusal(name, value, allowed)
    try:
        return value.astimezone().isoformat()
    # The first and last days of the calendar do not exist in every zone.
    except (OverflowError, OSError, ValueError) as error:
        raise refusal(name, value, allowed) from error


def timeout(name: str, value: Any) -> float | None:
    """Allow a number of seconds; None and infinity mean no limit."""
    seconds_long = None if value is None else _as_float(value)
    if seconds_long is None or seconds_long == math.inf:
        return None
    if not seconds_long >= 0:
        raise refusal(name, value, "a number of seconds from 0 up, or None for no limit")
    return seconds_long


def refusal(name: str, value: object, allowed: str) -> InvalidInputError:
    """Return the error for a value that is not allowed."""
    return InvalidInputError(f"{name}={shown(value)} is not allowed; allowed: {allowed}")


def _as_float(value: Any) -> float:
    """Return a number, also one of numpy, as a float; nan if it is not a number or too large."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def entries(value: Any) -> list[Any] | None:
    """Return the elements of a list, an array or another iterable; None for other values."""
    # Texts and dicts are iterable too, but are never meant as lists.
    if isinstance(value, (str, bytes, bytearray, Mapping)) or not isinstance(value, Iterable):
        return None
    try:
        return list(value)
    # An array without dimensions raises only when it is iterated.
    except TypeError:
        return None
