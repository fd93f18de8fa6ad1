"""The base of all option classes: dataclasses whose fields are checked as they are annotated.

The annotation of a field is the only place that says what it allows. It is a type that can be
checked as it is (`bool`, a `Literal` of texts, a group of options, a sequence or a union of those),
or it has a check in `Annotated`. Any other annotation is an error when the class is created.
"""

from __future__ import annotations

import copy
import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, MISSING, Field
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    ForwardRef,
    Literal,
    Self,
    Union,
    get_args,
    get_origin,
)

from qsession_widget.errors import InvalidInputError
from qsession_widget.support import validation
from qsession_widget.support.validation import refusal

if TYPE_CHECKING:
    from qsession_widget.support.validation import Check

_MOVED = {
    "shots": "default_shots, or shots= of run",
    "precision": "default_precision, or precision= of run",
    "transpilation": "optimization_level, or transpile the circuits before",
    "skip_transpilation": "circuits in the backend's instruction set are left as they are",
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
"""Options of the first version of the primitives, and where they are now."""


class CheckedOptions:
    """Base of the option classes: every assignment is checked, at construction and later.

    Derived classes are dataclasses in modules that do not postpone their annotations.
    """

    _CHECKS: ClassVar[Mapping[str, Check]] = {}
    __dataclass_fields__: ClassVar[Mapping[str, Field[Any]]]

    def __init_subclass__(cls) -> None:
        """Derive the checks of the class's own fields from their annotations.

        Raises:
            TypeError: for a field whose annotation has no check.
        """
        super().__init_subclass__()
        annotations: dict[str, Any] = inspect.get_annotations(cls)
        own: dict[str, Check] = {}
        for name, annotation in annotations.items():
            if annotation is KW_ONLY:
                continue
            try:
                own[name] = check_of(annotation)
            except TypeError as error:
                raise TypeError(f"{cls.__name__}.{name}: {error}") from None
            # Signatures in help and documentation show the plain type.
            annotations[name] = _shown(annotation)
        cls.__annotations__ = annotations
        cls._CHECKS = {**cls._CHECKS, **own}

    def __new__(cls, *_: Any, **named: Any) -> Self:
        """Raise our error for an unknown name before Python raises its own."""
        for name in named:
            cls._require_known(name)
        return super().__new__(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        self._require_known(name)
        # None means "not set".
        given = self._default(name) if value is None else self._CHECKS[name](name, value)
        super().__setattr__(name, given)

    @classmethod
    def of(cls, value: Self | Mapping[str, object] | None) -> Self:
        """Return options from an instance, a dict, or None for the defaults.

        Raises:
            InvalidInputError: for a name or value that is not allowed.
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            for name in value:
                cls._require_known(name)
            return cls(**value)
        raise refusal("options", value, f"a dict or {cls.__name__}")

    def update(self, **changes: object) -> None:
        """Change several options at once, or none; a dict changes a part of a group.

        Raises:
            InvalidInputError: for a name or value that is not allowed. Nothing is changed then.
        """
        changed = self.copy()
        _change(changed, changes)
        _take_over(self, changed)

    def copy(self) -> Self:
        """Return options with the same values that share nothing with these."""
        return copy.deepcopy(self)

    def set_values(self) -> dict[str, Any]:
        """Return what was set and nothing else: options by name, groups as dicts."""
        found: dict[str, Any] = {}
        for field in self._CHECKS:
            value = getattr(self, field)
            if isinstance(value, CheckedOptions):
                value = value.set_values() or None
            if value is not None:
                found[field] = value
        return found

    @classmethod
    def _default(cls, name: str) -> Any:
        # Every class that is derived from this one is a dataclass.
        found = cls.__dataclass_fields__[name]
        return found.default if found.default_factory is MISSING else found.default_factory()

    @classmethod
    def _require_known(cls, name: str) -> None:
        if name in cls._CHECKS:
            return
        near = difflib.get_close_matches(str(name), cls._CHECKS, n=1)
        hint = f", did you mean {near[0]}?" if near else ""
        if name in _MOVED:
            hint = f"; in this version of options its place is {_MOVED[name]}"
        raise InvalidInputError(
            f"{cls.__name__} has no option {name!r}{hint} (allowed: {', '.join(cls._CHECKS)})"
        )


def _change(options: CheckedOptions, changes: Mapping[str, object]) -> None:
    for name, value in changes.items():
        present = getattr(options, name, None)
        if isinstance(present, CheckedOptions) and isinstance(value, Mapping):
            _change(present, value)
        else:
            setattr(options, name, value)


def _take_over(options: CheckedOptions, changed: CheckedOptions) -> None:
    """Replace values by checked ones; groups stay the objects that they are."""
    for name, value in vars(changed).items():
        present = getattr(options, name)
        if isinstance(present, CheckedOptions):
            _take_over(present, value)
        else:
            object.__setattr__(options, name, value)


def check_of(annotation: Any) -> Check:
    """Return the check of an annotation; None in a union is left to the caller.

    Raises:
        TypeError: for an annotation without a check.
    """
    origin: Any = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is Annotated:
        check: Check = arguments[1]
        return check
    if origin in {Union, UnionType}:
        alternatives = [check_of(each) for each in arguments if each is not NoneType]
        return alternatives[0] if len(alternatives) == 1 else validation.either(*alternatives)
    if origin is Literal and all(isinstance(each, str) for each in arguments):
        return validation.one_of(*arguments)
    if origin is Sequence:
        return validation.list_of(check_of(arguments[0]))
    if annotation is bool:
        return validation.boolean
    if isinstance(annotation, type) and issubclass(annotation, CheckedOptions):
        return _group(annotation)
    raise TypeError(f"the annotation {annotation!r} has no check; put one in Annotated")


def _group(kind: type[CheckedOptions]) -> Check:
    """Allow a group of options, as an instance or a dict; it is copied."""

    def check(name: str, value: Any) -> CheckedOptions:
        if not isinstance(value, (kind, Mapping)):
            raise refusal(name, value, f"a dict or {kind.__name__}")
        return kind.of(value).copy()

    return check


def _shown(annotation: Any) -> str:
    """Return an annotation as text, without its checks."""
    origin: Any = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is Annotated:
        return _shown(arguments[0])
    if origin in {Union, UnionType}:
        return " | ".join(map(_shown, arguments))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_shown, arguments))}]"
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
    return "None" if annotation is NoneType else str(annotation.__name__)
