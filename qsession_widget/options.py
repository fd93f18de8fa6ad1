"""Options of primitives and of single runs. A wrong name or value is refused at once, by name."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

from qsession_widget.duration import parse_duration
from qsession_widget.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qiskit.providers import BackendV2

    Check = Callable[[str, Any], Any]

_IMAGE = re.compile(r"[a-zA-Z0-9]+([/.\-_][a-zA-Z0-9]+)*:[a-zA-Z0-9]+([.\-_][a-zA-Z0-9]+)*")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_MAX_OPTIMIZATION_LEVEL = 3
_MAX_SEED = 2**63 - 1


def _whole(low: int, high: int | None = None) -> Check:
    allowed = f"a whole number from {low}" + ("" if high is None else f" to {high}")

    def check(name: str, value: Any) -> int:
        try:
            number = operator.index(value)
        except TypeError:
            number = low - 1
        if isinstance(value, bool) or number < low or (high is not None and number > high):
            raise InvalidInputError(f"{name}={value!r} is not allowed; allowed is {allowed}")
        return number

    return check


def _precision(name: str, value: Any) -> float:
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and number > 0):
        raise InvalidInputError(f"{name}={value!r} is not allowed; allowed is a number above 0")
    return float(number)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"{name}={value!r} is not allowed; allowed is a text")
    return value


def _image(name: str, value: Any) -> str:
    if not isinstance(value, str) or not _IMAGE.fullmatch(value):
        raise InvalidInputError(f'{name}={value!r} is not allowed; allowed is "image_name:tag"')
    return value


def _log_level(name: str, value: Any) -> str:
    level = value.upper() if isinstance(value, str) else None
    if level not in _LOG_LEVELS:
        raise InvalidInputError(
            f"{name}={value!r} is not allowed; allowed are {', '.join(_LOG_LEVELS)}"
        )
    return level


def check_tags(name: str, value: Any) -> list[str]:
    """Check tags of a job.

    Raises:
        InvalidInputError: where they are not a list of texts.
    """
    # A single text is a sequence of texts as well, and never what is meant.
    listed = [] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    if (not listed and value != []) or not all(isinstance(tag, str) and tag for tag in listed):
        raise InvalidInputError(f"{name}={value!r} is not allowed; allowed is a list of texts")
    return listed


def _seconds(name: str, value: Any) -> int:
    return parse_duration(value, name=name)


class _Checked:
    """Base of the option classes: every assignment is checked, at construction and later."""

    _CHECKS: ClassVar[Mapping[str, Check]]

    def __new__(cls, *_: Any, **named: Any) -> Self:
        for name in named:
            cls._known(name)
        return super().__new__(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        self._known(name)
        # None is "as if it had not been said".
        default = getattr(type(self), name)
        super().__setattr__(name, default if value is None else self._CHECKS[name](name, value))

    @classmethod
    def of(cls, value: Self | Mapping[str, Any] | None) -> Self:
        """Take options as an instance, as a dict, or None for the defaults.

        Raises:
            InvalidInputError: for a name or value that is not allowed.
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            return cls(**value)
        raise InvalidInputError(
            f"options={value!r} is not allowed; allowed is a dict or {cls.__name__}"
        )

    @classmethod
    def _known(cls, name: str) -> None:
        known = list(cls._CHECKS)
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]}?" if near else ""
            raise InvalidInputError(
                f"{cls.__name__} has no option {name!r}{hint} (allowed: {', '.join(known)})"
            )


@dataclass
class Options(_Checked):
    """Options of a Sampler or an Estimator.

    Attributes:
        optimization_level: how hard the transpiler works on a circuit that is not in the device's
            instruction set, 0 to 3.
        resilience_level: error mitigation of an Estimator. Only 0, none, is supported.
        default_shots: shots for each pub that names none; None leaves it to the service (4096).
        default_precision: standard error that an Estimator aims at for each pub that names none;
            None leaves it to the service (1/64).
        seed: seed of the simulator, for the same result every time. Real devices ignore it.

    Raises:
        InvalidInputError: for a name or a value that is not allowed, at construction and at every
            later assignment.
    """

    optimization_level: int = 1
    resilience_level: int = 0
    default_shots: int | None = None
    default_precision: float | None = None
    seed: int | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "optimization_level": _whole(0, _MAX_OPTIMIZATION_LEVEL),
        "resilience_level": _whole(0, 0),
        "default_shots": _whole(1),
        "default_precision": _precision,
        "seed": _whole(0, _MAX_SEED),
    }

    def on_the_wire(self) -> dict[str, Any]:
        """Give the `params.options` of POST /jobs: what was set, and nothing else."""
        found: dict[str, Any] = {}
        if self.default_shots is not None:
            found["default_shots"] = self.default_shots
        if self.default_precision is not None:
            found["default_precision"] = self.default_precision
        if self.seed is not None:
            found["simulator"] = {"seed_simulator": self.seed}
        return found


@dataclass
class RuntimeOptions(_Checked):
    """Options of one run of a program (POST /jobs).

    Attributes:
        backend: name of the device, or a backend object.
        image: runtime image, "image_name:tag". Not every account may choose one.
        log_level: DEBUG, INFO, WARNING, ERROR or CRITICAL, in any case.
        instance: CRN of the instance; None is the service's own.
        job_tags: texts by which the job can be found again.
        max_execution_time: limit of the job's own running time, seconds or text such as "5m".
        session_time: limit of the session that an old service starts with the job, likewise.

    Raises:
        InvalidInputError: for a name or a value that is not allowed.
    """

    backend: str | BackendV2 | None = None
    image: str | None = None
    log_level: str | None = None
    instance: str | None = None
    job_tags: Sequence[str] | None = None
    max_execution_time: int | str | None = None
    session_time: int | str | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "backend": lambda _name, value: value,
        "image": _image,
        "log_level": _log_level,
        "instance": _text,
        "job_tags": check_tags,
        "max_execution_time": _seconds,
        "session_time": _seconds,
    }

    def on_the_wire(self) -> dict[str, Any]:
        """Give the top-level keys of POST /jobs that these options set, without the backend."""
        keys = {
            "image": "runtime",
            "log_level": "log_level",
            "job_tags": "tags",
            "max_execution_time": "cost",
            "session_time": "session_time",
        }
        return {
            key: getattr(self, field.name)
            for field in fields(self)
            if (key := keys.get(field.name)) and getattr(self, field.name) is not None
        }
