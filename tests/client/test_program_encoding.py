"""The inputs of executor jobs: what is checked, and what goes to which service."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit_ibm_runtime import QuantumProgram
from qiskit_ibm_runtime.options_models import ExecutorOptions

from qsession_widget import InvalidInputError
from qsession_widget.client.quantum_programs.program_encoding import encoded


def program(circuit: QuantumCircuit, values: object = None) -> QuantumProgram:
    made = QuantumProgram(shots=5)
    arguments = None if values is None else np.asarray(values, dtype=float)
    made.append_circuit_item(circuit, circuit_arguments=arguments)
    return made


def turned() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.rz(Parameter("a"), 0)
    circuit.measure(0, 0)
    return circuit


def delayed() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.delay(2, 0, unit="us")
    circuit.measure(0, 0)
    return circuit


@pytest.mark.parametrize("local", [True, False])
def test_a_seed_goes_to_the_local_runtime_only(local: bool) -> None:
    options = ExecutorOptions()
    options.simulator.seed_simulator = 5
    inputs = encoded(program(turned(), [0.1]), options, local=local)
    assert inputs["schema_version"] == "v2.0"
    assert inputs["quantum_program"]["shots"] == 5
    assert inputs["options"].get("experimental", {}) == ({"seed_simulator": 5} if local else {})
    assert options.experimental == {}, "the user's own options stay as they are"


@pytest.mark.parametrize("local", [True, False])
def test_the_local_runtime_warns_of_what_has_no_effect(local: bool) -> None:
    options = ExecutorOptions()
    options.execution.rep_delay = 0.001
    options.simulator.angle_decimals = 3
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        encoded(program(turned(), [0.1]), options, local=local)
    said = [str(each.message) for each in seen if "does nothing about" in str(each.message)]
    assert len(said) == local
    assert all("rep_delay" in each and "simulator.angle_decimals" in each for each in said)


@pytest.mark.parametrize(
    ("circuit", "values", "said"),
    [
        (turned(), [np.nan], "item 0: circuit_arguments hold nan or infinity"),
        (delayed(), None, "item 0: circuit .* has delays in another unit than dt"),
    ],
)
def test_what_the_encoding_would_change_is_refused(
    circuit: QuantumCircuit, values: object, said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        encoded(program(circuit, values), ExecutorOptions(), local=True)
