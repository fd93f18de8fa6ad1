"""Every option acts, is refused, or is named in a warning and in the result's metadata."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.transpiler import CouplingMap
from qiskit_aer.noise import NoiseModel, ReadoutError
from qiskit_ibm_runtime import EstimatorV2, QuantumProgram, SamplerV2
from qiskit_ibm_runtime.options import EstimatorOptions, SamplerOptions
from qiskit_ibm_runtime.options_models import ExecutorOptions
from qiskit_ibm_runtime.options_models.base import BaseOptionsModel

from qsession_widget import (
    Estimator,
    Executor,
    InvalidInputError,
    Options,
    RuntimeOptions,
    Sampler,
    Session,
)
from qsession_widget.client.default_service import default_service
from qsession_widget.wire import ignored_options
from tests.client.circuits import bell
from tests.client.options.test_options import ESTIMATOR, NESTED, leaves, official_inputs

if TYPE_CHECKING:
    from pathlib import Path

OF_THE_JOB = frozenset(
    {
        *("max_execution_time", "environment.log_level", "environment.job_tags"),
        *("environment.private", "optimization_level"),
    }
)
"""Options that server or client handle, and that are no input of the program."""

SEED = "seed"
"""Another name for `simulator.seed_simulator`."""

OF_THE_EXECUTOR = {
    "environment.log_level": "done",
    "environment.job_tags": "done",
    "environment.private": "done",
    "environment.max_execution_time": "done",
    "environment.image": "named",
    "max_execution_time": "done",
    "execution.init_qubits": "named",
    "execution.rep_delay": "named",
    "execution.scheduler_timing": "named",
    "execution.stretch_values": "named",
    "experimental": "named",
    "simulator.angle_decimals": "named",
    "simulator.layer_noise_model": "named",
    "simulator.seed_simulator": "done",
    "simulator.warn_absent": "named",
}
OF_A_RUN = {
    "backend": "done",
    "image": "named",
    "instance": "refused",
    "job_tags": "done",
    "log_level": "done",
    "max_execution_time": "done",
    "private": "done",
    "session_time": "refused",
}


def model_leaves(model: BaseOptionsModel, path: str = "") -> set[str]:
    found: set[str] = set()
    for name in type(model).model_fields:
        value = getattr(model, name)
        nested = isinstance(value, BaseOptionsModel)
        found |= model_leaves(value, f"{path}{name}.") if nested else {f"{path}{name}"}
    return found


def test_every_option_is_classified() -> None:
    """A new option, ours or IBM's, is in no table, and fails this test."""
    known = {
        *ignored_options.HEEDED,
        *ignored_options.HEEDED_BY_ESTIMATORS,
        *ignored_options.HEEDED_IF_TWIRLED,
        *ignored_options.UNHEEDED,
        *OF_THE_JOB,
        SEED,
    }
    kinds = (Options(), EstimatorOptions(), SamplerOptions())
    found = {".".join(path) for kind in kinds for path in leaves(kind)}
    of_the_executor = {"init_qubits", "scheduler_timing", "stretch_values"}
    assert found ^ known == of_the_executor, "not classified, or no longer an option"
    assert model_leaves(ExecutorOptions()) == OF_THE_EXECUTOR.keys()
    assert {each.name for each in dataclasses.fields(RuntimeOptions)} == OF_A_RUN.keys()


EVERYTHING: dict[str, Any] = {
    **copy.deepcopy(NESTED),
    "twirling": {**NESTED["twirling"], "num_randomizations": 3},
    "experimental": {"foo": 1},
}
LEFT_OUT = [
    *(
        f"dynamical_decoupling.{name}"
        for name in ("enable", "extra_slack_distribution", "scheduling_method", "sequence_type")
    ),
    "dynamical_decoupling.skip_reset_qubits",
    "execution.init_qubits",
    "execution.rep_delay",
    "experimental.foo",
    "simulator.basis_gates",
    "simulator.coupling_map",
    "twirling.enable_gates",
    "twirling.strategy",
]
FOR_ESTIMATORS = [
    *(f"resilience.layer_noise_learning.{name}" for name in ("layer_pair_depths",)),
    *(
        f"resilience.layer_noise_learning.{name}"
        for name in ("max_layers_to_learn", "num_randomizations", "shots_per_randomization")
    ),
    "resilience.measure_mitigation",
    *(
        f"resilience.measure_noise_learning.{name}"
        for name in ("num_randomizations", "shots_per_randomization")
    ),
    *(f"resilience.pec.{name}" for name in ("max_overhead", "noise_gain")),
    *(
        f"resilience.zne.{name}"
        for name in ("amplifier", "extrapolated_noise_factors", "extrapolator", "noise_factors")
    ),
    "resilience.zne_mitigation",
    "resilience_level",
    # Here other options take precedence: shots and the simulator's seed.
    "default_precision",
    "seed_estimator",
]


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("kind", [Sampler, Estimator])
def test_ignored_options_are_in_the_warning_and_in_the_result(kind: type[Any]) -> None:
    estimates = kind is Estimator
    options = EVERYTHING | ESTIMATOR if estimates else EVERYTHING
    circuit = QuantumCircuit(1) if estimates else bell()
    with pytest.warns(UserWarning, match="does nothing about") as said:
        job = kind("fake_manila", options).run([(circuit, "Z") if estimates else circuit])
    named = job.result().metadata["qsession"]["ignored_options"]
    assert named == sorted(LEFT_OUT + FOR_ESTIMATORS if estimates else LEFT_OUT)
    (message,) = (str(each.message) for each in said)
    assert all(name in message for name in named)
    assert said[0].filename == __file__


@pytest.mark.usefixtures("runtime")
def test_an_option_that_another_one_overrules_is_no_mitigation() -> None:
    both = Options(default_precision=0.1, default_shots=100)
    with pytest.warns(UserWarning, match=r"default_precision: default_shots takes precedence$"):
        Estimator("aer_simulator", both).run([(QuantumCircuit(1), "Z")])
    both.resilience.zne_mitigation = True
    with pytest.warns(UserWarning, match=r"nothing against it; default_shots takes precedence$"):
        Estimator("aer_simulator", both).run([(QuantumCircuit(1), "Z")])


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("kind", [SamplerV2, EstimatorV2])
def test_the_official_client_reads_ignored_options_in_the_result(kind: type[Any]) -> None:
    official = default_service().ibm()
    backend = official.backend("fake_manila")
    primitive = kind(mode=backend, options={"twirling": {"strategy": "all"}})
    isa = transpile(bell(), backend)
    observable = "I" * isa.num_qubits
    pub = (isa.remove_final_measurements(inplace=False), observable)
    job = primitive.run([isa if kind is SamplerV2 else pub])
    assert job.result().metadata["qsession"] == {"ignored_options": ["twirling.strategy"]}


@pytest.mark.usefixtures("runtime")
def test_there_is_no_warning_without_ignored_options() -> None:
    options = {
        "default_shots": 10,
        "seed": 3,
        "execution": {"init_qubits": True, "meas_type": "classified"},
        "twirling": {"enable_gates": False},
        "environment": {"log_level": "DEBUG"},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        job = Sampler("fake_manila", options).run(bell())
    assert "qsession" not in job.result().metadata
    assert "transpiled at level 1" in job.logs()


@pytest.mark.usefixtures("runtime")
def test_options_for_another_kind_of_result_are_refused() -> None:
    sampler = Sampler("fake_manila", {"execution": {"meas_type": "kerneled"}})
    before = len(default_service().jobs(limit=None))
    with pytest.raises(InvalidInputError, match=r"meas_type='kerneled'.*'classified'"):
        sampler.run(bell())
    assert len(default_service().jobs(limit=None)) == before


@pytest.mark.usefixtures("runtime")
def test_an_option_of_an_estimator_is_no_option_of_a_sampler() -> None:
    with pytest.warns(
        UserWarning, match=r"seed_estimator, resilience_level: not an option of a sam"
    ):
        Sampler("fake_manila", {"seed_estimator": 1, "resilience_level": 0}).run(bell())
    options = {"execution": {"meas_type": "classified"}}
    with pytest.warns(UserWarning, match=r"execution\.meas_type: not an option of a"):
        Estimator("fake_manila", options).run((QuantumCircuit(1), "Z"))


@pytest.mark.usefixtures("runtime")
def test_a_runs_own_options() -> None:
    service = default_service()
    run = {"backend": "fake_manila"}
    inputs = {"pubs": [[bell(), None, 10]], "version": 2}
    with pytest.raises(InvalidInputError, match=r"session_time=60.*max_time"):
        service.run("sampler", inputs, {**run, "session_time": 60})
    with pytest.raises(InvalidInputError, match="instance='x'"):
        service.run("sampler", inputs, {**run, "instance": "x"})
    with pytest.warns(UserWarning, match="image 'a:b'"):
        job = service.run("sampler", inputs, {**run, "image": "a:b"})
    assert job.image == "a:b"
    with pytest.warns(UserWarning, match="image 'c:d'"):
        job = Sampler("fake_manila", {"experimental": {"image": "c:d"}}).run(bell())
    assert (job.image, job.result().metadata.get("qsession")) == ("c:d", None)


@pytest.mark.usefixtures("runtime")
def test_options_of_an_executor() -> None:
    circuit = transpile(bell(), default_service().backend("fake_manila"), seed_transpiler=1)
    program = QuantumProgram(shots=50)
    program.append_circuit_item(circuit)
    options = {"simulator": {"seed_simulator": 7}, "environment": {"job_tags": ["a"]}}
    with Session(backend="fake_manila"):
        jobs = [Executor(options=options).run(program) for _ in range(2)]
        one, other = (job.result()[0]["cr"] for job in jobs)
    assert np.array_equal(one, other), "the simulator's seed has an effect"
    assert jobs[0].tags == ["a"]
    with pytest.warns(DeprecationWarning, match="top-level"):
        limited = ExecutorOptions(environment={"max_execution_time": 60})
    assert Executor("fake_manila", limited).run(program).data["cost"] == 60
    named = {"execution": {"init_qubits": False, "rep_delay": 0.001, "stretch_values": True}}
    more = {"experimental": {"foo": 1}, "simulator": {"warn_absent": False}}
    with pytest.warns(UserWarning, match="does nothing about") as said:
        Executor("fake_manila", {**named, **more}).run(program)
    message = str(said[0].message)
    for name in ("init_qubits", "rep_delay", "stretch_values", "foo", "simulator.warn_absent"):
        assert name in message


# Options that the user changes later


def test_options_are_copied_where_they_are_given(runtime: Path) -> None:
    assert runtime
    options = Options(default_shots=10)
    one, other = Sampler("fake_manila", options), Sampler("fake_manila", options)
    one.options.default_shots = 20
    one.options.twirling.enable_gates = True
    options.execution.init_qubits = True
    assert (options.default_shots, other.options.default_shots) == (10, 10)
    assert other.options.set_values() == {"optimization_level": 1, "default_shots": 10}
    other.options = options
    options.default_shots = 30
    assert other.options.default_shots == 10
    other.options = {"default_shots": 5}
    assert other.options.default_shots == 5
    assert not isinstance(Executor("fake_manila", ExecutorOptions()).options, dict)


def test_dicts_and_lists_are_copied_where_they_are_given() -> None:
    experimental: dict[str, Any] = {"a": {"b": 1}}
    factors, pairs, tags = [1, 3, 5], [[0, 1]], ["a"]
    options = Options.of(
        {
            "experimental": experimental,
            "resilience": {"zne": {"noise_factors": factors}},
            "simulator": {"coupling_map": pairs},
            "environment": {"job_tags": tags},
        }
    )
    before = options.copy()
    experimental["a"]["b"] = 2
    factors.append(7)
    pairs[0].append(2)
    tags.append("b")
    assert options == before
    group = options.twirling
    shared = Options(twirling=group)
    shared.twirling.strategy = "all"
    assert group.strategy is None


def test_an_update_is_atomic() -> None:
    options = Options(default_shots=10)
    twirling = options.twirling
    before = options.copy()
    changes: list[dict[str, Any]] = [
        {"default_shots": 20, "seed": -1},
        {"twirling": {"enable_gates": True, "strategy": "some"}},
        {"twirling": {"enable_gates": True}, "nothing": 1},
        {"resilience": {"zne": {"noise_factors": [1], "amplifier": 3}}},
    ]
    for change in changes:
        with pytest.raises(InvalidInputError):
            options.update(**change)
        assert options == before
    options.update(twirling={"enable_gates": True}, default_shots=20)
    assert twirling.enable_gates is True, "a group stays the same object"
    assert options.twirling is twirling


# Kinds of values


@pytest.mark.parametrize("model", ["foo", 3, [], {"noise": 1}, QuantumCircuit(1)])
def test_invalid_noise_models_are_refused(model: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"noise_model=.*NoiseModel"):
        Options.of({"simulator": {"noise_model": model}})


@pytest.mark.usefixtures("runtime")
def test_a_devices_noise_for_a_simulator() -> None:
    backend = default_service().backend("fake_manila")
    options = Options()
    options.simulator.set_backend(backend)
    simulator = options.simulator
    assert isinstance(simulator.noise_model, dict)
    kinds = [each["type"] for each in simulator.noise_model["errors"]]
    assert kinds == [each["type"] for each in NoiseModel.from_backend(backend).to_dict()["errors"]]
    assert CouplingMap(simulator.coupling_map).get_edges() == backend.coupling_map.get_edges()
    assert set(simulator.basis_gates or ()) == set(backend.operation_names)
    with pytest.raises(InvalidInputError, match="backend='fake_manila'"):
        simulator.set_backend("fake_manila")


@pytest.mark.usefixtures("runtime")
def test_a_noise_model_changes_the_counts() -> None:
    model = NoiseModel()
    model.add_all_qubit_readout_error(ReadoutError([[0, 1], [1, 0]]))
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options = {"simulator": {"noise_model": model}}
        job = Sampler("aer_simulator", options).run([circuit], shots=50)
    assert job.result()[0].data.c.get_counts() == {"1": 50}


def test_numbers_of_numpy_are_numbers() -> None:
    options = Options.of({"default_shots": np.int64(100), "default_precision": np.float32(0.25)})
    assert (options.default_shots, options.default_precision) == (100, 0.25)
    assert {type(options.default_shots), type(options.default_precision)} == {int, float}
    options.resilience.update(zne={"noise_factors": np.arange(1, 6, 2)})
    assert options.resilience.zne.noise_factors == [1.0, 3.0, 5.0]
    hostile = [np.float64("nan"), np.float32("inf"), np.bool_(1), np.array([0.1]), 10**400, 1j]
    for value in hostile:
        with pytest.raises(InvalidInputError, match="default_precision="):
            Options(default_precision=value)  # type: ignore[arg-type] # this is what is refused


@pytest.mark.parametrize(
    "experimental",
    [
        {"execution": {"fast": True}},
        {"image": "a:b"},
        {"image": "a:b", "execution": {"fast": True}, "foo": {"bar": 1}},
        {"twirling": {"strategy": "all"}, "default_shots": 7},
        {"resilience": {"zne": {"noise_factors": [1, 2, 3]}}, "resilience_level": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("program", ["sampler", "estimator"])
def test_experimental_options_are_sent_as_by_the_official_client(
    program: str, experimental: dict[str, Any]
) -> None:
    kind: Any = {"sampler": SamplerOptions, "estimator": EstimatorOptions}[program]
    for more in ({}, {"execution": {"init_qubits": False}}):
        values: dict[str, Any] = {"experimental": experimental, **more}
        ours = Options(**copy.deepcopy(values))
        assert ours.on_the_wire(program) == official_inputs(kind, values)["options"]
        run = kind._get_runtime_options({"experimental": experimental})
        assert ours.for_the_run().get("image") == run.get("image")


@pytest.mark.parametrize(
    ("kind", "values"), [(SamplerOptions, NESTED), (EstimatorOptions, NESTED | ESTIMATOR)]
)
def test_options_of_the_official_client_are_taken(kind: Any, values: dict[str, Any]) -> None:
    theirs = kind(**copy.deepcopy(values))
    assert Options.of(theirs) == Options(**values)
