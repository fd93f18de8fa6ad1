"""Jobs as workers run them, from wire text to wire text, and plain Aer beside them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qsession_widget.runtime.worker import primitives
from qsession_widget.wire import codec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit.primitives import PrimitiveResult

IDEAL = "aer_simulator"
NOISY = "fake_manila"
MANILA = FakeManilaV2()
HALF = np.pi / 2


def run(program: str, backend: str, pubs: list[Any], **options: Any) -> PrimitiveResult:
    outcome = primitives.run(
        program,
        codec.dumps({"pubs": pubs, "options": options}),
        backend,
        optimization_level=1,
        on_interim=lambda _: None,
    )
    found: PrimitiveResult = codec.loads(outcome.result)
    return found


def seeded(seed: int | None) -> dict[str, Any]:
    return {} if seed is None else {"simulator": {"seed_simulator": seed}}


def readout(qubit: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return P(read, column, where prepared, row) as IBM's reader of the record has it."""
    properties = MANILA.properties()
    of_zero, _ = properties.qubit_property(qubit, "prob_meas1_prep0")
    of_one, _ = properties.qubit_property(qubit, "prob_meas0_prep1")
    return np.array([[1 - of_zero, of_zero], [of_one, 1 - of_one]])


@cache
def recorded() -> NoiseModel:
    """Return the recorded noise of a device: Aer's of the gates, and both readout errors."""
    model = NoiseModel.from_backend(MANILA, readout_error=False)
    for qubit in range(MANILA.num_qubits):
        model.add_readout_error(ReadoutError(readout(qubit)), [qubit])
    return model


@cache
def plain(backend: str) -> AerSimulator:
    """Return plain Aer for a device."""
    if backend == IDEAL:
        return AerSimulator()
    return AerSimulator.from_backend(MANILA, noise_model=recorded())


def toss() -> tuple[QuantumCircuit, list[float]]:
    """Return a circuit with a parameter, which is cached, and bound by each run."""
    angle = Parameter("angle")
    circuit = QuantumCircuit(1, 1, name="toss")
    circuit.sx(0)
    circuit.rz(angle, 0)
    circuit.sx(0)
    circuit.measure(0, 0)
    return circuit, [HALF]


def bare_toss() -> tuple[QuantumCircuit, list[float]]:
    """Return a circuit without parameters."""
    circuit, values = toss()
    return circuit.assign_parameters(values), []


def tossed_midway() -> tuple[QuantumCircuit, list[float]]:
    """Return a circuit that Aer runs shot by shot, since it measures on the way."""
    angle = Parameter("angle")
    qubits = QuantumRegister(1, "q")
    circuit = QuantumCircuit(qubits, ClassicalRegister(2, "c"), name="midway")
    for bit in range(2):
        circuit.sx(0)
        circuit.rz(angle, 0)
        circuit.sx(0)
        circuit.measure(0, bit)
    return circuit, [HALF]


def decided_midway() -> tuple[QuantumCircuit, list[float]]:
    """Return a circuit with control flow that has a parameter, which is bound before it runs."""
    angle = Parameter("angle")
    circuit = QuantumCircuit(QuantumRegister(1, "q"), ClassicalRegister(2, "c"), name="decided")
    circuit.sx(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.cregs[0][0], 1)):
        circuit.rz(angle, 0)
    circuit.sx(0)
    circuit.measure(0, 1)
    return circuit, [HALF]


TOSSES = {each.__name__: each for each in (toss, bare_toss, tossed_midway, decided_midway)}


def ones(shots: Any) -> list[int]:
    """Return the value of register "c" in each shot."""
    array = shots.array.reshape(-1, shots.array.shape[-1])
    found: list[int] = array[:, -1].tolist()
    return found


def random_circuit(
    random: np.random.Generator, *, gates: int, midway: bool
) -> tuple[QuantumCircuit, list[float]]:
    """Return a random circuit in the device's instructions, half of its angles parameters.

    Args:
        random: draws it.
        gates: how many of them.
        midway: whether it measures, resets and decides on the way.
    """
    width = int(random.integers(2, MANILA.num_qubits + 1))
    qubits = QuantumRegister(width, "q")
    last, first = ClassicalRegister(width, "last"), ClassicalRegister(1, "first")
    circuit = QuantumCircuit(qubits, last, *([first] if midway else []))
    values = []
    for number in range(gates):
        qubit = int(random.integers(width))
        kind = random.choice(["sx", "x", "rz", "rz", "cx", "cx", *(["midway"] if midway else [])])
        if kind == "cx":
            other = qubit + 1 if qubit + 1 < width else qubit - 1
            circuit.cx(qubit, other)
        elif kind == "rz":
            value = float(random.uniform(-np.pi, np.pi))
            if random.integers(2):
                circuit.rz(Parameter(f"a{number:03}"), qubit)
                values.append(value)
            else:
                circuit.rz(value, qubit)
        elif kind == "midway":
            circuit.measure(qubit, first[0])
            if random.integers(2):
                circuit.reset(qubit)
            else:
                with circuit.if_test((first, 1)):
                    circuit.x((qubit + 1) % width)
        else:
            getattr(circuit, kind)(qubit)
        if random.integers(3) == 0:
            circuit.sx(qubit)
    circuit.measure(qubits, last)
    return circuit, values


def exact(backend: str, circuit: QuantumCircuit) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the probability of each outcome: plain Aer's density matrix, then the readout."""
    state = circuit.remove_final_measurements(inplace=False)
    state.save_probabilities()
    model = None if backend == IDEAL else recorded()
    simulator = AerSimulator(method="density_matrix", noise_model=model)
    found = simulator.run(state).result().data()["probabilities"]
    width = circuit.num_qubits
    tensor = np.asarray(found).reshape([2] * width)
    if backend != IDEAL:
        for qubit in range(width):
            axis = width - 1 - qubit
            tensor = np.moveaxis(np.tensordot(tensor, readout(qubit), ([axis], [0])), -1, axis)
    return tensor.reshape(-1)


def counts_of(shots: Any) -> Mapping[int, int]:
    found: Mapping[int, int] = shots.get_int_counts()
    return found
