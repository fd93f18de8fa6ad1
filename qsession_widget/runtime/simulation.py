"""Runs a program on Aer, with the noise of the device. Lives in a worker process.

The payload is decoded here and nowhere else in the runtime, since it comes from a user.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit.circuit import ControlFlowOp, QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2, PrimitiveResult, PubResult
from qiskit.primitives.containers.data_bin import DataBin
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target, generate_preset_pass_manager
from qiskit_aer import AerSimulator

from qsession_widget.errors import CodecError
from qsession_widget.runtime.devices import Catalog
from qsession_widget.runtime.devices import Device as Recording
from qsession_widget.wire import codec
from qsession_widget.wire.target import build_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from qiskit.primitives.containers.observables_array import ObservablesArray
    from qiskit.transpiler import PassManager

DEFAULT_SHOTS = 4096
DEFAULT_PRECISION = 0.015625
"""1/sqrt(4096): what IBM's estimator takes where neither pub nor options name a precision."""

NOT_A_GATE = frozenset({"barrier"})


class RejectedError(Exception):
    """The job cannot run as it is; the message becomes its reason."""


class Outcome(NamedTuple):
    """A finished program: its encoded result, and how long the simulation took."""

    result: str
    busy_seconds: float


class _NoisyDevice(BackendV2):  # type: ignore[misc]
    """A target with the interface from which Aer derives a device's noise."""

    def __init__(self, target: Target) -> None:
        super().__init__(name="device")
        self._target = target

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: Any, **options: Any) -> None:
        """Refuse: only Aer, built from this, runs circuits."""
        raise NotImplementedError


_catalog = Catalog()


def run(
    program_id: str,
    params: str,
    backend: str,
    *,
    optimization_level: int,
    on_interim: Callable[[str], None],
) -> Outcome:
    """Run a sampler or estimator program.

    Args:
        program_id: "sampler" or "estimator".
        params: JSON text of the job's `params`.
        backend: name of the device.
        optimization_level: for circuits that are not in the device's instruction set.
        on_interim: is given each pub's encoded result as soon as there is one.

    Raises:
        RejectedError: for a payload that cannot be read or run on this device.
    """
    try:
        inputs = codec.loads(params)
    except CodecError as error:
        raise RejectedError(f"The job's params cannot be read: {error}") from error
    if not isinstance(inputs, dict):
        raise RejectedError(f"params is {inputs!r:.80}; it has to be an object.")
    pubs, options = inputs.get("pubs"), inputs.get("options") or {}
    if not isinstance(pubs, list) or not pubs:
        raise RejectedError(f"pubs is {pubs!r:.80}; it has to be a list of at least one pub.")
    if not isinstance(options, dict) or not isinstance(options.get("simulator", {}), dict):
        raise RejectedError(f"options is {options!r:.80}; options are objects with names.")
    runners = {"sampler": _sample, "estimator": _estimate}
    started = time.perf_counter()
    results = []
    for result in runners[program_id](pubs, options, Device(backend, optimization_level)):
        results.append(result)
        on_interim(codec.dumps(result))
    busy_seconds = time.perf_counter() - started
    text = codec.dumps(PrimitiveResult(results, metadata={"version": 2}))
    return Outcome(text, busy_seconds)


class Device:
    """A device as the programs below use it."""

    def __init__(self, name: str, optimization_level: int) -> None:
        self.name = name
        self._level = optimization_level
        self._target = _target(name)
        self._max_shots = _configuration(name).get("max_shots")

    def prepare(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Give a circuit that the device can run: the same, or transpiled."""
        if circuit.num_qubits > self._target.num_qubits:
            raise self._too_wide(circuit)
        if _in_instruction_set(circuit, self._target):
            return circuit
        return _pass_manager(self.name, self._level).run(circuit)

    def check(self, circuit: QuantumCircuit) -> None:
        """Refuse a circuit that the device cannot run as it is."""
        if circuit.num_qubits > self._target.num_qubits:
            raise self._too_wide(circuit)
        if not _in_instruction_set(circuit, self._target):
            raise RejectedError(
                f"Circuit {circuit.name!r} is not in the instruction set of {self.name}, which is "
                f"{', '.join(sorted(self._target.operation_names))}."
            )

    def _too_wide(self, circuit: QuantumCircuit) -> RejectedError:
        return RejectedError(
            f"Circuit {circuit.name!r} has {circuit.num_qubits} qubits; "
            f"{self.name} has {self._target.num_qubits}."
        )

    def check_shots(self, shots: int) -> None:
        """Refuse a number of shots that the device does not take."""
        if shots < 1:
            raise RejectedError(f"{shots} shots asked for; the least is 1.")
        if self._max_shots is not None and shots > self._max_shots:
            raise RejectedError(f"{shots} shots asked for; {self.name} takes {self._max_shots}.")

    def check_precision(self, precision: float) -> None:
        """Refuse a precision for which the device does not take enough shots."""
        if not precision > 0:
            raise RejectedError(f"Precision {precision} asked for; it has to be more than 0.")
        if self._max_shots is not None and 1 / precision**2 > self._max_shots:
            raise RejectedError(
                f"Precision {precision} asked for, which takes {1 / precision**2:.0f} shots; "
                f"{self.name} takes {self._max_shots}."
            )

    def simulator(
        self, *circuits: QuantumCircuit, observed: frozenset[int] = frozenset()
    ) -> AerSimulator:
        """Give a simulator with the noise of the qubits that are used.

        Args:
            circuits: use the qubits on which they have instructions.
            observed: qubits that are measured besides.
        """
        active = observed.union(*map(active_qubits, circuits))
        return _simulator(self.name, active)


def active_qubits(circuit: QuantumCircuit) -> frozenset[int]:
    """Give the qubits on which a circuit has instructions."""
    return frozenset(
        circuit.find_bit(qubit).index
        for instruction in circuit.data
        if instruction.operation.name not in NOT_A_GATE
        for qubit in instruction.qubits
    )


def _sample(pubs: list[Any], options: dict[str, Any], device: Device) -> Iterator[PubResult]:
    for raw in pubs:
        circuit, values, shots = _parts(raw, 3)
        if shots is None:
            shots = options.get("default_shots")
        if shots is None:
            shots = DEFAULT_SHOTS
        with _reading_pub():
            pub = SamplerPub.coerce((circuit, values), shots)
        device.check_shots(pub.shots)
        prepared = SamplerPub(device.prepare(pub.circuit), pub.parameter_values, pub.shots)
        sampler = BackendSamplerV2(
            backend=device.simulator(prepared.circuit), options={"seed_simulator": _seed(options)}
        )
        yield _as_arrays(sampler.run([prepared]).result()[0])


def _estimate(pubs: list[Any], options: dict[str, Any], device: Device) -> Iterator[PubResult]:
    for raw in pubs:
        circuit, observables, values, precision = _parts(raw, 4)
        with _reading_pub():
            if precision is None:
                precision = _default_precision(options)
            shots = _twirled_shots(options)
            if shots is not None:
                # A little less, so that the estimator's rounding up does not add a shot.
                precision = (1 + 1e-12) / math.sqrt(shots)
            pub = EstimatorPub.coerce((circuit, observables, values), precision)
        device.check_precision(pub.precision)
        prepared = device.prepare(pub.circuit)
        if prepared is not pub.circuit:
            laid_out = pub.observables.apply_layout(prepared.layout)
            pub = EstimatorPub(prepared, laid_out, pub.parameter_values, pub.precision)
        estimator = BackendEstimatorV2(
            backend=device.simulator(prepared, observed=_support(pub.observables)),
            options={"seed_simulator": _seed(options)},
        )
        yield _as_arrays(estimator.run([pub]).result()[0])


def _parts(raw: Any, count: int) -> list[Any]:
    """Take a pub apart; what it leaves out at its end is None."""
    if not isinstance(raw, list) or not 0 < len(raw) <= count:
        raise RejectedError(f"A pub is a list of one to {count} items, not {raw!r:.80}.")
    if not isinstance(raw[0], QuantumCircuit):
        raise RejectedError(f"A pub begins with a circuit, not with {raw[0]!r:.80}.")
    return [*raw, *[None] * (count - len(raw))]


@contextmanager
def _reading_pub() -> Iterator[None]:
    """Refuse what Qiskit's own checks refuse, in their words."""
    try:
        yield
    except (QiskitError, ValueError, TypeError, ArithmeticError) as error:
        message = getattr(error, "message", None) or error
        raise RejectedError(f"A pub that cannot be read: {message}") from error


def _support(observables: ObservablesArray) -> frozenset[int]:
    """Give the qubits on which one of the observables is not the identity."""
    return frozenset(
        index
        for observable in observables.ravel().tolist()
        for term in observable
        for index, pauli in enumerate(reversed(term))
        if pauli != "I"
    )


def _seed(options: dict[str, Any]) -> int | None:
    simulator = options.get("simulator") or {}
    return simulator.get("seed_simulator", options.get("seed_estimator"))


def _twirled_shots(options: dict[str, Any]) -> int | None:
    """Give the shots that twirling asks for, which go before all others; None if it does not.

    The twirling itself is left out: averaged over randomizations it would turn the device's noise
    into Pauli noise of the same strength.
    """
    twirling = options.get("twirling") or {}
    if not (twirling.get("enable_gates") or twirling.get("enable_measure")):
        return None
    randomizations, shots = (
        twirling.get(name) for name in ("num_randomizations", "shots_per_randomization")
    )
    # Either may be "auto".
    if not isinstance(randomizations, int) or not isinstance(shots, int):
        return None
    return randomizations * shots


def _default_precision(options: dict[str, Any]) -> float:
    if options.get("default_precision") is not None:
        return float(options["default_precision"])
    if options.get("default_shots") is not None:
        return 1 / math.sqrt(options["default_shots"])
    return DEFAULT_PRECISION


def _as_arrays(result: PubResult) -> PubResult:
    """Make every value an array: a scalar would reach the client as a float without shape."""
    data = {
        name: np.asarray(value) if np.isscalar(value) else value
        for name, value in result.data.items()
    }
    return type(result)(DataBin(shape=result.data.shape, **data), metadata=result.metadata)


def _in_instruction_set(circuit: QuantumCircuit, target: Target) -> bool:
    """Whether each instruction exists on the qubits that it is applied to."""
    return _supported(circuit, range(circuit.num_qubits), target)


def _supported(circuit: QuantumCircuit, places: Sequence[int], target: Target) -> bool:
    """Check a circuit, or a block inside one, whose qubits are at these places of the device."""
    for instruction in circuit.data:
        operation = instruction.operation
        if operation.name in NOT_A_GATE:
            continue
        where = tuple(places[circuit.find_bit(qubit).index] for qubit in instruction.qubits)
        if not target.instruction_supported(operation.name, where):
            return False
        if isinstance(operation, ControlFlowOp) and not all(
            _supported(block, where, target) for block in operation.blocks
        ):
            return False
    return True


@cache
def _configuration(name: str) -> dict[str, Any]:
    return _device(name).configuration


@cache
def _target(name: str) -> Target:
    device = _device(name)
    return build_target(device.configuration, device.properties)


def _device(name: str) -> Recording:
    device = _catalog.get(name)
    if device is None:
        raise RejectedError(f"No device {name!r}.")
    return device


@lru_cache(maxsize=16)
def _pass_manager(name: str, level: int) -> PassManager:
    return generate_preset_pass_manager(level, target=_target(name), seed_transpiler=0)


@lru_cache(maxsize=64)
def _simulator(name: str, active: frozenset[int]) -> AerSimulator:
    """Build a simulator whose noise model covers the active qubits only.

    Errors elsewhere cannot touch the circuit, but building and passing them on takes seconds on
    a large device; with the same seed the shots are the same as with the whole model.
    """
    if _device(name).simulator:
        return AerSimulator()
    return AerSimulator.from_backend(_NoisyDevice(_restricted(_target(name), active)))


def _restricted(target: Target, active: frozenset[int]) -> Target:
    """Copy a target without the instructions on other than the active qubits."""
    copy = Target(
        num_qubits=target.num_qubits,
        dt=target.dt,
        qubit_properties=target.qubit_properties,
        granularity=target.granularity,
        min_length=target.min_length,
        pulse_alignment=target.pulse_alignment,
        acquire_alignment=target.acquire_alignment,
    )
    for name in target.operation_names:
        placement = target[name]
        if placement is None or None in placement:
            copy.add_instruction(target.operation_from_name(name), name=name)
        else:
            kept = {where: what for where, what in placement.items() if active.issuperset(where)}
            copy.add_instruction(target.operation_from_name(name), kept, name=name)
    return copy
