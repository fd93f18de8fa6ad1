from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest
from qiskit_ibm_runtime.options import EstimatorOptions, SamplerOptions

from qsession_widget.client.options.checked_options import CheckedOptions
from qsession_widget.client.options.options import Options, RuntimeOptions
from qsession_widget.errors import InvalidInputError


def test_the_documented_spelling() -> None:
    options = Options(optimization_level=3)
    assert options.optimization_level == 3
    assert options.on_the_wire() == {}, "unset options are left to the service"


def test_set_options_are_sent() -> None:
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
        *(("resilience_level", value) for value in (3, -1, True)),
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


# Compared with qiskit-ibm-runtime's own classes.

NESTED: dict[str, Any] = {
    "default_shots": 100,
    "max_execution_time": 300,
    "dynamical_decoupling": {
        "enable": True,
        "sequence_type": "XY4",
        "extra_slack_distribution": "edges",
        "scheduling_method": "asap",
        "skip_reset_qubits": True,
    },
    "twirling": {
        "enable_gates": True,
        "enable_measure": False,
        "num_randomizations": "auto",
        "shots_per_randomization": 7,
        "strategy": "all",
    },
    "execution": {"init_qubits": False, "rep_delay": 0.001},
    "simulator": {"seed_simulator": 5, "coupling_map": [[0, 1]], "basis_gates": ["x"]},
    "environment": {"log_level": "DEBUG", "job_tags": ["a"], "private": True},
    "experimental": {"foo": 1, "execution": {"fast": True}},
}
ESTIMATOR: dict[str, Any] = {
    "default_precision": 0.1,
    "seed_estimator": 3,
    "resilience_level": 2,
    "resilience": {
        "measure_mitigation": True,
        "measure_noise_learning": {"num_randomizations": 3, "shots_per_randomization": "auto"},
        "zne_mitigation": True,
        "zne": {
            "amplifier": "pea",
            "noise_factors": [1, 2, 3, 4],
            "extrapolator": ["double_exponential", "polynomial_degree_3"],
            "extrapolated_noise_factors": [0, 1],
        },
        "pec": {"max_overhead": 10, "noise_gain": "auto"},
        "layer_noise_learning": {
            "max_layers_to_learn": 2,
            "shots_per_randomization": 5,
            "num_randomizations": 6,
            "layer_pair_depths": [0, 2],
        },
    },
}


def official_inputs(kind: Any, values: dict[str, Any]) -> dict[str, Any]:
    # As its primitives do: with every option, set or not.
    asked = dataclasses.asdict(kind(**copy.deepcopy(values)))
    inputs: dict[str, Any] = kind._get_program_inputs(asked)
    return inputs


@pytest.mark.parametrize(
    ("program", "kind", "values"),
    [
        ("sampler", SamplerOptions, NESTED),
        ("sampler", SamplerOptions, {**NESTED, "execution": {"meas_type": "kerneled"}}),
        ("estimator", EstimatorOptions, NESTED | ESTIMATOR),
        ("estimator", EstimatorOptions, {}),
    ],
)
def test_the_wire_is_the_official_clients(program: str, kind: Any, values: dict[str, Any]) -> None:
    official = official_inputs(kind, values)
    assert Options(**values).on_the_wire(program) == official["options"]
    assert Options(**values).resilience_level == official.get("resilience_level")


def test_estimator_options_are_not_sent_with_a_sampler() -> None:
    sent = Options(**NESTED, **ESTIMATOR).on_the_wire("sampler")
    assert sent == Options(**NESTED).on_the_wire("sampler")
    options = Options.of({"execution": {"meas_type": "kerneled"}})
    assert options.on_the_wire("estimator") == {}


def leaves(kind: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return every option with the groups that it is in."""
    found: set[tuple[str, ...]] = set()
    for name, value in vars(kind).items():
        if name.startswith("_"):
            continue
        nested = dataclasses.is_dataclass(value)
        found |= leaves(value, (*path, name)) if nested else {(*path, name)}
    return found


def test_every_official_option_exists() -> None:
    ours = leaves(Options())
    theirs = leaves(EstimatorOptions()) | leaves(SamplerOptions())
    assert theirs <= ours
    assert ours - theirs == {("optimization_level",), ("seed",)}


VALUES = [
    *(-1, 0, 0.5, 1, 2, 3, 10, True, False, "auto", "XX", "XpXm", "middle", "alap", "all"),
    *("pea", "linear", "exponential", "active-accum", "nothing", [1, 2, 3, 4], [0], ["linear"]),
    *([], {}, "WARNING", ["a"], "classified", float("nan")),
]
STRICTER = {
    # pydantic converts between 1 and True, and takes nan and negative numbers.
    *("True", "False", "0", "1", "nan", "-1"),
}
ELSEWHERE = {
    # These have tests of their own, or no check.
    ("environment", "job_tags"),
    ("simulator", "noise_model"),
    ("resilience", "layer_noise_model"),
    ("max_execution_time",),
    ("experimental",),
}


def accepts(kind: Any, path: tuple[str, ...], value: Any) -> bool:
    """Whether options of a kind take a value at a place."""
    for name in reversed(path):
        value = {name: value}
    try:
        options = kind(**value)
        if isinstance(options, CheckedOptions) and path[0] == "resilience":
            options.on_the_wire()  # type: ignore[attr-defined] # Options, by its path
    except (ValueError, TypeError):
        return False
    return True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", sorted(leaves(EstimatorOptions()) - ELSEWHERE), ids=".".join)
def test_values_are_taken_as_the_official_client_takes_them(path: tuple[str, ...]) -> None:
    stricter = {
        str(value)
        for value in VALUES
        if accepts(EstimatorOptions, path, value) and not accepts(Options, path, value)
    }
    looser = [
        value
        for value in VALUES
        if accepts(Options, path, value) and not accepts(EstimatorOptions, path, value)
    ]
    assert looser == [], "nothing is sent that IBM's client would refuse"
    assert stricter <= STRICTER


def test_options_of_the_whole_job() -> None:
    environment = {"job_tags": ["a"], "private": True}
    options = Options.of({"max_execution_time": "5m", "environment": environment})
    assert RuntimeOptions(**options.for_the_run()).on_the_wire() == {
        "cost": 300,
        "tags": ["a"],
        "private": True,
    }
    assert Options().for_the_run() == {}
