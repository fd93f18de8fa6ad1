from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from qsession_widget.errors import InvalidInputError
from qsession_widget.options import Options, RuntimeOptions


def test_the_seeds_spelling() -> None:
    options = Options(optimization_level=3)
    assert options.optimization_level == 3
    assert options.on_the_wire() == {}, "what was not set is left to the service"


def test_what_was_set_goes_on_the_wire() -> None:
    options = Options(default_shots=100, default_precision=0.1, seed=7)
    assert options.on_the_wire() == {
        "default_shots": 100,
        "default_precision": 0.1,
        "simulator": {"seed_simulator": 7},
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("optimization_level", value) for value in (-1, 4, 1.0, True, "3")),
        *(("resilience_level", value) for value in (1, 2, -1)),
        *(("default_shots", value) for value in (0, -1, 10.0, True, "10")),
        *(("default_precision", value) for value in (0, -0.1, float("nan"), True, "0.1")),
        *(("seed", value) for value in (-1, 2**63, 1.5)),
    ],
)
def test_refuses_a_value_at_construction_and_later(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"{name}="):
        Options(**{name: value})
    options = Options()
    with pytest.raises(InvalidInputError, match=f"{name}="):
        setattr(options, name, value)
    assert options == Options(), "a refused value changes nothing"


@pytest.mark.parametrize("make", [Options, lambda **named: Options.of(named)])
def test_names_the_nearest_option(make: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"did you mean optimization_level\?") as caught:
        make(optimisation_level=3)
    assert "default_shots" in str(caught.value), "the message lists what is allowed"


def test_an_attribute_that_is_no_option_is_refused() -> None:
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
    with pytest.raises(InvalidInputError, match="allowed is a dict or Options"):
        Options.of(3)  # type: ignore[arg-type] # this is what is refused


def test_can_be_copied_and_pickled() -> None:
    options = Options(seed=1, default_shots=5)
    assert copy.deepcopy(options) == options
    assert pickle.loads(pickle.dumps(options)) == options  # noqa: S301 - our own bytes


def test_runtime_options_on_the_wire() -> None:
    options = RuntimeOptions(
        backend="fake_manila",
        image="name:1.2",
        log_level="debug",
        job_tags=("a", "b"),
        max_execution_time="5m",
        session_time=60,
    )
    assert options.on_the_wire() == {
        "runtime": "name:1.2",
        "log_level": "DEBUG",
        "tags": ["a", "b"],
        "cost": 300,
        "session_time": 60,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("image", value) for value in ("name", "a:b:c!", 3)),
        *(("log_level", value) for value in ("LOUD", 10)),
        *(("job_tags", value) for value in ("a", ["a", 1], [""], 3)),
        *(("max_execution_time", value) for value in (0, "soon", 1.5)),
        ("instance", ""),
    ],
)
def test_runtime_options_refuse(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"{name}="):
        RuntimeOptions(**{name: value})
