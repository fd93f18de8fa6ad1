"""Circuits in Aer's own form, kept so that only new parameter values have to be filled in.

Aer's public `run` assembles the circuits and serializes the whole noise model at every call, which
takes far longer than small circuits do. Here its inner steps are done once for a set of circuits.
Those parts of Aer are private: with a version of Aer that is not known to have them, everything
goes through `run`.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from qiskit.circuit import Parameter, ParameterExpression
from qiskit.circuit.exceptions import CircuitError
from qiskit.exceptions import QiskitError
from qiskit_aer import AerError
from qiskit_aer.backends.aer_compiler import assemble_circuits, generate_aer_config
from qiskit_aer.backends.backend_utils import LIBRARY_DIR
from qiskit_aer.backends.controller_wrappers import AerConfig

from qsession_widget.errors import InvalidInputError
from qsession_widget.runtime.worker import progress
from qsession_widget.runtime.worker.circuit_cache import BYTES_OF_AN_EXECUTABLE, rebindable, weight
from qsession_widget.runtime.worker.inputs import seeds
from qsession_widget.runtime.worker.noise import device_noise as noise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qiskit import QuantumCircuit
    from qiskit_aer import AerSimulator

KNOWN_AER = ("0.17.", "0.18.")
"""Releases whose private parts are as this module expects."""

MAX_KNOWN = 1_000
"""For how many numbers of shots it is remembered how Aer runs a circuit."""

_LONGEST_DELAY = 2**63 - 1
"""In its own unit; Qiskit and Aer count in 64 bits."""

assembles = version("qiskit-aer").startswith(KNOWN_AER)


class Run(NamedTuple):
    """One execution.

    Attributes:
        circuit: which of the circuits, by its place.
        values: of its parameters, in their order.
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

    def __init__(self, circuits: Sequence[QuantumCircuit], simulator: AerSimulator) -> None:
        self._circuits = circuits
        self._simulator = simulator
        self.ran = (datetime.now(UTC),) * 2
        self.weight = weight(*circuits, bytes_each=BYTES_OF_AN_EXECUTABLE)
        """Estimate of its memory, in bytes."""
        self._assembled = (
            _Assembled(circuits, simulator)
            if assembles and all(rebindable(each) for each in circuits)
            else None
        )

    def execute(
        self, runs: Sequence[Run], *, shots: int, seed: int | None, memory: bool
    ) -> list[dict[str, Any]]:
        """Run, and return Aer's data of each run: `counts`, and `memory` if asked for.

        With a seed the shots are those of Aer's own `run` with the bound circuits in this order.
        Without a seed, each run is a sample of its own, independent of all others.

        Raises:
            AerError: where the simulation fails.
        """
        if not runs:
            self.ran = (datetime.now(UTC),) * 2
            return []
        with progress.on_device():
            began = datetime.now(UTC)
            results = self._execute(runs, shots=shots, seed=seed, memory=memory)
            self.ran = began, datetime.now(UTC)
        return results

    def _execute(
        self, runs: Sequence[Run], *, shots: int, seed: int | None, memory: bool
    ) -> list[dict[str, Any]]:
        kept = self._assembled
        if kept is not None:
            return kept.execute(runs, shots=shots, seed=seed, memory=memory)
        bound = [_bound(self._circuits[each.circuit], each.values) for each in runs]
        if seed is None and shots > seeds.STEP and len(bound) > 1:
            # As in `_Assembled._apart`: how Aer runs each is known only once it is bound.
            found = []
            for each in bound:
                alone = Executable([each], self._simulator)
                found += alone._execute([Run(0, ())], shots=shots, seed=None, memory=memory)
            return found
        if assembles:
            return _Assembled(bound, self._simulator).execute(
                [Run(index, ()) for index in range(len(bound))],
                shots=shots,
                seed=seed,
                memory=memory,
            )
        drawn = seeds.fresh() if seed is None else seed
        job = self._simulator.run(bound, shots=shots, seed_simulator=drawn, memory=memory)
        result = job.result()
        if not result.success:
            raise AerError(f"the simulation failed: {result.status}")
        return [each.data.to_dict() for each in result.results]


class _Assembled:
    """Circuits and their noise in Aer's own form."""

    def __init__(self, circuits: Sequence[QuantumCircuit], simulator: AerSimulator) -> None:
        self._simulator = simulator
        # Flattens control flow, and turns the noise of delays into instructions.
        self._circuits, model = simulator._compile(list(circuits))  # noqa: SLF001 - see above
        self._model = model
        self._noise = {} if model is None else model.to_dict(serializable=True)
        self._collapsed: dict[str, Any] | None = None
        self._exact_shots: set[int] = set()
        self._sampled: dict[tuple[int, int], bool] = {}
        # As in `run`: a simulator of no device takes every instruction of Aer.
        of_device = simulator._target is not None  # noqa: SLF001 - see above
        self._basis = simulator.configuration().basis_gates if of_device else None
        self._native, self._places = assemble_circuits(self._circuits, self._basis)
        self._parameters = [list(each.parameters) for each in circuits]
        self._blanks = [
            _blanks(circuit, places)
            for circuit, places in zip(self._circuits, self._places, strict=True)
        ]

    def execute(
        self, runs: Sequence[Run], *, shots: int, seed: int | None, memory: bool
    ) -> list[dict[str, Any]]:
        if seed is not None:
            results = self._run(runs, shots, seed, memory, self._noise)
        elif len(runs) == 1 or shots <= seeds.STEP:
            results = self._drawn(runs, shots, memory)
        else:
            results = self._apart(runs, shots, memory)
        return [each["data"] for each in results]

    def _apart(self, runs: Sequence[Run], shots: int, memory: bool) -> list[dict[str, Any]]:
        """Run without a seed so that no two runs share shots.

        Where Aer simulates shot by shot, each shot's seed is one more than the last one's, while
        the seeds of runs that it is given together are `seeds.STEP` apart: with more shots than
        that, runs would share shots. Such runs go one by one. Whether Aer simulates a circuit in
        that way is only in its result, so the first run of each circuit always goes alone.
        """
        if len(self._sampled) > MAX_KNOWN:
            self._sampled.clear()
        found: dict[int, dict[str, Any]] = {}
        for index, run in enumerate(runs):
            if (run.circuit, shots) not in self._sampled:
                (result,) = self._drawn([run], shots, memory)
                found[index] = result
                at_once = bool(result["metadata"].get("measure_sampling"))
                self._sampled[run.circuit, shots] = at_once
        together = [index for index in range(len(runs)) if index not in found]
        for indices in self._divided(runs, together, shots):
            results = self._drawn([runs[index] for index in indices], shots, memory)
            found.update(zip(indices, results, strict=True))
        return [found[index] for index in range(len(runs))]

    def _divided(
        self, runs: Sequence[Run], indices: Sequence[int], shots: int
    ) -> Iterator[list[int]]:
        """Yield the runs whose shots Aer draws at once together, and the others one by one."""
        drawn_at_once = []
        for index in indices:
            if self._sampled[runs[index].circuit, shots]:
                drawn_at_once.append(index)
            else:
                yield [index]
        if drawn_at_once:
            yield drawn_at_once

    def _drawn(self, runs: Sequence[Run], shots: int, memory: bool) -> list[dict[str, Any]]:
        """Run with a fresh seed; Aer draws its own only once, when the circuit is assembled."""
        return self._run(runs, shots, seeds.fresh(), memory, self._cheapest_noise(shots))

    def _run(
        self, runs: Sequence[Run], shots: int, seed: int, memory: bool, noise: dict[str, Any]
    ) -> list[dict[str, Any]]:
        groups = self._grouped(runs)
        native = [self._fresh(circuit) for circuit, _ in groups]
        for number, each in enumerate(native):
            each.circ_id = number
        config = generate_aer_config(
            self._circuits,
            self._simulator.options,
            shots=shots,
            seed_simulator=seed,
            memory=memory,
            parameterizations=[self._filled(circuit, rows) for circuit, rows in groups]
            if any(self._parameters)
            else None,
        )
        config.library_dir = LIBRARY_DIR
        output = self._simulator._controller.execute(  # noqa: SLF001 - see above
            native, noise, config
        )
        if not isinstance(output, dict) or not output.get("success"):
            status = output.get("status") if isinstance(output, dict) else output
            raise AerError(f"the simulation failed: {status}")
        results: list[dict[str, Any]] = output["results"]
        if all(each["metadata"].get("method") == "density_matrix" for each in results):
            if len(self._exact_shots) > MAX_KNOWN:
                self._exact_shots.clear()
            self._exact_shots.add(shots)
        return results

    def _fresh(self, circuit: int) -> Any:
        """Return Aer's form of a circuit, for one run.

        Aer copies a circuit to fill in parameters, but changes one without parameters as it runs.
        """
        if self._parameters[circuit]:
            return self._native[circuit]
        ((native,), _) = assemble_circuits([self._circuits[circuit]], self._basis)
        return native

    def _grouped(self, runs: Sequence[Run]) -> list[tuple[int, list[Sequence[float]]]]:
        """Group neighbouring runs of one circuit; Aer fills in all their values at once."""
        groups: list[tuple[int, list[Sequence[float]]]] = []
        for circuit, values in runs:
            if groups and groups[-1][0] == circuit and self._parameters[circuit]:
                groups[-1][1].append(values)
            else:
                groups.append((circuit, [values]))
        return groups

    def _cheapest_noise(self, shots: int) -> dict[str, Any]:
        """Return the noise for a run without a seed, collapsed where that is safe.

        Collapsed noise holds only the errors that these circuits meet, each as one map. It gives
        the same density matrix, and so the same distribution, in a fraction of the time. It is safe
        once Aer has used the density matrix for these circuits and as many shots; elsewhere it
        would change Aer's method.
        """
        if shots not in self._exact_shots or self._model is None:
            return self._noise
        if self._collapsed is None:
            model = noise.collapse(self._model, noise.uses(self._circuits))
            self._collapsed = model.to_dict(serializable=True)
        return self._collapsed

    def _filled(self, circuit: int, rows: Sequence[Sequence[float]]) -> list[Any]:
        """Return the value of each blank in each run, as Aer's `run` would compute it."""
        binds = [dict(zip(self._parameters[circuit], row, strict=True)) for row in rows]
        return [
            [place, [value.of(each) for each in binds]] for place, value in self._blanks[circuit]
        ]


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
    found = [((int(AerConfig.GLOBAL_PHASE_POS), -1), circuit.global_phase)]
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
    """Refuse lengths that no delay has: Qiskit finds them only once a delay is looked at."""
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
