"""Dataclasses whose every assignment is checked, and the checks."""

from __future__ import annotations

import copy
import difflib
import math
import operator
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from datetime import datetime
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

from qsession_widget.errors import InvalidInputError
from qsession_widget.support.duration import parse_duration
from qsession_widget.support.value_text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[str, Any], Any]

_IMAGE = re.compile(r"[a-zA-Z0-9]+([/.\-_][a-zA-Z0-9]+)*:[a-zA-Z0-9]+([.\-_][a-zA-Z0-9]+)*")
_FORMER = {
    "shots": "default_shots, or shots= of run",
    "precision": "default_precision, or precision= of run",
    "transpilation": "optimization_level, or transpile the circuits before",
    "skip_transpilation": "circuits in the device's instruction set are left as they are",
    "initial_layout": "generate_preset_pass_manager(initial_layout=...) of Qiskit",
    "layout_method": "generate_preset_pass_manager(layout_method=...) of Qiskit",
    "routing_method": "generate_preset_pass_manager(routing_method=...) of Qiskit",
    "approximation_degree": "generate_preset_pass_manager(approximation_degree=...) of Qiskit",
    "noise_factors": "resilience.zne.noise_factors",
    "extrapolator": "resilience.zne.extrapolator",
    "noise_amplifier": "resilience.zne.amplifier",
    "log_level": "environment.log_level",
    "job_tags": "environment.job_tags",
    "seed_simulator": "seed, or simulator.seed_simulator",
    "noise_model": "simulator.noise_model",
}
"""Options of the first version of the primitives, by where they are now."""

LARGEST_WHOLE = 2**63 - 1
"""Largest whole number that the databases and the other languages on the way can hold."""

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Checked:
    """Base of the option classes: every assignment is checked, at construction and later."""

    _CHECKS: ClassVar[Mapping[str, Check]]

    def __new__(cls, *_: Any, **named: Any) -> Self:
        """Refuse an unknown name by ours and not by Python's message."""
        for name in named:
            cls._known(name)
        return super().__new__(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        self._known(name)
        # None is "as if it had not been said".
        given = self._default(name) if value is None else self._CHECKS[name](name, value)
        super().__setattr__(name, given)

    @classmethod
    def of(cls, value: Self | Mapping[str, object] | None) -> Self:
        """Take options as an instance, as a dict, or None for the defaults.

        Raises:
            InvalidInputError: for a name or value that is not allowed.
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            for name in value:
                cls._known(name)
            return cls(**value)
        raise refusal("options", value, f"a dict or {cls.__name__}")

    def update(self, **changes: object) -> None:
        """Change several options at once, or none; a dict changes a part of a group.

        Raises:
            InvalidInputError: for a name or value that is not allowed. Nothing is changed then.
        """
        changed = self.copy()
        changed._change(changes)  # noqa: SLF001 - of the same class
        self._become(changed)

    def copy(self) -> Self:
        """Give options of the same values that share nothing with these."""
        return copy.deepcopy(self)

    def _change(self, changes: Mapping[str, object]) -> None:
        for name, value in changes.items():
            self._known(name)
            present = getattr(self, name)
            if isinstance(present, Checked) and isinstance(value, Mapping):
                present._change(value)  # noqa: SLF001 - of the same class
            else:
                setattr(self, name, value)

    def _become(self, other: Self) -> None:
        """Take over checked values; groups stay the objects that they are."""
        for name in self._fields():
            present, value = getattr(self, name), getattr(other, name)
            if isinstance(present, Checked):
                present._become(value)  # noqa: SLF001 - of the same class
            else:
                super().__setattr__(name, value)

    def set_values(self) -> dict[str, Any]:
        """Give what was set, and nothing else: options by name, groups as dicts."""
        found: dict[str, Any] = {}
        for field in self._fields():
            value = getattr(self, field)
            if isinstance(value, Checked):
                value = value.set_values() or None
            if value is not None:
                found[field] = value
        return found

    @classmethod
    def _fields(cls) -> list[str]:
        return list(cls._CHECKS)

    @classmethod
    def _default(cls, name: str) -> Any:
        # Every class that is derived from this one is a dataclass.
        (found,) = (field for field in fields(cls) if field.name == name)  # type: ignore[arg-type]
        return found.default if found.default_factory is MISSING else found.default_factory()

    @classmethod
    def _known(cls, name: str) -> None:
        known = cls._fields()
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f", did you mean {near[0]}?" if near else ""
            if name in _FORMER:
                hint = f"; in this version of options its place is {_FORMER[name]}"
            raise InvalidInputError(
                f"{cls.__name__} has no option {name!r}{hint} (allowed: {', '.join(known)})"
            )


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


def group(kind: type[Checked]) -> Check:
    """Allow a group of options, which is copied: an instance, or a dict of the same names."""

    def check(name: str, value: Any) -> Checked:
        if not isinstance(value, (kind, Mapping)):
            raise refusal(name, value, f"a dict or {kind.__name__}")
        return kind.of(value).copy()

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
