"""The loops that people write, each as a table of `benchmarks.iterate`.

In each round every contestant gets the same work: the same circuit, values and shots. Peers bind
the circuits themselves where their interface takes no values. All sampled distributions are
compared with those of the official local mode, whose noise is that of the same record.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, generate_preset_pass_manager
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import real_amplitudes
from qiskit.primitives import BackendEstimatorV2
from qiskit.quantum_info import SparsePauliOp, random_pauli_list
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError
from qiskit_ibm_runtime import EstimatorV2, SamplerV2, fake_provider
from qiskit_ibm_runtime import Session as OfficialSession

from qsession_widget import Estimator, Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.measure import Samples
    from qsession_widget import Session

SHOTS = 1024
PRECISION = 1 / math.sqrt(SHOTS)
OURS = "ours, through HTTP"
IN_A_ROW = "ours, five in a row"
OFFICIAL = "official local mode"
RAW = "raw AerSimulator.run"
BACKEND_PRIMITIVE = "Qiskit's Backend primitive"
MPS = "raw Aer, matrix product states"

SMALL, LARGE, IDEAL = "fake_manila", "fake_sherbrooke", "aer_simulator"
SEED = 1234
WARM_UP = 2
IN_ONE_ROW = 5
LEAST_FOR_A_ROW = 20
"""Loops with fewer rounds are too slow for five calls in a round."""

MOST_SIGMA = 5.0
"""A difference of more standard deviations than this is a fault."""

COMMON = 20
"""Outcomes that occur less often than this are pooled."""

WIDE = 10
"""For registers with more bits only the number of ones is compared: no outcome occurs twice."""


class Work(NamedTuple):
    """What a sampler is given in one round.

    Attributes:
        pubs: circuits and the values of their parameters.
        shots: of each.
    """

    pubs: Sequence[tuple[QuantumCircuit, Any]]
    shots: int = SHOTS


class Question(NamedTuple):
    """What an estimator is given in one round: a circuit, an observable, and parameters' values."""

    circuit: QuantumCircuit
    observable: SparsePauliOp
    values: Any


@dataclass(frozen=True)
class Loop:
    """A loop, as each contestant runs it.

    Attributes:
        title: what the table is called.
        device: where it runs.
        work: makes the input of a round, a `Work` or a `Question`, from the round's number.
        rounds: how many.
        goals: by peer, the largest ratio of our time to that peer's.
        seed: of the simulator; the shots are then compared with raw Aer's one by one.
        level: transpile in each round at this level; None if circuits are in the instruction set.
        peers: which contestants there are beside ours.
        most_ms: how long ours may take, where no peer would finish.
    """

    title: str
    device: str
    work: Callable[[int], Any]
    rounds: int
    goals: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    level: int | None = None
    peers: Sequence[str] = (OFFICIAL, RAW)
    most_ms: float | None = None

    @property
    def estimates(self) -> bool:
        """Whether it is an estimator's."""
        return BACKEND_PRIMITIVE in self.peers


@cache
def official_device(name: str) -> Any:
    """Return the fake provider's device, or the simulator."""
    if name == IDEAL:
        return AerSimulator()
    words = "".join(map(str.title, name.split("_")))
    newer = getattr(fake_provider, f"{words}V2", None)
    return (newer or getattr(fake_provider, words))()


@cache
def plain_simulator(name: str, method: str = "automatic") -> AerSimulator:
    """Return Aer with the whole device's noise, as it is recorded.

    Aer itself would take one readout error for each qubit, where two are recorded.
    """
    if name == IDEAL:
        return AerSimulator(method=method)
    device = official_device(name)
    model = NoiseModel.from_backend(device, readout_error=False)
    for qubit, (zero, one) in enumerate(_readout(device)):
        model.add_readout_error(ReadoutError([[1 - zero, zero], [one, 1 - one]]), [qubit])
    return AerSimulator.from_backend(device, noise_model=model, method=method)


def _readout(device: Any) -> list[tuple[float, float]]:
    """Return for each qubit how often a 0 is read as 1, and a 1 as 0."""
    properties = device.properties()
    return [
        (
            properties.qubit_property(qubit, "prob_meas1_prep0")[0],
            properties.qubit_property(qubit, "prob_meas0_prep1")[0],
        )
        for qubit in range(device.num_qubits)
    ]


@cache
def transpiler(name: str, level: int) -> Any:
    """Return what transpiles for a device, once: a peer does not have to build it in each round."""
    return generate_preset_pass_manager(level, backend=official_device(name), seed_transpiler=0)


# -- the input of a round --------------------------------------------------------------------


def _random(number: int, *more: int) -> np.random.Generator:
    return np.random.default_rng([7, number + 100, *more])


@cache
def _isa(device: str, qubits: int, measured: bool = True) -> QuantumCircuit:
    circuit = real_amplitudes(qubits, reps=2)
    if measured:
        circuit.measure_all()
    return transpiler(device, 1).run(circuit)


def _values(circuit: QuantumCircuit, number: int) -> Any:
    return _random(number).uniform(0, math.tau, circuit.num_parameters)


def _parametrised(device: str, qubits: int, shots: int, number: int) -> Work:
    circuit = _isa(device, qubits)
    return Work([(circuit, _values(circuit, number))], shots)


def _bound(device: str, qubits: int, number: int) -> Work:
    circuit = _isa(device, qubits)
    return Work([(circuit.assign_parameters(_values(circuit, number)), None)])


def _bound_bare(qubits: int, number: int) -> Work:
    circuit = real_amplitudes(qubits, reps=2)
    circuit.measure_all()
    return Work([(circuit.assign_parameters(_values(circuit, number)), None)])


@cache
def _drawn(device: str, number: int, index: int) -> QuantumCircuit:
    """Draw a circuit of five qubits in the device's instruction set; each one is different."""
    random = _random(number, index)
    circuit = QuantumCircuit(5)
    angles = ParameterVector("a", 12)
    for place in range(12):
        circuit.ry(angles[place], int(random.integers(5)))
        left = int(random.integers(4))
        circuit.cx(left, left + 1)
    circuit.measure_all()
    return transpiler(device, 1).run(circuit)


def _new(device: str, number: int) -> Work:
    circuit = _drawn(device, number, 0)
    return Work([(circuit, _values(circuit, number))])


def _hundred(device: str, number: int) -> Work:
    circuits = [_drawn(device, number, index) for index in range(100)]
    return Work([(each, _values(each, number)) for each in circuits])


def _hundred_points(device: str, number: int) -> Work:
    circuit = _isa(device, 5)
    return Work([(circuit, _random(number, index).uniform(0, 6, 15)) for index in range(100)])


def _shots(number: int) -> Work:
    return _parametrised(SMALL, 5, 1000 + 7 * (number + 10), number)


@cache
def _midway(device: str) -> QuantumCircuit:
    """Return a circuit that measures, resets and reuses a qubit, and branches on an outcome."""
    qubits = QuantumRegister(5)
    middle, last = ClassicalRegister(2, "middle"), ClassicalRegister(5, "meas")
    circuit = QuantumCircuit(qubits, middle, last)
    circuit.compose(real_amplitudes(5, reps=1, parameter_prefix="a"), qubits, inplace=True)
    circuit.measure(0, middle[0])
    circuit.reset(0)
    circuit.measure(1, middle[1])
    with circuit.if_test((middle[1], 1)):
        circuit.x(2)
    circuit.compose(real_amplitudes(5, reps=1, parameter_prefix="b"), qubits, inplace=True)
    circuit.measure(qubits, last)
    return transpiler(device, 1).run(circuit)


def _dynamic(device: str, number: int) -> Work:
    circuit = _midway(device)
    return Work([(circuit, _values(circuit, number))])


@cache
def _ghz(device: str, qubits: int) -> QuantumCircuit:
    """Return a GHZ state along the device's couplings, breadth first from its first qubit."""
    pairs = official_device(device).coupling_map.get_edges()
    circuit = QuantumCircuit(official_device(device).num_qubits, qubits)
    circuit.h(0)
    reached = [0]
    for place in reached:
        for left, right in sorted(pairs):
            other = right if left == place else left
            if place in {left, right} and other not in reached and len(reached) < qubits:
                circuit.cx(place, other)
                reached.append(other)
    circuit.measure(reached, range(qubits))
    return transpiler(device, 1).run(circuit)


def _one_ghz(device: str, qubits: int, shots: int, _number: int) -> Work:
    return Work([(_ghz(device, qubits), None)], shots)


def _laid_out(observable: SparsePauliOp, circuit: QuantumCircuit) -> SparsePauliOp:
    return observable.apply_layout(circuit.layout)


def _new_observable(number: int) -> Question:
    circuit = _isa(SMALL, 5, measured=False)
    random = _random(number)
    terms = random_pauli_list(5, 6, seed=random, phase=False)
    observable = SparsePauliOp(terms, random.uniform(0.5, 1.0, 6))
    values = np.random.default_rng(3).uniform(0, math.tau, circuit.num_parameters)
    return Question(circuit, _laid_out(observable, circuit), values)


@cache
def _hundred_terms() -> SparsePauliOp:
    random = np.random.default_rng(8)
    labels = random_pauli_list(5, 100, seed=random, phase=False)
    return SparsePauliOp(labels, random.uniform(0.5, 1.0, 100))


def _sweep(number: int) -> Question:
    circuit = _isa(SMALL, 5, measured=False)
    values = _random(number).uniform(0, math.tau, (20, circuit.num_parameters))
    return Question(circuit, _laid_out(_hundred_terms(), circuit), values)


LOOPS = (
    Loop(
        "parametrised, same circuit",
        SMALL,
        partial(_parametrised, SMALL, 5, SHOTS),
        40,
        {OFFICIAL: 1 / 15, RAW: 1 / 5},
    ),
    Loop("100 different circuits in one job", SMALL, partial(_hundred, SMALL), 6, {RAW: 0.9}),
    Loop("circuit bound before run", SMALL, partial(_bound, SMALL, 5), 30, {RAW: 1 / 3}),
    Loop("new circuit each time", SMALL, partial(_new, SMALL), 30, {RAW: 1 / 3}),
    Loop(
        "seed given",
        SMALL,
        partial(_parametrised, SMALL, 5, SHOTS),
        30,
        {RAW: 1 / 2},
        seed=SEED,
    ),
    Loop("shots change each time", SMALL, _shots, 30, {RAW: 1 / 4}),
    Loop("bare bound circuit, level 3", SMALL, partial(_bound_bare, 5), 30, {RAW: 1 / 2}, level=3),
    Loop("mid-circuit measurement and reset", SMALL, partial(_dynamic, SMALL), 20, {RAW: 1 / 2}),
    Loop(
        "estimator, new observable each time",
        SMALL,
        _new_observable,
        30,
        {BACKEND_PRIMITIVE: 1 / 3},
        peers=(OFFICIAL, BACKEND_PRIMITIVE),
    ),
    Loop(
        "estimator, 100 terms, 20 sets of values",
        SMALL,
        _sweep,
        4,
        {OFFICIAL: 1 / 4, BACKEND_PRIMITIVE: 1 / 4},
        peers=(OFFICIAL, BACKEND_PRIMITIVE),
    ),
    Loop("ideal, 5 qubits", IDEAL, partial(_parametrised, IDEAL, 5, SHOTS), 60, {OFFICIAL: 1.0}),
    Loop("ideal, 12 qubits", IDEAL, partial(_parametrised, IDEAL, 12, SHOTS), 60, {OFFICIAL: 1.0}),
    Loop("ideal, 12 qubits, bound", IDEAL, partial(_bound, IDEAL, 12), 60, {OFFICIAL: 1.0}),
    Loop("ideal, 5 qubits, 100 pubs", IDEAL, partial(_hundred_points, IDEAL), 10, {RAW: 1.0}),
    Loop(
        "ideal, 5 qubits, 100,000 shots",
        IDEAL,
        partial(_parametrised, IDEAL, 5, 100_000),
        10,
        {RAW: 1.1},
    ),
    Loop("new circuit, 127 qubits", LARGE, partial(_new, LARGE), 20, {RAW: 1 / 30}),
    Loop("bound, 127 qubits", LARGE, partial(_bound, LARGE, 5), 20, {RAW: 1 / 30}),
    Loop(
        "seed given, 127 qubits",
        LARGE,
        partial(_parametrised, LARGE, 5, SHOTS),
        20,
        {RAW: 1 / 30},
        seed=SEED,
    ),
    Loop("dynamic, 127 qubits", LARGE, partial(_dynamic, LARGE), 20, {RAW: 1 / 10}),
    Loop(
        "noisy GHZ-20, 16 shots",
        LARGE,
        partial(_one_ghz, LARGE, 20, 16),
        5,
        {MPS: 1.0},
        peers=(MPS,),
        most_ms=500,
    ),
    Loop(
        # The goal was ten seconds for 1024 shots; they take half an hour.
        "noisy GHZ-127, 4 shots",
        LARGE,
        partial(_one_ghz, LARGE, 127, 4),
        2,
        peers=(),
        most_ms=40,
    ),
)


# -- who runs it -----------------------------------------------------------------------------


class Contest:
    """A loop's contestants, and what each of them has found.

    Args:
        loop: the loop.
        session: ours, on the loop's device.
        rounds: how many there will be; their inputs are made beforehand.
    """

    def __init__(self, loop: Loop, session: Session, rounds: int) -> None:
        self.loop = loop
        self._work = {number: loop.work(number) for number in range(-WARM_UP, rounds)}
        # Iterations in a row need inputs that no other iteration has had.
        several = rounds >= LEAST_FOR_A_ROW
        more = IN_ONE_ROW * (WARM_UP + rounds) if several else 0
        self._more = iter([loop.work(1000 + number) for number in range(more)])
        self._found: dict[str, dict[int, Any]] = {}
        level = {} if loop.level is None else {"optimization_level": loop.level}
        seed = {} if loop.seed is None else {"simulator": {"seed_simulator": loop.seed}}
        device = official_device(loop.device)
        kind = Estimator if loop.estimates else Sampler
        ours = kind(mode=session, options={**level, **seed})
        official_kind = EstimatorV2 if loop.estimates else SamplerV2
        official = official_kind(mode=OfficialSession(backend=device), options=seed or None)
        run = self._estimated if loop.estimates else self._sampled
        self.callers: dict[str, Callable[[int], object]] = {OURS: partial(run, OURS, ours, None)}
        if several:
            self.callers[IN_A_ROW] = partial(run, IN_A_ROW, ours, None)
        peers: dict[str, Callable[[int], object]] = {
            OFFICIAL: partial(run, OFFICIAL, official, loop.level),
            RAW: partial(self._raw, RAW, "automatic"),
            MPS: partial(self._raw, MPS, "matrix_product_state"),
        }
        if loop.estimates:
            backend_primitive = BackendEstimatorV2(backend=plain_simulator(loop.device))
            peers[BACKEND_PRIMITIVE] = partial(run, BACKEND_PRIMITIVE, backend_primitive, None)
        self.callers |= {name: peers[name] for name in loop.peers}

    def _sampled(self, name: str, sampler: Any, level: int | None, number: int) -> None:
        work = self._about(name, number)
        pubs = work.pubs if level is None else [(self._transpiled(*pub), None) for pub in work.pubs]
        results = sampler.run(list(pubs), shots=work.shots).result()
        self._keep(name, number, [each.data for each in results])

    def _transpiled(self, circuit: QuantumCircuit, _values: None) -> QuantumCircuit:
        return transpiler(self.loop.device, self.loop.level or 0).run(circuit)

    def _raw(self, name: str, method: str, number: int) -> None:
        work = self._about(name, number)
        circuits = [pub[0] for pub in work.pubs]
        if self.loop.level is not None:
            circuits = [self._transpiled(each, None) for each in circuits]
        values = [pub[1] for pub in work.pubs]
        binds = None
        if any(each is not None for each in values):
            binds = [
                {name: [value] for name, value in zip(circuit.parameters, row, strict=True)}
                for circuit, row in zip(circuits, values, strict=True)
            ]
        job = plain_simulator(self.loop.device, method).run(
            circuits,
            parameter_binds=binds,
            shots=work.shots,
            memory=True,
            seed_simulator=self.loop.seed,
        )
        result = job.result()
        self._keep(name, number, [result.get_memory(each) for each in range(len(circuits))])

    def _estimated(self, name: str, estimator: Any, _level: int | None, number: int) -> None:
        question = self._about(name, number)
        result = estimator.run([tuple(question)], precision=PRECISION).result()
        self._keep(name, number, result[0].data)

    def _about(self, name: str, number: int) -> Any:
        return next(self._more) if name == IN_A_ROW else self._work[number]

    def _keep(self, name: str, number: int, found: Any) -> None:
        if number >= 0 and name != IN_A_ROW:
            self._found.setdefault(name, {})[number] = found

    def reached(self, samples: Sequence[Samples]) -> list[str]:
        """Return a sentence on each goal of the loop: whether ours has reached it."""
        by_name = {each.name: each for each in samples}
        ours = by_name[OURS]
        found = [
            (ours.ratio(by_name[name]), most, f"of {name}")
            for name, most in self.loop.goals.items()
            if name in by_name
        ]
        if self.loop.most_ms is not None:
            found.append((ours.median, self.loop.most_ms, "ms"))
        return [
            f"{value:.3g} {of}; goal {most:.3g}: {'reached' if value <= most else 'MISSED'}"
            for value, most, of in found
        ]

    # -- whether all have found the same -----------------------------------------------------

    def judge(self) -> list[str]:
        """Return a sentence on each comparison with what a peer has found.

        Raises:
            SystemExit: where the difference is too large for chance.
        """
        sentences = []
        ours = self._found[OURS]
        for name in self.loop.peers:
            theirs = self._found.get(name, {})
            rounds = sorted(ours.keys() & theirs.keys())
            if not rounds:
                continue
            if self.loop.seed is not None and name == RAW:
                for each in rounds:
                    mine = [_texts(data) for data in ours[each]]
                    if mine != theirs[each]:
                        raise SystemExit(f"{self.loop.title}: other shots than those of {name}")
                sentences.append(f"the same shots as {name} in all {len(rounds)} rounds")
                continue
            judge = _sigma_of_estimates if self.loop.estimates else _sigma_of_counts
            sigma, words = judge([ours[each] for each in rounds], [theirs[each] for each in rounds])
            # With the same seed shots may be equal, which is closer than chance would have them.
            if sigma > MOST_SIGMA:
                raise SystemExit(f"{self.loop.title}: {sigma:.1f} sigma off {name}; {words}")
            sentences.append(f"{words} to {name}: {sigma:+.1f} sigma")
        return sentences


def _texts(data: Any) -> list[str]:
    """Return shots as raw Aer gives them: the last register first."""
    if isinstance(data, list):
        return data
    registers = [data[name].get_bitstrings() for name in reversed(list(data.keys()))]
    return [" ".join(parts) for parts in zip(*registers, strict=True)]


def _sigma_of_counts(one: Sequence[Any], other: Sequence[Any]) -> tuple[float, str]:
    """Compare two samples of the same distributions by chi squared, with rare outcomes pooled.

    Both have as many shots of each circuit, so that the pooled counts have equal expectations.
    """
    totals = []
    for rounds in (one, other):
        counts: dict[str, int] = {}
        for data in rounds:
            for each in data:
                for text in _texts(each):
                    outcome = f"{text.count('1')}" if len(text) > WIDE else text
                    counts[outcome] = counts.get(outcome, 0) + 1
        totals.append(counts)
    keys = sorted(totals[0].keys() | totals[1].keys())
    pairs = np.array([[counts.get(each, 0) for counts in totals] for each in keys], dtype=float)
    shots = pairs[:, 0].sum()
    distance = np.abs(pairs[:, 0] - pairs[:, 1]).sum() / 2 / shots
    common = pairs.sum(axis=1) >= COMMON
    cells = np.vstack([pairs[common], pairs[~common].sum(axis=0)])
    cells = cells[cells.sum(axis=1) > 0]
    squares = float(np.sum((cells[:, 0] - cells[:, 1]) ** 2 / cells.sum(axis=1)))
    free = max(len(cells) - 1, 1)
    # Wilson and Hilferty: the cube root of chi squared is almost normal.
    cube = (squares / free) ** (1 / 3)
    sigma = (cube - (1 - 2 / (9 * free))) / math.sqrt(2 / (9 * free))
    expected = float(np.sqrt(cells.sum(axis=1)).sum() / math.sqrt(2 * math.pi) / shots)
    words = f"total-variation distance {distance:.4f} of {shots:.0f} shots, chance {expected:.4f}"
    return sigma, words


def _sigma_of_estimates(one: Sequence[Any], other: Sequence[Any]) -> tuple[float, str]:
    """Compare the means of all estimates; their `stds` are upper bounds of the true ones."""
    difference = np.concatenate([np.ravel(a.evs - b.evs) for a, b in zip(one, other, strict=True)])
    spread = difference.std() / math.sqrt(len(difference))
    sigma = float(difference.mean() / spread) if spread else 0.0
    return abs(sigma), f"mean difference {difference.mean():+.4f} of {len(difference)} estimates"
