"""Quantum programs of qiskit-ibm-runtime, sent by our Executor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qiskit import transpile
from qiskit_ibm_runtime import QuantumProgram
from qiskit_ibm_runtime.options_models import ExecutorOptions

from qsession_widget import Executor, InvalidInputError, Session
from qsession_widget.client.default_service import default_service
from tests.client.circuits import bell

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def program(runtime: Path) -> QuantumProgram:
    assert runtime
    circuit = transpile(bell(), default_service().backend("fake_manila"), seed_transpiler=1)
    made = QuantumProgram(shots=200)
    made.append_circuit_item(circuit)
    return made


def test_a_program_in_a_session(program: QuantumProgram) -> None:
    with Session(backend="fake_manila") as session:
        job = Executor(options={"environment": {"job_tags": ["a"]}}).run(program)
        assert job.session_id == session.session_id
        assert (job.program_id, job.tags) == ("executor", ["a"])
        bits = job.result()[0]["cr"]
    assert bits.shape == (200, 2)
    assert bits.dtype == np.bool_
    assert np.mean(bits[:, 0] == bits[:, 1]) > 0.7


def test_a_program_on_a_backend(program: QuantumProgram) -> None:
    executor = Executor("fake_manila", ExecutorOptions(max_execution_time=60))
    job = executor.run(program)
    assert job.result()[0]["cr"].shape == (200, 2)
    assert job.data["cost"] == 60


def test_invalid_programs_and_options_are_refused(program: QuantumProgram) -> None:
    assert program
    with pytest.raises(InvalidInputError, match="is not a QuantumProgram"):
        Executor("fake_manila").run(bell())
    with pytest.raises(InvalidInputError, match="options="):
        Executor("fake_manila", {"shots": 5})
    with pytest.raises(InvalidInputError, match="two names for the same"):
        Executor("fake_manila", session="fake_manila")
