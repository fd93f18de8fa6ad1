"""Our primitives work in public packages that are written for Qiskit's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import efficient_su2, zz_feature_map
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp

from qsession_widget import Estimator, Options, Sampler, Session

if TYPE_CHECKING:
    from pathlib import Path

# These packages are in the dependency group `dev`.
algorithms = pytest.importorskip("qiskit_algorithms")
optimizers = pytest.importorskip("qiskit_algorithms.optimizers")
machine_learning = pytest.importorskip("qiskit_machine_learning")
kernels = pytest.importorskip("qiskit_machine_learning.kernels")
networks = pytest.importorskip("qiskit_machine_learning.neural_networks")
fidelities = pytest.importorskip("qiskit_machine_learning.state_fidelities")

SIMULATOR = "aer_simulator"
HYDROGEN = SparsePauliOp.from_list(
    [
        ("II", -1.0523732),
        ("IZ", 0.39793742),
        ("ZI", -0.39793742),
        ("ZZ", -0.0112801),
        ("XX", 0.18093119),
    ]
)
OPTIONS = Options(seed=7, default_precision=0.01, default_shots=2000)


@pytest.fixture(autouse=True)
def _running(runtime: Path) -> None:
    assert runtime


def test_vqe_of_qiskit_algorithms_in_a_session() -> None:
    ansatz = efficient_su2(2, reps=1, su2_gates=["ry"])
    with Session(backend=SIMULATOR) as session:
        estimator = Estimator(options=OPTIONS)
        vqe = algorithms.VQE(
            estimator,
            ansatz,
            optimizers.COBYLA(maxiter=40, rhobeg=0.5),
            initial_point=np.zeros(ansatz.num_parameters),
        )
        found = vqe.compute_minimum_eigenvalue(HYDROGEN)
        assert len(session.jobs()) >= found.cost_function_evals
    exact = np.linalg.eigvalsh(HYDROGEN.to_matrix())[0]
    assert found.eigenvalue.real == pytest.approx(exact, abs=0.1)


def test_vqe_on_a_noisy_device_has_one_session() -> None:
    ansatz = efficient_su2(2, reps=1, su2_gates=["ry"])
    with Session(backend="fake_manila") as session:
        vqe = algorithms.VQE(
            Estimator(mode=session, options=OPTIONS), ansatz, optimizers.COBYLA(maxiter=3)
        )
        vqe.initial_point = np.zeros(ansatz.num_parameters)
        vqe.compute_minimum_eigenvalue(HYDROGEN)
        jobs = session.jobs()
        assert len(jobs) >= 3
        assert {job.session_id for job in jobs} == {session.session_id}


def test_qaoa_of_qiskit_algorithms() -> None:
    # The cut of a path of three nodes: one side the middle, the other both ends.
    cut = SparsePauliOp.from_list([("IZZ", 1.0), ("ZZI", 1.0)])
    qaoa = algorithms.QAOA(
        Sampler(SIMULATOR, OPTIONS),
        optimizers.COBYLA(maxiter=25),
        reps=1,
        initial_point=[0.5, 0.5],
    )
    found = qaoa.compute_minimum_eigenvalue(cut)
    assert found.best_measurement["value"] == pytest.approx(-2)
    assert found.best_measurement["bitstring"] in {"010", "101"}


def test_an_estimator_network_of_qiskit_machine_learning() -> None:
    data, weight = Parameter("x"), Parameter("w")
    circuit = QuantumCircuit(1)
    circuit.ry(data, 0)
    circuit.rx(weight, 0)
    network = networks.EstimatorQNN(
        circuit=circuit,
        estimator=Estimator(SIMULATOR, OPTIONS),
        observables=SparsePauliOp("Z"),
        input_params=[data],
        weight_params=[weight],
    )
    inputs = np.array([[0.3], [1.2]])
    forward = network.forward(inputs, [0.7])
    exact = StatevectorEstimator().run([(circuit, "Z", [[0.7, x] for (x,) in inputs])])
    # The circuit sorts its parameters by name: w comes before x.
    assert forward[:, 0] == pytest.approx(exact.result()[0].data.evs, abs=0.05)
    gradients, weights = network.backward(inputs, [0.7])
    assert weights.shape == (2, 1, 1)
    assert weights[0, 0, 0] == pytest.approx(-np.cos(0.3) * np.sin(0.7), abs=0.05)
    assert gradients is None or gradients.shape == (2, 1, 1)


def test_a_quantum_kernel_of_qiskit_machine_learning() -> None:
    feature_map = zz_feature_map(2, reps=1)
    fidelity = fidelities.ComputeUncompute(sampler=Sampler(SIMULATOR, OPTIONS))
    kernel = kernels.FidelityQuantumKernel(feature_map=feature_map, fidelity=fidelity)
    matrix = kernel.evaluate(np.array([[0.1, 0.2], [1.0, 2.0]]))
    assert np.diag(matrix) == pytest.approx(1, abs=1e-6)
    assert matrix[0, 1] == pytest.approx(matrix[1, 0])
    assert 0 <= matrix[0, 1] < 1
