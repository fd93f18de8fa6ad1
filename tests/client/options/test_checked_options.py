"""Checks of assignments, names and groups, and where the checks come from."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Annotated, Any, Literal

import pytest

from qsession_widget.client.options.checked_options import CheckedOptions
from qsession_widget.client.options.options import Options
from qsession_widget.errors import InvalidInputError
from qsession_widget.support import validation


@pytest.mark.parametrize("make", [Options, lambda **named: Options.of(named)])
def test_names_the_nearest_option(make: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"did you mean optimization_level\?") as caught:
        make(optimisation_level=3)
    assert "default_shots" in str(caught.value), "the message lists what is allowed"


def test_an_unknown_attribute_is_refused() -> None:
    options = Options()
    with pytest.raises(InvalidInputError, match="shots"):
        options.shots = 10


def test_none_is_the_default() -> None:
    assert Options.of({"optimization_level": None, "default_shots": None}) == Options()


def test_takes_itself_a_dict_or_nothing() -> None:
    options = Options(seed=1)
    assert Options.of(options) is options
    assert Options.of({"seed": 1}) == options
    assert Options.of(None) == Options()
    with pytest.raises(InvalidInputError, match="allowed: a dict or Options"):
        Options.of(3)  # type: ignore[arg-type] # this is what is refused


def test_groups_are_changed_by_attribute_and_by_update() -> None:
    options = Options()
    options.twirling.enable_gates = True
    options.update(twirling={"strategy": "all"}, default_shots=5)
    assert options.set_values() == {
        "optimization_level": 1,
        "default_shots": 5,
        "twirling": {"enable_gates": True, "strategy": "all"},
    }
    options.twirling = None  # type: ignore[assignment] # None resets a group
    assert options.twirling.set_values() == {}
    assert Options().twirling is not Options().twirling
    changes: list[dict[str, Any]] = [{"twirling": {"gates": True}}, {"twirl": {}}, {"twirling": 3}]
    for change in changes:
        with pytest.raises(InvalidInputError, match=r"twirl|gates"):
            options.update(**change)


@pytest.mark.parametrize("annotation", [int, str, "bool", int | None, list[str], Literal[1]])
def test_an_option_without_a_check_cannot_be_added(annotation: Any) -> None:
    with pytest.raises(TypeError, match=r"Added\.option: .* has no check"):
        type("Added", (CheckedOptions,), {"__annotations__": {"option": annotation}})


def test_checks_and_signatures_come_from_annotations() -> None:
    annotation = Annotated[int, validation.whole(3)] | Literal["auto"] | None
    named = {"__annotations__": {"option": annotation}, "option": None}
    added: Any = dataclasses.dataclass(type("Added", (Options,), named))
    assert added(option=3, default_shots=5).option == 3
    assert added(option="auto").set_values()["option"] == "auto"
    with pytest.raises(InvalidInputError, match="option=2 is not allowed; allowed: auto"):
        added(option=2)
    shown = inspect.signature(added).parameters["option"].annotation
    assert shown == "int | Literal['auto'] | None", "the plain type, without its checks"
