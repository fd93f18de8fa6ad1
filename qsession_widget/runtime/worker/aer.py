"""Circuits in Aer's own form, kept so that only new parameter values have to be filled in.

Aer's public `run` assembles the circuits and serializes the whole noise model at every call, which
takes far longer than small circuits do. Here its inner steps are done once for each circuit, and
circuits of different jobs' pubs run in one call. Those parts of Aer are private: with a version of
Aer that is not known to have them, everything goes through `run`.
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterExpression
from qiskit.circuit.exceptions import CircuitError
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import SuperOp
from qiskit_aer import AerError, AerSimulator
from qiskit_aer.backends.aer_compiler import assemble_circuits, generate_aer_config
from qiskit_aer.backends.backend_utils import LIBRARY_DIR
from qiskit_aer.backends.controller_wrappers import AerConfig
from qiskit_aer.noise import NoiseModel, QuantumError, depolarizing_error
from scipy.linalg import blas

from qsession_widget.errors import InvalidInputError
from qsession_widget.runtime.worker import progress
from qsession_widget.runtime.worker.circuit_cache import BYTES_OF_AN_EXECUTABLE, rebindable, weight
from qsession_widget.runtime.worker.inputs import probes, seeds
from qsession_widget.runtime.worker.noise import methods
from qsession_widget.runtime.worker.noise.aer_form import NoiseInAerForm, Shape
from qsession_widget.runtime.worker.noise.device_noise import MAX_STATEVECTOR_QUBITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from qsession_widget.runtime.worker.noise.aer_form import Form, Place, Use
    from qsession_widget.runtime.worker.noise.device_noise import DeviceSimulator

    Array = NDArray[Any]
    Read = Callable[[int, Mapping[str, Any]], Any]

KNOWN_AER = ("0.17.", "0.18.")
"""Releases whose private parts are as this module expects."""

SAVED = "saved"
"""What circuits call the array that they save."""

_LONGEST_DELAY = 2**63 - 1
"""In its own unit; Qiskit and Aer count in 64 bits."""

_PARALLEL_BITS = 14
"""Aer simulates states of at least 2 to the power of this many numbers on several threads."""

MOST_OUTCOMES = 1 << 17
"""How many outcomes of runs are held at once in Aer's form: about 200 bytes each."""

_OUTCOMES_OF_A_RUN = 256
"""What else Aer keeps and returns of a run takes as much memory as so many outcomes."""

_LEAST_FOR_A_THREAD = 8
"""How many executions a thread has at least; a job's memory is that of its threads together."""

_THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1

assembles = version("qiskit-aer").startswith(KNOWN_AER)


def take_lasting_memory() -> None:
    """Let libraries for linear algebra take the memory that they keep for good.

    OpenBLAS takes 32 to 128 MiB at the first use of each of its copies, which NumPy, SciPy and Aer
    have. Within a job's limit that would count as the job's, and OpenBLAS ends the process where
    it fails.
    """
    matrix = np.eye(2, dtype=complex)
    _ = matrix @ matrix
    blas.zgemm(1.0, matrix, matrix)
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    # Aer turns a superoperator into Kraus operators for a state vector, and needs it for that.
    error = SuperOp(depolarizing_error(0.1, 1)).to_instruction()
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(QuantumError([(error, 1.0)]), "x")
    simulator = AerSimulator(method="statevector", noise_model=noise)
    # Threads have memory of their own, and are kept as well.
    simulator.run([circuit] * _THREADS, shots=1, max_parallel_experiments=_THREADS).result()


class Run(NamedTuple):
    """One execution.

    Attributes:
        circuit: index of the circuit.
        values: the values of its parameters, in order.
    """

    circuit: int
    values: Sequence[float]


class Executable:
    """Circuits that run together, ready for Aer.

    Attributes:
        ran: when the last execution began and ended, in UTC.

    Args:
        circuits: in the simulator's instruction set; parameters are filled in at each execution.
        simulator: with the device's noise.
    """

    def __init__(self, circuits: Sequence[QuantumCircuit], simulator: DeviceSimulator) -> None:
        self._circuits = circuits
        self.simulator = simulator
        self.ran = (datetime.now(UTC),) * 2
        self.weight = weight(*circuits, bytes_each=BYTES_OF_AN_EXECUTABLE)
        """Estimate of its memory, in bytes."""
        self._assembled = (
            _assembled(circuits, simulator)
            if assembles and all(rebindable(each) for each in circuits)
            else None
        )

    def execute(
        self, runs: Sequence[Run], *, shots: int, seed: int | None, memory: bool
    ) -> list[dict[str, Any]]:
        """Run the circuits, and return Aer's data of each run: `counts`, and `memory` if asked for.

        With a seed the shots are those of Aer's own `run` with the bound circuits in this order.
        Without a seed, each run is a sample of its own, independent of all others.

        Raises:
            AerError: where the simulation fails.
        """
        part = Part(self, runs, lambda _number, data: data)
        (found,) = execute([part], shots=shots, seed=seed, memory=memory)
        return found

    def ready(self, runs: Sequence[Run], read: Read) -> list[_Ready] | None:
        """Return runs of circuits in Aer's form; None with a release of Aer that is not known.

        Args:
            runs: the runs.
            read: what becomes of Aer's data of each.
        """
        if not assembles:
            return None
        reads = [partial(read, number) for number in range(len(runs))]
        if self._assembled is not None:
            pairs = zip(runs, reads, strict=True)
            return [_Ready(self._assembled[run.circuit], run.values, own) for run, own in pairs]
        bound = [_bound(self._circuits[each.circuit], each.values) for each in runs]
        natives = _assembled(bound, self.simulator)
        return [_Ready(each, (), own) for each, own in zip(natives, reads, strict=True)]

    def saves_for(self, shots: int) -> bool:
        """Whether so many shots are best drawn from what its only circuit saves at its end."""
        if self._assembled is None:
            return False
        (circuit,) = self._assembled
        if not self.simulator.noise.has_quantum_errors:
            return circuit.is_small
        return circuit.ends_in_one_state and (
            circuit.fastest(shots).method == methods.DENSITY_MATRIX
        )

    def publicly(
        self, runs: Sequence[Run], *, shots: int, seed: int | None, memory: bool
    ) -> list[dict[str, Any]]:
        """Run as `execute` does, through the public interface of Aer only."""
        bound = [_bound(self._circuits[each.circuit], each.values) for each in runs]
        if seed is None and shots > seeds.STEP:
            # It is not known how Aer will run each of them, and no two may share shots.
            calls = [[each] for each in bound]
        else:
            calls = [bound] if bound else []
        found = []
        for each in calls:
            drawn = seeds.fresh() if seed is None else seed
            job = self.simulator.run(each, shots=shots, seed_simulator=drawn, memory=memory)
            result = job.result()
            if not result.success:
                raise AerError(f"the simulation failed: {result.status}")
            found += [each.data.to_dict() for each in result.results]
        return found


class Part(NamedTuple):
    """What is to run.

    Attributes:
        executable: the circuits.
        runs: of these.
        read: returns what is kept of a run, from its number and Aer's data, which take far more
            memory.
    """

    executable: Executable
    runs: Sequence[Run]
    read: Read


def execute(
    parts: Sequence[Part], *, shots: int, seed: int | None, memory: bool
) -> list[list[Any]]:
    """Run circuits of several executables, as `Executable.execute` does, in as few calls as it can.

    A long sweep takes several: as many runs at once as `MOST_OUTCOMES` allows.

    Args:
        parts: in the order in which seeds are counted.
        shots: of each run.
        seed: of the first run; each further run's is `seeds.STEP` more.
        memory: whether Aer returns each shot.

    Returns:
        What the parts have read, of each run.

    Raises:
        AerError: where a simulation fails.
    """
    if not any(each.runs for each in parts):
        for each in parts:
            each.executable.ran = (datetime.now(UTC),) * 2
        return [[] for _ in parts]
    with progress.on_device(len(parts)):
        began = datetime.now(UTC)
        found = _executed(parts, shots, seed, memory)
        for each in parts:
            each.executable.ran = began, datetime.now(UTC)
    return found


def saved(parts: Sequence[tuple[Executable, Sequence[Run]]]) -> list[list[Array]]:
    """Return the arrays that circuits save, of each run of each executable.

    Args:
        parts: the executables, each with one circuit that saves an array as `SAVED` at its end, and
            measures nothing; without noise it has gates only. And their runs.

    Raises:
        AerError: where a simulation fails.
    """
    ready: list[_Ready] = []
    counts = []
    for executable, runs in parts:
        some = executable.ready(runs, lambda _number, data: np.asarray(data[SAVED])) or []
        ready += some
        counts.append(len(some))
    found = iter(_Call(1, memory=False).saved(ready))
    return [[next(found) for _ in range(count)] for count in counts]


def _executed(parts: Sequence[Part], shots: int, seed: int | None, memory: bool) -> list[list[Any]]:
    ready: list[_Ready] = []
    counts = []
    for executable, runs, read in parts:
        some = executable.ready(runs, read)
        if some is None:
            return _publicly(parts, shots, seed, memory)
        ready += some
        counts.append(len(some))
    call = _Call(shots, memory)
    results = call.free(ready) if seed is None else call.seeded(ready, seed)
    values = iter([each.value for each in results])
    return [[next(values) for _ in range(count)] for count in counts]


def _publicly(parts: Sequence[Part], shots: int, seed: int | None, memory: bool) -> list[list[Any]]:
    found, done = [], 0
    for executable, runs, read in parts:
        own = None if seed is None else seeds.after(seed, done)
        results = executable.publicly(runs, shots=shots, seed=own, memory=memory)
        found.append([read(number, data) for number, data in enumerate(results)])
        done += len(runs)
    return found


class _Ready(NamedTuple):
    """A run of a circuit in Aer's form, and what becomes of its data."""

    circuit: _Native
    values: Sequence[float]
    read: Callable[[Mapping[str, Any]], Any]


class _Result(NamedTuple):
    """What was read of a run, and whether Aer drew its shots from one state."""

    value: Any
    at_once: bool


class _Call:
    """Runs circuits in Aer's form, those that go together in one call.

    Args:
        shots: of each run.
        memory: whether to return each shot.
    """

    def __init__(self, shots: int, memory: bool) -> None:
        self._shots = shots
        self._memory = memory

    def seeded(self, ready: Sequence[_Ready], seed: int) -> list[_Result]:
        """Return the results of runs, each with its seed."""
        found: list[_Result] = []
        for how, some in groupby(ready, lambda each: each.circuit.as_plain_aer(self._shots)):
            together = list(some)
            own = seeds.after(seed, len(found))
            results = self._run(together, own, how)
            if how.shape is Shape.SUPEROP and not _as_expected(together, results, how):
                # Aer took another method, with other random numbers. Run as plain Aer would.
                results = self._run(together, own, How(how.method, Shape.PLAIN, False))
            found += results
        return found

    def free(self, ready: Sequence[_Ready]) -> list[_Result]:
        """Return the results of runs, each a sample of its own."""
        found: dict[int, _Result] = {}
        kinds: dict[How, list[int]] = {}
        for index, each in enumerate(ready):
            kinds.setdefault(each.circuit.fastest(self._shots), []).append(index)
        for how, places in kinds.items():
            # Sort runs of one circuit next to each other, so that Aer gets the circuit only once.
            places.sort(key=lambda each: id(ready[each].circuit))
            for some in self._apart(places, how):
                together = [ready[each] for each in some]
                results = self._run(together, seeds.fresh(), how)
                as_expected = _as_expected(together, results, how)
                if not as_expected and len(some) > 1 and self._shots > seeds.STEP:
                    # Some may share shots. Now it is known which ones have to run alone.
                    results = self.free(together)
                found.update(zip(some, results, strict=True))
        return [found[index] for index in range(len(ready))]

    def saved(self, ready: Sequence[_Ready]) -> list[Array]:
        """Return the arrays that circuits save, which depend on no seed."""
        found: list[Array] = []
        for how, some in groupby(ready, lambda each: each.circuit.for_saving):
            found += [each.value for each in self._run(list(some), 0, how)]
        return found

    def _apart(self, places: list[int], how: How) -> Iterator[list[int]]:
        """Yield the runs that may be in one call, so that no two of them share shots.

        Where Aer simulates shot by shot, each shot's seed is one more than the last one's, while
        the seeds of runs that it is given together are `seeds.STEP` apart: with more shots than
        that, such runs go one by one.
        """
        if how.at_once or self._shots <= seeds.STEP:
            yield places
        else:
            yield from ([each] for each in places)

    def _run(self, ready: Sequence[_Ready], seed: int, how: How) -> list[_Result]:
        self._look_ahead(ready, how)
        found: list[_Result] = []
        for some in self._portions(ready):
            own = seeds.after(seed, len(found))
            results = self._simulated(some, self._shots, own, how)
            for each, result in zip(some, results, strict=True):
                at_once = bool(result["metadata"].get("measure_sampling"))
                found.append(_Result(each.read(result["data"]), at_once))
        return found

    def _portions(self, ready: Sequence[_Ready]) -> Iterator[Sequence[_Ready]]:
        """Yield the runs in order, as many at once as have `MOST_OUTCOMES` together."""
        first = held = 0
        for index, each in enumerate(ready):
            outcomes = self._shots
            if not self._memory:
                outcomes = min(outcomes, 2**each.circuit.compiled.num_clbits)
            more = outcomes + _OUTCOMES_OF_A_RUN
            if held and held + more > MOST_OUTCOMES:
                yield ready[first:index]
                first, held = index, 0
            held += more
        yield ready[first:]

    def _look_ahead(self, ready: Sequence[_Ready], how: How) -> None:
        """Report how long these runs will take, if that may be long and can be estimated."""
        tensors = how.method == methods.MPS
        seconds = sum(
            probes.rough_seconds(len(each.compiled.data), each.width, tensors=tensors)
            for each, *_ in ready
        )
        if seconds * (1 if how.at_once else self._shots) < probes.SUSPICIOUS_SECONDS:
            return

        def run(count: int) -> None:
            some, shots = (count, self._shots) if how.at_once else (1, count)
            self._simulated(ready[:some], shots, seeds.fresh(), how)

        if how.at_once:
            probes.tell_if_long(len(ready), "executions", run)
        else:
            probes.tell_if_long(len(ready) * self._shots, "shots", run)

    def _simulated(
        self, ready: Sequence[_Ready], shots: int, seed: int, how: How
    ) -> list[dict[str, Any]]:
        groups = _grouped(ready)
        circuits = [circuit for circuit, _ in groups]
        noise: dict[Place, Form] = {}
        for number, each in enumerate(circuits):
            each.native.circ_id = number
            noise |= each.errors(how.shape)
        simulator = circuits[0].simulator
        config = generate_aer_config(
            [each.compiled for each in circuits],
            simulator.options,
            shots=shots,
            seed_simulator=seed,
            memory=self._memory,
            method=how.method,
            parameterizations=[circuit.filled(rows) for circuit, rows in groups],
        )
        config.library_dir = LIBRARY_DIR
        if all(each.is_small for each in circuits):
            # Threads share circuits, not the work on one state: that is too little, and on a busy
            # machine one thread would wait for the other.
            threads = min(_THREADS, -(-len(ready) // _LEAST_FOR_A_THREAD))
            config.max_parallel_threads = config.max_parallel_experiments = threads
        output = simulator._controller.execute(  # noqa: SLF001 - see above
            [each.native for each in circuits], {"errors": list(noise.values())}, config
        )
        if not isinstance(output, dict) or not output.get("success"):
            status = output.get("status") if isinstance(output, dict) else output
            raise AerError(f"the simulation failed: {status}")
        results: list[dict[str, Any]] = output["results"]
        return results


def _as_expected(ready: Sequence[_Ready], results: Sequence[_Result], how: How) -> bool:
    """Whether Aer drew the shots as was expected of the circuits; learn from it if not."""
    as_expected = True
    for each, result in zip(ready, results, strict=True):
        if how.at_once and not result.at_once:
            each.circuit.ends_in_one_state = as_expected = False
    return as_expected


def _grouped(ready: Sequence[_Ready]) -> list[tuple[_Native, list[Sequence[float]]]]:
    """Group neighbouring runs of one circuit; Aer fills in all their values at once."""
    groups: list[tuple[_Native, list[Sequence[float]]]] = []
    for circuit, values, _ in ready:
        if groups and groups[-1][0] is circuit:
            groups[-1][1].append(values)
        else:
            groups.append((circuit, [values]))
    return groups


def _assembled(circuits: Sequence[QuantumCircuit], simulator: DeviceSimulator) -> list[_Native]:
    """Return circuits in Aer's form."""
    # Flattens control flow, and turns the noise of delays into instructions.
    given = {} if simulator.delays is None else {"noise_model": simulator.delays}
    compiled, model = simulator._compile(list(circuits), **given)  # noqa: SLF001 - see above
    of_delays = None if model is None or not given else NoiseInAerForm(model)
    # As in `run`: a simulator without a device takes every instruction of Aer.
    of_device = simulator._target is not None  # noqa: SLF001 - see above
    basis = simulator.configuration().basis_gates if of_device else None
    natives, places = assemble_circuits(compiled, basis)
    return [
        _Native(circuit, each, native, where, simulator=simulator, of_delays=of_delays)
        for circuit, each, native, where in zip(circuits, compiled, natives, places, strict=True)
    ]


class How(NamedTuple):
    """How Aer is to simulate: circuits of one call have this in common.

    Attributes:
        method: its method.
        shape: what errors are given as.
        at_once: whether it is expected to draw all shots from one state at the circuit's end.
    """

    method: str
    shape: Shape
    at_once: bool


class _Native:
    """A circuit in Aer's own form, with its open parameters and the noise that applies to it.

    Attributes:
        compiled: the circuit as Aer takes it.
        native: the same in C++.
        simulator: runs it.
        noise: of the simulator.
        width: how many qubits it uses.
        ends_in_one_state: whether its shots can be drawn from the state at its end, without noise
            or from a density matrix.
    """

    def __init__(
        self,
        circuit: QuantumCircuit,
        compiled: QuantumCircuit,
        native: Any,
        places: Sequence[int],
        *,
        simulator: DeviceSimulator,
        of_delays: NoiseInAerForm | None,
    ) -> None:
        self.compiled = compiled
        self.native = native
        self.simulator = simulator
        self.noise = simulator.noise
        self._of_delays = of_delays
        self._parameters = list(circuit.parameters)
        self._blanks = _blanks(compiled, places)
        self._uses, self.ends_in_one_state = _read(compiled)
        self.width = len({qubit for _, qubits in self._uses for qubit in qubits})
        self._errors: dict[Shape, dict[Place, Form]] = {}
        self._noisy = sum(each.name not in _FREE for each in compiled.data)
        self._bond: int | None = None

    def errors(self, shape: Shape) -> dict[Place, Form]:
        """Return the errors that apply to it, by place."""
        found = self._errors.get(shape)
        if found is None:
            found = self.noise.of(self._uses, shape)
            if self._of_delays is not None:
                found = found | self._of_delays.of(self._uses, shape)
            self._errors[shape] = found
        return found

    @property
    def is_small(self) -> bool:
        """Whether Aer has no use for threads: state vector and density matrix are both small."""
        return self.width * (2 if self.noise.has_quantum_errors else 1) < _PARALLEL_BITS

    def as_plain_aer(self, shots: int) -> How:
        """Return how Aer itself would simulate, so that a seed gives the same shots.

        For circuits that are too large for Aer's own choice it is the fastest method, as without a
        seed.
        """
        noisy = self.noise.has_quantum_errors
        if self.width > MAX_STATEVECTOR_QUBITS:
            method = self._method(shots, dense=False) if noisy else self._default
            return How(method, Shape.PLAIN, False)
        if not noisy:
            return How(methods.AUTOMATIC, Shape.PLAIN, self.ends_in_one_state)
        dense = self.ends_in_one_state and shots > 2**self.width
        return How(methods.AUTOMATIC, Shape.SUPEROP if dense else Shape.PLAIN, dense)

    @property
    def for_saving(self) -> How:
        """How its state at the end is simulated, if it is small."""
        if self.noise.has_quantum_errors:
            return How(methods.DENSITY_MATRIX, Shape.SUPEROP, True)
        return How(methods.STATEVECTOR, Shape.PLAIN, True)

    def fastest(self, shots: int) -> How:
        """Return how its shots are simulated in the least time."""
        if not self.noise.has_quantum_errors:
            wide = self.width > MAX_STATEVECTOR_QUBITS
            method = self._default if wide else methods.AUTOMATIC
            return How(method, Shape.PLAIN, self.ends_in_one_state)
        method = self._method(shots, dense=self.ends_in_one_state)
        if method == methods.DENSITY_MATRIX:
            return How(method, Shape.SUPEROP, True)
        few = self._noisy <= _MOST_GATES_FOR_KRAUS
        if self.noise.needs_kraus:
            return How(method, Shape.KRAUS if few else Shape.PLAIN, False)
        if method == methods.STATEVECTOR and self.width <= MAX_STATEVECTOR_QUBITS:
            # Aer may know a faster way where gates and noise are Clifford.
            narrow = self.width <= _MOST_FOR_KRAUS and not _may_be_clifford(self.compiled)
            return How(methods.AUTOMATIC, Shape.KRAUS if narrow and few else Shape.PLAIN, False)
        return How(method, Shape.PLAIN, False)

    @property
    def _default(self) -> str:
        return str(self.simulator.options.method)

    def _method(self, shots: int, *, dense: bool) -> str:
        cost = methods.Cost(self.width, len(self.compiled.data), self._noisy, dense)
        return cost.method(shots, self._largest_bond)

    def _largest_bond(self) -> int:
        if self._bond is None:
            # With a seed, shots may not depend on the values that came first.
            values = [_ANY_ANGLE] * len(self.compiled.parameters)
            self._bond = methods.largest_bond(_bound(self.compiled, values))
        return self._bond

    def filled(self, rows: Sequence[Sequence[float]]) -> list[Any]:
        """Return the value of each blank in each run, as Aer's `run` would compute it."""
        if not self._blanks:
            # Aer copies a circuit to fill in parameters, but modifies one without parameters.
            return [[_PHASE, [float(self.compiled.global_phase)] * len(rows)]]
        binds = [dict(zip(self._parameters, row, strict=True)) for row in rows]
        return [[place, [value.of(each) for each in binds]] for place, value in self._blanks]


_ANY_ANGLE = 1.0
"""Stands for the values of parameters where only the entanglement matters."""

_FREE = frozenset({"rz", "barrier"})
"""Instructions that no noise follows on any device."""

_MOST_FOR_KRAUS = 8
"""On more qubits drawing one of an error's many circuits is faster than its Kraus operators."""

_MOST_GATES_FOR_KRAUS = 1_000
"""Aer keeps several copies of a circuit with all Kraus operators, 4 kB for a gate of two qubits."""

_QUARTER = math.pi / 2
_CLIFFORD = frozenset(
    {"id", "x", "y", "z", "h", "s", "sdg", "sx", "sxdg", "cx", "cy", "cz", "swap"}
)
_ANGLES = 1e-6


def _may_be_clifford(circuit: QuantumCircuit) -> bool:
    """Whether a circuit has no gate that Aer's stabilizer method cannot simulate."""
    return all(
        instruction.name in _CLIFFORD
        or not instruction.is_standard_gate()
        or (instruction.name == "rz" and _is_quarter(instruction.params[0]))
        for instruction in circuit.data
    )


def _is_quarter(angle: float | ParameterExpression) -> bool:
    if isinstance(angle, ParameterExpression):
        return False
    turns = angle / _QUARTER
    return bool(abs(turns - round(turns)) < _ANGLES)


_PHASE = (int(AerConfig.GLOBAL_PHASE_POS), -1)
"""Place of the global phase among a circuit's parameters."""


def _read(circuit: QuantumCircuit) -> tuple[list[Use], bool]:
    """Return the instructions of a circuit without control flow that noise may follow.

    Returns:
        The instructions, by name as well as by label; and whether all shots can be drawn from the
        state at the end: no qubit is used after it was measured, and nothing depends on a bit.
    """
    places = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    uses: dict[Use, None] = {}
    measured: set[int] = set()
    at_once = True
    for instruction in circuit.data:
        name = instruction.name
        if name == "barrier":
            continue
        qubits = tuple([places[each] for each in instruction.qubits])
        uses[name, qubits] = None
        if instruction.label is not None:
            uses[instruction.label, qubits] = None
        if name == "measure":
            measured.update(qubits)
        elif name in _FLOW or not measured.isdisjoint(qubits):
            at_once = False
    return list(uses), at_once


_FLOW = frozenset({"jump", "mark", "store", "aer_store"})
"""The instructions to which Aer compiles control flow."""


class _Value(NamedTuple):
    """A value that depends on parameters."""

    expression: ParameterExpression
    parameters: tuple[Parameter, ...]

    def of(self, binds: dict[Parameter, float]) -> float:
        if isinstance(self.expression, Parameter):
            return binds[self.expression]
        needed = {parameter: binds[parameter] for parameter in self.parameters}
        with _binding():
            return float(self.expression.bind(needed))


def _blanks(circuit: QuantumCircuit, places: Sequence[int]) -> list[tuple[tuple[int, int], _Value]]:
    """Return the places that depend on parameters: which instruction, and which of its values.

    Args:
        circuit: the circuit.
        places: of its instructions among those of Aer's form of it; empty if they are the same.
    """
    found = [(_PHASE, circuit.global_phase)]
    for index, instruction in enumerate(circuit.data):
        where = places[index] if places else index
        found += [((where, number), each) for number, each in enumerate(instruction.params)]
    return [
        (place, _Value(value, tuple(value.parameters)))
        for place, value in found
        if isinstance(value, ParameterExpression) and value.parameters
    ]


def _bound(circuit: QuantumCircuit, values: Sequence[float]) -> QuantumCircuit:
    if not circuit.parameters:
        return circuit.copy()
    with _binding():
        found = circuit.assign_parameters(list(values))
    _check_delays(found)
    return found


def _check_delays(circuit: QuantumCircuit) -> None:
    """Refuse lengths that no delay can have: Qiskit checks them only when a delay is read."""
    for instruction in circuit.data:
        if instruction.is_standard_gate():
            continue
        try:
            operation = instruction.operation
        except CircuitError as error:
            raise InvalidInputError(
                "a delay cannot have the length that the parameters' values give it; allowed are "
                f"lengths from 0, in whole numbers where the unit is dt ({error.message})"
            ) from error
        if instruction.name == "delay" and instruction.params[0] > _LONGEST_DELAY:
            raise InvalidInputError(
                f"a delay has the length {instruction.params[0]} {operation.unit} with the "
                f"parameters' values; allowed are lengths up to {_LONGEST_DELAY}"
            )
        for block in getattr(operation, "blocks", ()):
            _check_delays(block)


@contextmanager
def _binding() -> Iterator[None]:
    """Explain the error where an expression of parameters has no value."""
    try:
        yield
    except (QiskitError, ArithmeticError, ValueError, TypeError, RuntimeError) as error:
        reason = getattr(error, "message", None) or error
        raise InvalidInputError(
            "the circuit has no finite real value somewhere with the parameters' values that were "
            f"given: {reason}"
        ) from error
