"""Runs a program on Aer, with the noise of the device. Lives in a worker process.

The payload is decoded here and nowhere else in the runtime, since it comes from a user.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from copy import deepcopy
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit.circuit import ControlFlowOp, QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.primitives import PubResult, SamplerPubResult
from qiskit.primitives.containers.data_bin import DataBin
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import PassManager, Target, generate_preset_pass_manager
from qiskit_aer import AerSimulator

from qsession_widget.errors import CodecError, InvalidInputError
from qsession_widget.runtime.device_catalog import Catalog
from qsession_widget.runtime.device_catalog import Device as Recording
from qsession_widget.runtime.worker import (
    bit_arrays,
    classical,
    expectation,
    measure_variants,
    progress,
)
from qsession_widget.runtime.worker import shots as shot_rules
from qsession_widget.runtime.worker.aer import Executable, Run
from qsession_widget.runtime.worker.circuit_cache import (
    BYTES_OF_A_NOISY_QUBIT,
    CircuitCache,
    weight,
)
from qsession_widget.runtime.worker.limits import NO_LIMITS
from qsession_widget.runtime.worker.lru_cache import LruCache
from qsession_widget.runtime.worker.noise import device_noise, given_noise
from qsession_widget.runtime.worker.seeds import MAX_SEED, Seeds
from qsession_widget.wire import codec, execution_spans, ignored_options
from qsession_widget.wire.execution_spans import Span
from qsession_widget.wire.fields import CLASSIFIED, EXTRA
from qsession_widget.wire.observables import read
from qsession_widget.wire.portable_circuits import delays_of_known_length, transpiled_around_delays
from qsession_widget.wire.target import CONTROL_FLOW, build_target

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from qiskit_aer.noise import NoiseModel

    from qsession_widget.runtime.worker.limits import Limits
    from qsession_widget.runtime.worker.noise.given_noise import GivenNoise

NOT_A_GATE = frozenset({"barrier"})

OPAQUE_TYPES = ("_json", "settings", given_noise.TAG)
"""How the noise learner's results are tagged, which an estimator's options may hold, and a model of
noise, which is read where its option is."""


GROUPS = ("simulator", "execution", "twirling", "resilience", "dynamical_decoupling")
"""Options that hold options."""


class RejectedError(Exception):
    """The job cannot run as it is; the message becomes its reason."""


class Outcome(NamedTuple):
    """A finished program: its encoded result, and how long the simulation took."""

    result: str
    busy_seconds: float


class Runnable(NamedTuple):
    """A circuit as the device runs it.

    Attributes:
        circuit: in the device's instruction set.
        key: what the caches know it by.
        columns: place of each of its parameters among those of the circuit that was given.
        transpiled: whether it is another one than was given.
    """

    circuit: QuantumCircuit
    key: Hashable
    columns: list[int]
    transpiled: bool


class Estimation(NamedTuple):
    """Circuits that measure observables, by the set of observables, and their place together."""

    groups: dict[frozenset[str], list[expectation.Group]]
    first: dict[frozenset[str], int]
    prepared: Executable


_calibrations: dict[str, Hashable] = {}
_circuits = CircuitCache()
_targets: LruCache[Target] = LruCache(16)
_managers: LruCache[PassManager] = LruCache(16)
_simulators: LruCache[tuple[AerSimulator, int]] = LruCache(64, weigh=lambda made: made[1])
_runnable: LruCache[Runnable] = LruCache(
    256, weigh=lambda made: weight(made.circuit) if made.transpiled else 0
)
_prepared: LruCache[Executable] = LruCache(128, weigh=lambda made: made.weight)
_estimations: LruCache[Estimation] = LruCache(128, weigh=lambda made: made.prepared.weight)


def run(
    program_id: str,
    params: str,
    backend: str,
    *,
    optimization_level: int,
    on_interim: Callable[[str], None],
    limits: Limits = NO_LIMITS,
) -> Outcome:
    """Run a sampler or estimator program.

    Args:
        program_id: "sampler" or "estimator".
        params: JSON text of the job's `params`.
        backend: name of the device.
        optimization_level: for circuits that are not in the device's instruction set.
        on_interim: is given each pub's encoded result, but the last one's, as soon as it is there.
        limits: of the runtime, besides the device's own.

    Raises:
        RejectedError: for a payload that cannot be read or run on this device.
    """
    _circuits.release()
    try:
        inputs = codec.loads(
            params,
            circuit=_circuits.decode,
            opaque=OPAQUE_TYPES,
            most_bytes=codec.MOST_UNPACKED_BYTES,
        )
    except CodecError as error:
        raise RejectedError(f"The job's params cannot be read: {error}") from error
    if not isinstance(inputs, dict):
        raise RejectedError(f"params is {inputs!r:.80}; it has to be an object.")
    pubs, options = inputs.get("pubs"), inputs.get("options") or {}
    if not isinstance(pubs, list) or not pubs:
        raise RejectedError(f"pubs is {pubs!r:.80}; it has to be a list of at least one pub.")
    _check_groups(options)
    try:
        shot_rules.check(options)
        given = given_noise.read((options.get("simulator") or {}).get("noise_model"))
    except InvalidInputError as error:
        raise RejectedError(str(error)) from error
    meas_type = (options.get("execution") or {}).get("meas_type")
    if program_id == "sampler" and meas_type not in (None, CLASSIFIED):
        raise RejectedError(
            f"options.execution.meas_type is {meas_type!r:.80}; this runtime gives {CLASSIFIED!r} "
            "results only."
        )
    runners = {"sampler": _sample, "estimator": _estimate}
    progress.expect(len(pubs))
    started = time.perf_counter()
    results, taken = [], []
    device = Device(backend, optimization_level, limits, given)
    try:
        for result, span in runners[program_id](pubs, options, device):
            results.append(codec.dumps(result))
            taken.append(span)
            if len(results) < len(pubs):
                # The last one comes with the end of the job.
                on_interim(results[-1])
    except InvalidInputError as error:
        raise RejectedError(f"Pub {len(results)} cannot run: {error}.") from error
    busy_seconds = time.perf_counter() - started
    metadata = _metadata(options, ignored_options.names(program_id, inputs))
    if program_id == "sampler":
        metadata["execution"] = {"execution_spans": execution_spans.document(taken)}
    return Outcome(codec.joined(results, metadata=metadata), busy_seconds)


def _check_groups(options: Any) -> None:
    """Refuse options that are no objects with names, and groups of them that are none."""
    if not isinstance(options, dict):
        raise RejectedError(f"options is {options!r:.80}; options are objects with names.")
    for name in GROUPS:
        group = options.get(name)
        if group is not None and not isinstance(group, dict):
            raise RejectedError(f"options.{name} is {group!r:.80}; it has to be an object.")


def warm(backend: str) -> None:
    """Make ready for jobs on a device: what describes it, and Aer, by a job of one shot.

    Not for bare circuits: Qiskit imports all of its plugins for them, which takes more than a
    second, and a job that comes meanwhile would have to wait for what it may not need.
    """
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    device = Device(backend, optimization_level=1)
    device.sampling(device.runnable(circuit)).execute([Run(0, ())], shots=1, seed=None, memory=True)


def _metadata(options: dict[str, Any], ignored: list[str]) -> dict[str, Any]:
    """Describe how the job was run; as on IBM's side, with the noise model that was given.

    Args:
        options: of the job.
        ignored: names of those that changed nothing.
    """
    found: dict[str, Any] = {"version": 2}
    resilience = options.get("resilience")
    learned = resilience.get("layer_noise_model") if isinstance(resilience, dict) else None
    if learned is not None:
        unused = {"zne_mitigation": False, "pec_mitigation": False}
        found["resilience"] = {**unused, "layer_noise_model": learned}
    if ignored:
        found[EXTRA] = {"ignored_options": ignored}
    return found


class Device:
    """A device as the programs below use it."""

    def __init__(
        self,
        name: str,
        optimization_level: int,
        limits: Limits = NO_LIMITS,
        given: GivenNoise | None = None,
    ) -> None:
        """Take a device.

        Args:
            name: of the device.
            optimization_level: for circuits that are not in the device's instruction set.
            limits: of the runtime, besides the device's own.
            given: noise that takes the place of the device's.
        """
        _forget_if_recalibrated(name)
        self._limits = limits
        self.name = name
        self._level = optimization_level
        self._given = given
        self._noise_key = None if given is None else given.key
        self._target = _target(name)
        self._max_shots = _device(name).configuration.get("max_shots")

    @property
    def target(self) -> Target:
        """What the device can do, and how badly."""
        return self._target

    def prepare(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Give a circuit that the device can run: the same, or transpiled."""
        return self._prepare(circuit, None).circuit

    def runnable(self, circuit: QuantumCircuit) -> Runnable:
        """Give what the device runs for a circuit; what it gives may come from an equal one."""
        content = _circuits.key(circuit)
        if content is None:
            return self._prepare(circuit, None)
        key = (self.name, self._level, content)
        return _runnable.get(key, lambda: self._prepare(circuit, key))

    def _prepare(self, circuit: QuantumCircuit, key: Hashable) -> Runnable:
        self._check_width(circuit)
        try:
            circuit = delays_of_known_length(circuit, self._target.dt)
        except InvalidInputError as error:
            raise RejectedError(f"Circuit {circuit.name!r} cannot run: {error}.") from error
        if _in_instruction_set(circuit, self._target):
            _check_classical(circuit)
            in_order = list(range(circuit.num_parameters))
            return Runnable(measure_variants.plain(circuit), key, in_order, transpiled=False)
        try:
            found = transpiled_around_delays(circuit, _pass_manager(self.name, self._level).run)
        except QiskitError as error:
            raise RejectedError(
                f"Circuit {circuit.name!r} cannot be transpiled for {self.name}: {error.message}"
            ) from error
        _check_classical(found)
        places = {parameter: index for index, parameter in enumerate(circuit.parameters)}
        columns = [places[each] for each in found.parameters]
        return Runnable(measure_variants.plain(found), key, columns, transpiled=True)

    def sampling(self, runnable: Runnable) -> Executable:
        """Give a circuit ready to be sampled."""
        return _prepared.get(
            (runnable.key, self._noise_key),
            lambda: Executable([runnable.circuit], self.simulator(runnable.circuit)),
        )

    def estimation(self, runnable: Runnable, labels: Sequence[frozenset[str]]) -> Estimation:
        """Give circuits ready to measure each of some sets of observables."""

        def make() -> Estimation:
            groups = {
                each: expectation.groups(runnable.circuit, each, self._target) for each in labels
            }
            first: dict[frozenset[str], int] = {}
            circuits: list[QuantumCircuit] = []
            for each, found in groups.items():
                first[each] = len(circuits)
                circuits += [group.circuit for group in found]
            support = frozenset(
                place
                for label in frozenset().union(*labels)
                for place, pauli in enumerate(reversed(label))
                if pauli != "I"
            )
            simulator = self.simulator(runnable.circuit, observed=support)
            return Estimation(groups, first, Executable(circuits, simulator))

        return _estimations.get((runnable.key, self._noise_key, tuple(labels)), make)

    def check(self, circuit: QuantumCircuit) -> None:
        """Refuse a circuit that the device cannot run as it is."""
        self._check_width(circuit)
        _check_classical(circuit)
        if not _in_instruction_set(circuit, self._target):
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
        """Refuse a number of shots that the device does not take."""
        if shots < 1:
            raise RejectedError(f"{shots} shots asked for; the least is 1.")
        if self._max_shots is not None and shots > self._max_shots:
            raise RejectedError(f"{shots} shots asked for; {self.name} takes {self._max_shots}.")
        if self._limits.shots and shots > self._limits.shots:
            raise RejectedError(
                f"{shots} shots asked for; this runtime takes {self._limits.shots}."
            )

    def checked_shots(self, precision: float, shots: int | None) -> int:
        """Give the shots of an estimate.

        Args:
            precision: standard error that is asked for.
            shots: those that it was worked out from; None where the precision decides.

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

    def simulator(
        self, *circuits: QuantumCircuit, observed: frozenset[int] = frozenset()
    ) -> AerSimulator:
        """Give a simulator with the noise of the qubits that are used.

        Args:
            circuits: use the qubits on which they have instructions.
            observed: qubits that are measured besides.
        """
        active = observed.union(*map(_active_qubits, circuits))
        return _simulator(self.name, active, self._given)


def _active_qubits(circuit: QuantumCircuit) -> frozenset[int]:
    """Give the qubits on which a circuit has instructions."""
    return frozenset(
        circuit.find_bit(qubit).index
        for instruction in circuit.data
        if instruction.operation.name not in NOT_A_GATE
        for qubit in instruction.qubits
    )


def _sample(
    pubs: list[Any], options: dict[str, Any], device: Device
) -> Iterator[tuple[PubResult, Span]]:
    seeds = Seeds(_seed(options))
    for raw in pubs:
        circuit, values, shots = _parts(raw, 3)
        if shots is None:
            shots = shot_rules.default(options)
        with _reading_pub():
            pub = SamplerPub.coerce((circuit, values), shots)
        bit_arrays.check_names(pub.circuit)
        device.check_shots(pub.shots)
        runnable = device.runnable(pub.circuit)
        classical.check_loops(runnable.circuit)
        prepared = device.sampling(runnable)
        results = prepared.execute(
            [Run(0, row) for row in _rows(pub, runnable)],
            shots=pub.shots,
            seed=seeds.take(math.prod(pub.shape)),
            memory=True,
        )
        memories = [each.get("memory", []) for each in results]
        read = bit_arrays.registers(runnable.circuit, memories, pub.shape, pub.shots)
        result = SamplerPubResult(
            DataBin(**read, shape=pub.shape),
            metadata={"shots": pub.shots, "circuit_metadata": pub.circuit.metadata},
        )
        yield result, Span(*prepared.ran, (*pub.shape, pub.shots))


def _estimate(
    pubs: list[Any], options: dict[str, Any], device: Device
) -> Iterator[tuple[PubResult, Span]]:
    seeds = Seeds(_seed(options))
    for raw in pubs:
        circuit, observables, values, precision = _parts(raw, 4)
        shots = None
        if precision is None:
            shots = shot_rules.default(options)
            precision = _target_precision(shots, options)
        with _reading_pub():
            pub = EstimatorPub.coerce((circuit, read(observables), values), precision)
        if not all(
            np.all(np.isfinite(each.coeffs))
            for each in pub.observables.sparse_observables_array().ravel()
        ):
            raise RejectedError("An observable's coefficient is not finite.")
        shots = device.checked_shots(pub.precision, shots)
        runnable = device.runnable(pub.circuit)
        if runnable.transpiled:
            laid_out = pub.observables.apply_layout(runnable.circuit.layout)
            pub = EstimatorPub(pub.circuit, laid_out, pub.parameter_values, pub.precision, False)
        yield _estimated(pub, runnable, device, shots, seeds)


def _estimated(
    pub: EstimatorPub, runnable: Runnable, device: Device, shots: int, seeds: Seeds
) -> tuple[PubResult, Span]:
    metadata = {
        "target_precision": pub.precision,
        "shots": shots,
        "circuit_metadata": pub.circuit.metadata,
    }
    if 0 in pub.shape:
        nothing = np.zeros(pub.shape)
        empty = PubResult(DataBin(evs=nothing, stds=nothing.copy(), shape=pub.shape), metadata)
        return empty, Span(*(datetime.now(UTC),) * 2, (*pub.shape, shots))
    wanted, where, observables = expectation.wanted(pub)
    estimation = device.estimation(runnable, list(dict.fromkeys(wanted.values())))
    rows = dict(zip(np.ndindex(pub.parameter_values.shape), _rows(pub, runnable), strict=True))
    plan = [
        (index, number, group)
        for index, labels in wanted.items()
        for number, group in enumerate(estimation.groups[labels], estimation.first[labels])
    ]
    results = estimation.prepared.execute(
        [Run(number, rows[index]) for index, number, _ in plan],
        shots=shots,
        seed=seeds.take(len(plan)),
        memory=False,
    )
    found = {
        (index, label): value
        for (index, _, group), result in zip(plan, results, strict=True)
        for label, value in group.estimate(result["counts"]).items()
    }
    means, spreads = expectation.combined(where, observables, found)
    result = PubResult(
        DataBin(evs=means, stds=np.asarray(spreads / math.sqrt(shots)), shape=means.shape),
        metadata=metadata,
    )
    return result, Span(*estimation.prepared.ran, (*means.shape, shots))


def _rows(pub: SamplerPub | EstimatorPub, runnable: Runnable) -> list[list[float]]:
    """Give the values of a circuit's parameters for each of its runs."""
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    if not np.all(np.isfinite(values)):
        raise RejectedError(
            "A parameter has the value nan or infinity; allowed are finite numbers."
        )
    rows = values.reshape(math.prod(pub.parameter_values.shape), pub.circuit.num_parameters)
    found: list[list[float]] = rows[:, runnable.columns].tolist()
    return found


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


def _seed(options: dict[str, Any]) -> int | None:
    """Give the seed that the user asked for; None for none."""
    of_simulator = (options.get("simulator") or {}).get("seed_simulator")
    found = checked_seed("simulator.seed_simulator", of_simulator)
    other = checked_seed("seed_estimator", options.get("seed_estimator"))
    return other if found is None else found


def checked_seed(name: str, seed: Any) -> int | None:
    """Give a seed as it is, None for none.

    Args:
        name: of the option that it stands in.
        seed: its value.

    Raises:
        RejectedError: for what is no seed.
    """
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise RejectedError(
            f"options.{name} is {seed!r:.80}; it has to be a whole number of 0 to {MAX_SEED}."
        )
    return seed


def _target_precision(shots: int, options: dict[str, Any]) -> float:
    """Give the precision that a result names: what was asked for, where that decided the shots."""
    asked = options.get("default_precision")
    if asked is not None and shots == shot_rules.for_precision(asked):
        return float(asked)
    return 1 / math.sqrt(shots)


def _check_classical(circuit: QuantumCircuit) -> None:
    try:
        classical.check(circuit)
    except InvalidInputError as error:
        raise RejectedError(f"Circuit {circuit.name!r} cannot run: {error}.") from error


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
def _catalog() -> Catalog:
    return Catalog()


def _forget_if_recalibrated(name: str) -> None:
    """Forget all that was derived from a device's figures when they are other ones by now."""
    recording = _catalog().get(name)
    stamp = None if recording is None else recording.stamp
    if _calibrations.setdefault(name, stamp) == stamp:
        return
    _calibrations.clear()
    _calibrations[name] = stamp
    _catalog.cache_clear()
    for each in (_targets, _managers, _simulators, _runnable, _prepared, _estimations):
        each.clear()


def _target(name: str) -> Target:
    def make() -> Target:
        device = _device(name)
        return build_target(device.configuration, device.properties)

    return _targets.get(name, make)


def _device(name: str) -> Recording:
    device = _catalog().get(name)
    if device is None:
        raise RejectedError(f"No device {name!r}.")
    return device


def _pass_manager(name: str, level: int) -> PassManager:
    return _managers.get(
        (name, level),
        lambda: generate_preset_pass_manager(level, target=_target(name), seed_transpiler=0),
    )


def _simulator(name: str, active: frozenset[int], given: GivenNoise | None) -> AerSimulator:
    """Give a simulator with the noise of the active qubits, or with that which was given."""

    def make() -> tuple[AerSimulator, int]:
        model = None if given is None else _complete(given.model, _target(name))
        if _device(name).simulator:
            made = AerSimulator() if model is None else device_noise.with_model(model, active)
        else:
            made = device_noise.simulator(_target(name), active, model)
        noisy = not _device(name).simulator or model is not None
        return made, len(active) * BYTES_OF_A_NOISY_QUBIT if noisy else 0

    key = (name, active, None if given is None else given.key)
    return _simulators.get(key, make)[0]


def _complete(model: NoiseModel, target: Target) -> NoiseModel:
    """Let a model take every instruction of the device: those without an error are ideal in it."""
    copy = deepcopy(model)
    copy.add_basis_gates([each for each in target.operation_names if each not in CONTROL_FLOW])
    return copy
