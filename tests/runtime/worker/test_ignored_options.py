"""A result names the options that changed nothing, whichever client sent them."""

from __future__ import annotations

from typing import Any

import pytest
from qiskit import QuantumCircuit

from qsession_widget.client.options.options import Options
from qsession_widget.runtime.worker import primitives
from qsession_widget.runtime.worker.outcome import RejectedError
from qsession_widget.wire import codec, ignored_options


def metadata(program: str, params: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    circuit = QuantumCircuit(1)
    circuit.h(0)
    pub: list[Any] = [circuit, "Z"] if program == "estimator" else [circuit.measure_all(False)]
    text = codec.dumps({"pubs": [pub], "options": options, **(params or {})})
    outcome = primitives.run(
        program, text, "aer_simulator", optimization_level=1, on_interim=lambda _: None
    )
    found: dict[str, Any] = codec.loads(outcome.result).metadata
    return found


@pytest.mark.parametrize(
    ("program", "options", "ignored"),
    [
        ("sampler", {"execution": {"init_qubits": False}}, ["execution.init_qubits"]),
        ("sampler", {"execution": {"rep_delay": 1e-4}}, ["execution.rep_delay"]),
        (
            "sampler",
            {"simulator": {"coupling_map": [[0, 1]], "basis_gates": ["x"]}},
            ["simulator.basis_gates", "simulator.coupling_map"],
        ),
        ("sampler", {"experimental": {"fast": {"yes": True}}}, ["experimental.fast.yes"]),
        ("sampler", {"default_precision": 0.1, "seed_estimator": 3}, None),
        ("sampler", {"dynamical_decoupling": {"enable": True}}, ["dynamical_decoupling.enable"]),
        (
            "sampler",
            {"twirling": {"enable_gates": True, "num_randomizations": 3}},
            ["twirling.enable_gates"],
        ),
        ("sampler", {"twirling": {"num_randomizations": 3}}, ["twirling.num_randomizations"]),
        ("estimator", {"resilience": {"zne": {"noise_factors": [1, 3]}}}, None),
        ("estimator", {"default_shots": 10, "default_precision": 0.1}, ["default_precision"]),
        (
            "estimator",
            {"simulator": {"seed_simulator": 1}, "seed_estimator": 2},
            ["seed_estimator"],
        ),
        ("estimator", {"whatever": 5}, ["whatever"]),
    ],
)
def test_ignored_options_are_named_in_metadata(
    program: str, options: dict[str, Any], ignored: list[str] | None
) -> None:
    if ignored is None:
        ignored = ignored_options.names(program, {"options": options})
        assert ignored
    assert metadata(program, **options)["qsession"] == {"ignored_options": ignored}


def test_a_resilience_level_stands_beside_the_options() -> None:
    found = metadata("estimator", {"resilience_level": 2})
    assert found["qsession"] == {"ignored_options": ["resilience_level"]}


@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("sampler", {}),
        ("sampler", {"default_shots": 5, "simulator": {"seed_simulator": 1}}),
        ("sampler", {"execution": {"meas_type": "classified", "init_qubits": True}}),
        ("estimator", {"default_precision": 0.2, "seed_estimator": 4}),
        ("estimator", {"twirling": {"enable_gates": False, "strategy": None}}),
    ],
)
def test_effective_and_default_options_are_not_named(program: str, options: dict[str, Any]) -> None:
    assert "qsession" not in metadata(program, **options)


def test_no_default_option_of_our_client_is_named() -> None:
    for program in ("sampler", "estimator"):
        options = Options().on_the_wire(program)
        assert ignored_options.names(program, {"options": options}) == []


@pytest.mark.parametrize("kind", ["kerneled", "avg_kerneled", "other", 5])
def test_measurement_types_other_than_bits_are_refused(kind: Any) -> None:
    with pytest.raises(RejectedError, match=r"execution\.meas_type is .*'classified'"):
        metadata("sampler", execution={"meas_type": kind})


@pytest.mark.parametrize("group", primitives.GROUPS)
def test_an_invalid_group_is_refused(group: str) -> None:
    with pytest.raises(RejectedError, match=f"options.{group} is 'x'"):
        metadata("sampler", None, **{group: "x"})
