"""A recorded device as the programs use it: makes circuits ready for it, and simulates its noise.

Making a target, a pass manager, a simulator with noise, a transpiled circuit or a circuit in Aer's
own form takes far longer than a small job. A worker process keeps all of them between jobs, in one
place: `caches`, the process's only instance of `Caches`.
"""

from __future__ import annotations

import math
from copy import deepcopy
from typing import TYPE_CHECKING, NamedTuple

from qiskit.circuit import ControlFlowOp, QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.transpiler import PassManager, Target, generate_preset_pass_manager

from qsession_widget.errors import InvalidInputError
from qsession_widget.runtime.device_catalog import Catalog, Device
from qsession_widget.runtime.worker import classical, official_package
from qsession_widget.runtime.worker.aer import SAVED, Executable
from qsession_widget.runtime.worker.circuit_cache import (
    BYTES_OF_A_NOISY_QUBIT,
    CircuitCache,
    weight,
)
from qsession_widget.runtime.worker.circuits import final_measurements, measure_variants
from qsession_widget.runtime.worker.inputs import shots as shot_rules
from qsession_widget.runtime.worker.limits import NO_LIMITS
from qsession_widget.runtime.worker.lru_cache import LruCache
from qsession_widget.runtime.worker.noise import device_noise
from qsession_widget.runtime.worker.noise.aer_form import NoiseInAerForm, Shape
from qsession_widget.runtime.worker.noise.device_noise import DeviceSimulator
from qsession_widget.runtime.worker.outcome import RejectedError
from qsession_widget.runtime.worker.results import expectation
from qsession_widget.runtime.worker.results.drawn_shots import MOST_MEASURED, DrawnShots
from qsession_widget.runtime.worker.results.final_state import MOST_QUBITS, Readout
from qsession_widget.wire.delays import delays_of_known_length, transpiled_around_delays
from qsession_widget.wire.target import CONTROL_FLOW, build_target

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from qiskit_aer.noise import NoiseModel

    from qsession_widget.runtime.worker.aer import Array
    from qsession_widget.runtime.worker.circuits.lone_qubits import LoneQubits
    from qsession_widget.runtime.worker.limits import Limits
    from qsession_widget.runtime.worker.noise.aer_form import Form, Place, Use
    from qsession_widget.runtime.worker.noise.given_noise import GivenNoise
    from qsession_widget.runtime.worker.results.expectation import Measurement

SMALL_DEVICE = 7
"""Up to so many qubits, circuits share the noise of the whole device, which is quick to build."""

QUBITS_TOGETHER = 32
"""The noise of single qubits is made for so many at once, which takes less than 0.1 s."""

BYTES_OF_AN_ERROR = 20_000
"""Of a gate on one qubit, as measured, with its forms."""

BYTES_OF_A_READING = 500
"""Of an observable's name, and how it is read."""

BYTES_OF_ARRAYS = 1 << 24
"""How many bytes of final states are kept: one of ten qubits, or a thousand of five."""

NOT_A_GATE = frozenset({"barrier"})

_ANGLES = "qiskit_ibm_runtime.utils.backend_converter"
"""Registers how an rzz is turned into gates whose angles are within a target's bounds."""


class Runnable(NamedTuple):
    """A circuit as the device runs it.

    Attributes:
        circuit: in the device's instruction set.
        key: its key in the caches.
        columns: for each of its parameters, the place among those of the circuit that was given.
        transpiled: whether it differs from the circuit that was given.
    """

    circuit: QuantumCircuit
    key: Hashable
    columns: list[int]
    transpiled: bool


class Estimation(NamedTuple):
    """Circuits that measure several sets of observables, ready to run together.

    Attributes:
        measured: what each circuit measures, by the set of observables.
        first: place of the first circuit of each set among all of them.
        executable: all of the circuits.
    """

    measured: dict[frozenset[str], list[Measurement]]
    first: dict[frozenset[str], int]
    executable: Executable


class FinalState(NamedTuple):
    """A circuit whose state at the end is known, and can be measured in any way.

    Attributes:
        executable: the circuit, which saves the density matrix of some qubits.
        key: stands for the circuit and its noise; None if it has no key.
        qubits: these qubits, in ascending order.
        readout: reads them.
    """

    executable: Executable
    key: Hashable | None
    qubits: Sequence[int]
    readout: Readout


class FinalShots(NamedTuple):
    """A circuit whose shots are drawn from the chances at its end.

    Attributes:
        executable: the circuit without its measurements, which saves the chances of the qubits.
        key: stands for the circuit and its noise; None if it has no key.
        drawn: draws the shots.
    """

    executable: Executable
    key: Hashable | None
    drawn: DrawnShots

    @property
    def numbers(self) -> int:
        """How many chances there are."""
        return int(2 ** len(self.drawn.bits))

    @property
    def weight(self) -> int:
        """Its memory in bytes, about."""
        return self.executable.weight + self.drawn.weight


class Piece(NamedTuple):
    """A circuit of a quantum program, or a part of it, ready to run.

    Attributes:
        executable: the circuit.
        columns: for each of its parameters, its place among those of the program's circuit.
    """

    executable: Executable
    columns: list[int]


class Divided(NamedTuple):
    """A circuit of a quantum program, ready to run.

    Attributes:
        pieces: what Aer runs.
        lone: the qubits that need no simulator; None if there are none.
    """

    pieces: list[Piece]
    lone: LoneQubits | None

    @property
    def weight(self) -> int:
        """Its memory in bytes, about."""
        lone = 0 if self.lone is None else self.lone.weight
        return lone + sum(each.executable.weight for each in self.pieces)


class Caches:
    """Everything that a worker process keeps between jobs, so that a session iterates fast.

    All are bounded by `lru_cache`, which also counts their hits and the time saved.

    Attributes:
        circuits: decoded circuits by content; independent of any device.
        targets: by name of the device.
        pass_managers: by device and optimization level.
        simulators: by device, active qubits and given noise; with their estimated bytes.
        lone_noise: of an instruction on single qubits, by device, name and block of qubits.
        runnables: circuits in a device's instruction set, by device, level and content.
        executables: circuits ready for a sampler, by runnable and given noise.
        programs: circuits of quantum programs, by device, content and whether they are whole.
        estimations: circuits ready for an estimator, by runnable, given noise and observables.
        measurements: how observables are measured, by the set of them.
        states: circuits whose final state is measured, by runnable, given noise and qubits; None
            where that cannot be.
        readouts: what reads final states, by device, active qubits and given noise.
        final_shots: circuits whose shots are drawn from the chances at their end, by runnable and
            given noise; None where that cannot be.
        arrays: the last final states and chances, by the circuit's key and the values of its
            parameters.
    """

    def __init__(self) -> None:
        self.circuits = CircuitCache()
        self.targets: LruCache[Target] = LruCache(16)
        self.pass_managers: LruCache[PassManager] = LruCache(16)
        self.simulators: LruCache[tuple[DeviceSimulator, int]] = LruCache(
            64, weigh=lambda made: made[1]
        )
        self.runnables: LruCache[Runnable] = LruCache(
            256, weigh=lambda made: weight(made.circuit) if made.transpiled else 0
        )
        self.executables: LruCache[Executable] = LruCache(128, weigh=lambda made: made.weight)
        self.lone_noise: LruCache[NoiseInAerForm] = LruCache(
            128, weigh=lambda _: QUBITS_TOGETHER * BYTES_OF_AN_ERROR
        )
        self.programs: LruCache[Divided] = LruCache(128, weigh=lambda made: made.weight)
        self.estimations: LruCache[Estimation] = LruCache(
            128, weigh=lambda made: made.executable.weight
        )
        self.measurements: LruCache[list[Measurement]] = LruCache(
            64, weigh=lambda made: BYTES_OF_A_READING * sum(len(each.readings) for each in made)
        )
        self.states: LruCache[FinalState | None] = LruCache(
            128, weigh=lambda made: made.executable.weight if made else 0
        )
        self.readouts: LruCache[Readout] = LruCache(64)
        self.final_shots: LruCache[FinalShots | None] = LruCache(
            128, weigh=lambda made: made.weight if made else 0
        )
        self.arrays: LruCache[Array] = LruCache(
            10_000, weigh=lambda made: made.nbytes, most_bytes=BYTES_OF_ARRAYS
        )
        self._catalog: Catalog | None = None
        self._stamps: dict[str, Hashable] = {}

    def _recordings(self) -> Catalog:
        if self._catalog is None:
            self._catalog = Catalog()
        return self._catalog

    def recording(self, name: str) -> Device:
        """Return a device's recording.

        Raises:
            RejectedError: for a device that does not exist.
        """
        found = self._recordings().get(name)
        if found is None:
            raise RejectedError(f"No device {name!r}.")
        return found

    def refresh(self, name: str) -> None:
        """Forget what was derived from devices if this one was calibrated since it was read."""
        recording = self._recordings().get(name)
        stamp = None if recording is None else recording.stamp
        if self._stamps.setdefault(name, stamp) != stamp:
            self.forget_devices()
            self._stamps[name] = stamp

    def forget_devices(self) -> None:
        """Forget the recordings, and all that was derived from them."""
        self._catalog = None
        self._stamps.clear()
        for each in (
            self.targets,
            self.pass_managers,
            self.simulators,
            self.lone_noise,
            self.runnables,
            self.executables,
            self.programs,
            self.estimations,
            self.states,
            self.readouts,
            self.final_shots,
            self.arrays,
        ):
            each.clear()

    def target(self, name: str) -> Target:
        """Return a device's target."""

        def make() -> Target:
            recording = self.recording(name)
            return build_target(recording.configuration, recording.properties)

        return self.targets.get(name, make)

    def pass_manager(self, name: str, level: int) -> PassManager:
        """Return what transpiles for a device at an optimization level."""

        def make() -> PassManager:
            target = self.target(name)
            if target.has_angle_bounds():
                # It tells Qiskit how to turn an rzz of any angle into one within the bounds.
                official_package.load(_ANGLES)
            return generate_preset_pass_manager(level, target=target, seed_transpiler=0)

        return self.pass_managers.get((name, level), make)

    def simulator(
        self, name: str, active: frozenset[int], given: GivenNoise | None
    ) -> DeviceSimulator:
        """Return a simulator with the noise of the active qubits at least, or a given noise."""
        target = self.target(name)
        if target.num_qubits is not None and target.num_qubits <= SMALL_DEVICE:
            active = frozenset(range(target.num_qubits))

        def make() -> tuple[DeviceSimulator, int]:
            ideal = self.recording(name).simulator
            model = None if given is None else _complete(given.model, self.target(name))
            if not ideal:
                made = device_noise.simulator(self.target(name), active, model)
            elif model is not None:
                made = device_noise.with_model(model, active)
            else:
                made = DeviceSimulator()
            noisy = not ideal or model is not None
            return made, len(active) * BYTES_OF_A_NOISY_QUBIT if noisy else 0

        key = (name, active, None if given is None else given.key)
        return self.simulators.get(key, make)[0]


caches = Caches()
"""The caches of this process: module-level state."""


class SimulatedDevice:
    """A recorded device as the programs use it.

    Args:
        name: name of the device.
        optimization_level: for circuits that are not in the device's instruction set.
        limits: of the runtime, besides the device's own.
        given: noise that replaces the device's.

    Raises:
        RejectedError: for a device that does not exist.
    """

    def __init__(
        self,
        name: str,
        optimization_level: int,
        limits: Limits = NO_LIMITS,
        given: GivenNoise | None = None,
    ) -> None:
        caches.refresh(name)
        self._limits = limits
        self.name = name
        self._level = optimization_level
        self._given = given
        self._noise_key = None if given is None else given.key
        self._target = caches.target(name)
        self._max_shots = caches.recording(name).configuration.get("max_shots")

    @property
    def target(self) -> Target:
        """Return the device's instructions and their errors."""
        return self._target

    def runnable(self, circuit: QuantumCircuit) -> Runnable:
        """Return what the device runs for a circuit; it may have been made from an equal one.

        Raises:
            RejectedError: for a circuit that the device cannot run, transpiled or not.
        """
        content = caches.circuits.key(circuit)
        if content is None:
            return self._adapted(circuit, None)
        key = (self.name, self._level, content)
        return caches.runnables.get(key, lambda: self._adapted(circuit, key))

    def _adapted(self, circuit: QuantumCircuit, key: Hashable) -> Runnable:
        """Return a circuit as it is, or transpiled if it is not in the instruction set."""
        self._check_width(circuit)
        try:
            circuit = delays_of_known_length(circuit, self._target.dt)
        except InvalidInputError as error:
            raise RejectedError(f"Circuit {circuit.name!r} cannot run: {error}.") from error
        if in_instruction_set(circuit, self._target):
            _check_classical(circuit)
            in_order = list(range(circuit.num_parameters))
            return Runnable(measure_variants.plain(circuit), key, in_order, transpiled=False)
        try:
            found = transpiled_around_delays(
                circuit, caches.pass_manager(self.name, self._level).run
            )
        except QiskitError as error:
            raise RejectedError(
                f"Circuit {circuit.name!r} cannot be transpiled for {self.name}: {error.message}"
            ) from error
        _check_classical(found)
        places = {parameter: index for index, parameter in enumerate(circuit.parameters)}
        columns = [places[each] for each in found.parameters]
        return Runnable(measure_variants.plain(found), key, columns, transpiled=True)

    def executable(self, runnable: Runnable) -> Executable:
        """Return a circuit that is ready to be sampled."""
        return caches.executables.get(
            (runnable.key, self._noise_key),
            lambda: Executable([runnable.circuit], self.simulator(runnable.circuit)),
        )

    def final_shots(self, circuit: QuantumCircuit, key: Hashable | None) -> FinalShots | None:
        """Return a circuit whose shots can be drawn from the chances at its end.

        Args:
            circuit: as the device runs it.
            key: stands for it; None if it has no key.

        Returns:
            None for a circuit that does not only measure at its end, or has random operations
            without noise; or where noise and errors of reading affect several measured qubits
            together.
        """
        if key is not None:
            key = ("shots", key, self._noise_key)

        def make() -> FinalShots | None:
            found = final_measurements.split(circuit)
            if found is None or len(found.qubits) > MOST_MEASURED:
                return None
            simulator = self.simulator(circuit)
            noise = simulator.noise
            if not noise.reads_one_by_one or not (noise.has_quantum_errors or found.unitary):
                return None
            found.preparation.save_probabilities([*found.qubits.values()], label=SAVED)
            return FinalShots(
                Executable([found.preparation], simulator),
                key,
                DrawnShots(circuit, found.qubits, noise),
            )

        return caches.final_shots.get(key, make)

    def estimation(self, runnable: Runnable, labels: Sequence[frozenset[str]]) -> Estimation:
        """Return circuits that are ready to measure each of several sets of observables."""

        def make() -> Estimation:
            measured = {each: self.measurements(each) for each in labels}
            first: dict[frozenset[str], int] = {}
            circuits: list[QuantumCircuit] = []
            for each, found in measured.items():
                first[each] = len(circuits)
                circuits += expectation.circuits(runnable.circuit, found, self._target)
            simulator = self.simulator(runnable.circuit, observed=expectation.support(*labels))
            return Estimation(measured, first, Executable(circuits, simulator))

        key = (runnable.key, self._noise_key, tuple(labels))
        return caches.estimations.get(key, make)

    def measurements(self, labels: frozenset[str]) -> list[Measurement]:
        """Return how observables are measured."""
        return caches.measurements.get(labels, lambda: expectation.measurements(labels))

    def final_state(self, runnable: Runnable, observed: frozenset[int]) -> FinalState | None:
        """Return a circuit whose final state can be measured; None where that cannot be.

        It can where the state is small, nothing is measured before, and noise and errors of reading
        affect the observed qubits one by one.
        """
        circuit = runnable.circuit
        active = observed | _active_qubits(circuit)
        key = None if runnable.key is None else (runnable.key, self._noise_key, active)

        def make() -> FinalState | None:
            simulator = caches.simulator(self.name, active, self._given)
            if (
                len(active) > MOST_QUBITS
                or not _only_prepares(circuit)
                or not simulator.noise.has_quantum_errors
                or not simulator.noise.reads_one_by_one
            ):
                return None
            qubits = sorted(active)
            saving = circuit.copy()
            saving.save_density_matrix(qubits, label=SAVED)
            return FinalState(
                Executable([saving], simulator), key, qubits, self._readout(active, simulator)
            )

        return caches.states.get(key, make)

    def _readout(self, active: frozenset[int], simulator: DeviceSimulator) -> Readout:
        return caches.readouts.get(
            (self.name, active, self._noise_key),
            lambda: Readout(expectation.Turns(self._target), simulator.noise),
        )

    def simulator(
        self, *circuits: QuantumCircuit, observed: frozenset[int] = frozenset()
    ) -> DeviceSimulator:
        """Return a simulator with the noise of the qubits that are used.

        Args:
            circuits: use the qubits on which they have instructions.
            observed: qubits that are measured besides.
        """
        active = observed.union(*map(_active_qubits, circuits))
        return caches.simulator(self.name, active, self._given)

    def errors_alone(self, uses: Iterable[Use]) -> dict[Place, Form]:
        """Return the errors of instructions on single qubits, as superoperators, by place."""
        blocks: dict[tuple[str, int], list[Use]] = {}
        for name, qubits in uses:
            blocks.setdefault((name, qubits[0] // QUBITS_TOGETHER), []).append((name, qubits))
        found: dict[Place, Form] = {}
        for (name, block), some in blocks.items():
            found |= self.noise_alone(name, block).of(some, Shape.SUPEROP)
        return found

    def noise_alone(self, name: str, block: int) -> NoiseInAerForm:
        """Return the noise of an instruction on single qubits.

        Args:
            name: of the instruction.
            block: which `QUBITS_TOGETHER` of the qubits, from 0.
        """

        def make() -> NoiseInAerForm:
            if caches.recording(self.name).simulator:
                return NoiseInAerForm(None)
            first = block * QUBITS_TOGETHER
            qubits = range(first, first + QUBITS_TOGETHER)
            return device_noise.noise_alone(self._target, name, qubits)

        return caches.lone_noise.get((self.name, name, block), make)

    def check(self, circuit: QuantumCircuit) -> None:
        """Check that the device can run a circuit as it is.

        Raises:
            RejectedError: if it cannot.
        """
        self._check_width(circuit)
        _check_classical(circuit)
        if not in_instruction_set(circuit, self._target):
            raise RejectedError(
                f"Circuit {circuit.name!r} is not in the instruction set of {self.name}, which is "
                f"{', '.join(sorted(self._target.operation_names))}."
            )

    def _check_width(self, circuit: QuantumCircuit) -> None:
        if circuit.num_qubits > self._target.num_qubits:
            raise RejectedError(
                f"Circuit {circuit.name!r} has {circuit.num_qubits} qubits; "
                f"{self.name} has {self._target.num_qubits}."
            )
        used = len(_active_qubits(circuit))
        if self._limits.qubits and used > self._limits.qubits:
            raise RejectedError(
                f"Circuit {circuit.name!r} uses {used} qubits; this runtime takes "
                f"{self._limits.qubits}."
            )

    def check_shots(self, shots: int) -> None:
        """Check that the device takes a number of shots.

        Raises:
            RejectedError: if it does not.
        """
        if shots < 1:
            raise RejectedError(f"{shots} shots asked for; the least is 1.")
        if self._max_shots is not None and shots > self._max_shots:
            raise RejectedError(f"{shots} shots asked for; {self.name} takes {self._max_shots}.")
        if self._limits.shots and shots > self._limits.shots:
            raise RejectedError(
                f"{shots} shots asked for; this runtime takes {self._limits.shots}."
            )

    def checked_shots(self, precision: float, shots: int | None) -> int:
        """Return the shots of an estimate.

        Args:
            precision: standard error that is asked for.
            shots: the shots that it was worked out from; None if the precision decides.

        Raises:
            RejectedError: for a precision for which the device does not take enough shots.
        """
        if not 0 < precision < math.inf:
            raise RejectedError(
                f"Precision {precision} asked for; it has to be finite and more than 0."
            )
        if shots is not None:
            self.check_shots(shots)
            return shots
        found = shot_rules.for_precision(precision)
        for taker, most in ((self.name, self._max_shots), ("this runtime", self._limits.shots)):
            if most and found > most:
                raise RejectedError(
                    f"Precision {precision} asked for, which takes {found} shots; {taker} "
                    f"takes {most}."
                )
        return found


def _check_classical(circuit: QuantumCircuit) -> None:
    try:
        classical.check(circuit)
    except InvalidInputError as error:
        raise RejectedError(f"Circuit {circuit.name!r} cannot run: {error}.") from error


def _only_prepares(circuit: QuantumCircuit) -> bool:
    """Whether a circuit prepares a state without reading it, or depending on what was read."""
    return not any(
        each.clbits or isinstance(each.operation, ControlFlowOp) for each in circuit.data
    )


def in_instruction_set(circuit: QuantumCircuit, target: Target) -> bool:
    """Whether each instruction exists on the qubits that it is applied to."""
    return _supported(circuit, range(circuit.num_qubits), target)


def _supported(circuit: QuantumCircuit, places: Sequence[int], target: Target) -> bool:
    """Check a circuit, or a block inside one, whose qubits are at these places of the device."""
    for instruction in circuit.data:
        if instruction.name in NOT_A_GATE:
            continue
        where = tuple([places[circuit.find_bit(qubit).index] for qubit in instruction.qubits])
        if not target.instruction_supported(instruction.name, where):
            return False
        if instruction.is_standard_gate():
            # Qiskit makes an object of its operation each time that it is read.
            continue
        operation = instruction.operation
        if isinstance(operation, ControlFlowOp) and not all(
            _supported(block, where, target) for block in operation.blocks
        ):
            return False
    return True


def _active_qubits(circuit: QuantumCircuit) -> frozenset[int]:
    """Return the qubits on which a circuit has instructions."""
    return frozenset(
        circuit.find_bit(qubit).index
        for instruction in circuit.data
        if instruction.name not in NOT_A_GATE
        for qubit in instruction.qubits
    )


def _complete(model: NoiseModel, target: Target) -> NoiseModel:
    """Return a model that has every instruction of the device; those without errors are ideal."""
    copy = deepcopy(model)
    copy.add_basis_gates([each for each in target.operation_names if each not in CONTROL_FLOW])
    return copy
