"""Jobs as workers run them, and circuits for them."""

from __future__ import annotations

from functools import cache
from typing import Any

from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit import Parameter
from qiskit.primitives import BackendSamplerV2, PrimitiveResult
from qiskit_aer import AerSimulator

from qsession_widget.runtime.worker import primitives
from qsession_widget.runtime.worker.device import caches
from qsession_widget.runtime.worker.noise import device_noise
from qsession_widget.wire import codec

IDEAL = "aer_simulator"
SMALL = "fake_manila"
LARGE = "fake_hanoi"  # 27 qubits


def run(
    program: str,
    backend: str,
    *pubs: list[Any],
    level: int = 1,
    interim: list[Any] | None = None,
    **options: Any,
) -> PrimitiveResult:
    """Run pubs as a worker does, from wire text to wire text."""
    parts: list[str] = []
    outcome = primitives.run(
        program,
        codec.dumps({"pubs": list(pubs), "options": options}),
        backend,
        optimization_level=level,
        on_interim=parts.append,
    )
    if interim is not None:
        interim += [codec.loads(part) for part in parts]
    result = codec.loads(outcome.result)
    assert isinstance(result, PrimitiveResult)
    return result


def sample(backend: str, *pubs: list[Any], seed: int = 7, **settings: Any) -> PrimitiveResult:
    return run("sampler", backend, *pubs, simulator={"seed_simulator": seed}, **settings)


def estimate(backend: str, *pubs: list[Any], seed: int = 7, **settings: Any) -> PrimitiveResult:
    return run("estimator", backend, *pubs, simulator={"seed_simulator": seed}, **settings)


@cache
def whole_device(name: str) -> AerSimulator:
    """Return plain Aer with the noise of the whole device."""
    return AerSimulator.from_backend(device_noise.TargetBackend(caches.target(name)))


@cache
def isa(name: str, circuit_of: Any) -> QuantumCircuit:
    target = caches.target(name)
    manager = generate_preset_pass_manager(1, target=target, seed_transpiler=5)
    return manager.run(circuit_of())


def ghz() -> QuantumCircuit:
    circuit = QuantumCircuit(4)
    circuit.h(0)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def delayed() -> QuantumCircuit:
    circuit = ghz()
    circuit.delay(200_000, 0, unit="dt")
    circuit.reset(1)
    circuit.measure_active()
    return circuit


def shots_of(circuit: QuantumCircuit, backend: AerSimulator, shots: int, seed: int) -> Any:
    sampler = BackendSamplerV2(backend=backend, options={"seed_simulator": seed})
    return sampler.run([(circuit,)], shots=shots).result()[0].data


def rotated(name: str = "theta", gate: str = "rz", angle: float | None = None) -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2, name=name)
    getattr(circuit, gate)(Parameter(name) if angle is None else angle, 0)
    circuit.sx(0)
    circuit.measure([0, 1], [0, 1])
    return circuit
