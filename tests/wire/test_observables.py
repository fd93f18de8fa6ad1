"""Observables in every form, small ones included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import SparseObservable, SparsePauliOp

from qsession_widget.runtime.worker import primitives
from qsession_widget.wire import codec, observables

SMALL = 3e-12


@pytest.mark.parametrize(
    "given",
    [
        {"ZZ": SMALL, "XX": -2 * SMALL},
        SparsePauliOp(["ZZ", "XX"], [SMALL, -2 * SMALL]),
        SparseObservable.from_list([("ZZ", SMALL), ("XX", -2 * SMALL)]),
        [["YY", {"ZZ": SMALL}], [{"ZI": 1.0}, SparsePauliOp("XX", 1e-300)]],
    ],
)
def test_coefficients_are_unchanged(given: Any) -> None:
    found = observables.read(given).tolist()
    expected = {"ZZ": SMALL, "XX": -2 * SMALL}
    if isinstance(given, list):
        assert found == [[{"YY": 1.0}, {"ZZ": pytest.approx(SMALL)}], [{"ZI": 1.0}, {"XX": 1e-300}]]
    else:
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("given", ["ZZ", ["ZZ", "XX"], {"ZZ": 0.5}, [[{"ZZ": 1e-5}]]])
def test_others_are_read_as_qiskit_reads_them(given: Any) -> None:
    assert observables.read(given).tolist() == ObservablesArray.coerce(given).tolist()


@pytest.mark.parametrize("given", [{}, {"ZZ": 0.0}, {"ZZ": 1e-12j}, {"Z": "x"}, 5, None])
def test_invalid_observables_are_refused(given: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        observables.read(given)


def test_widths_have_to_agree() -> None:
    with pytest.raises(ValueError, match="qubits"):
        observables.read([{"ZZ": SMALL}, {"Z": 1.0}])


def test_a_small_observable_is_estimated() -> None:
    circuit = QuantumCircuit(2)
    circuit.x(0)
    params = codec.dumps({"pubs": [[circuit, {"ZI": SMALL, "IZ": 2 * SMALL}, [], 0.1]]})
    outcome = primitives.run(
        "estimator", params, "aer_simulator", optimization_level=1, on_interim=lambda _: None
    )
    assert np.isclose(float(codec.loads(outcome.result)[0].data.evs), -SMALL, rtol=1e-9, atol=0)
