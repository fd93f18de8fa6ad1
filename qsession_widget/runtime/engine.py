"""Circuits as Aer runs them, kept so that new parameters only have to be filled in.

Aer's public `run` assembles the circuits and writes out the whole noise model at every call, which
takes far longer than small circuits do. What it does inside is done here once for a set of
circuits. Those parts of Aer are private: with a version of Aer that is not known to have them,
everything goes through `run`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from qiskit.circuit import Parameter, ParameterExpression
from qiskit_aer import AerError
from qiskit_aer.backends.aer_compiler import assemble_circuits, generate_aer_config
from qiskit_aer.backends.backend_utils import LIBRARY_DIR
from qiskit_aer.backends.controller_wrappers import AerConfig

from qsession_widget.runtime import noise, stages
from qsession_widget.runtime.circuits import BYTES_OF_A_PREPARED_ONE, rebindable, weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qiskit import QuantumCircuit
    from qiskit_aer import AerSimulator

KNOWN_AER = ("0.17.", "0.18.")
"""Releases whose inside is as this module expects."""

assembles = version("qiskit-aer").startswith(KNOWN_AER)


class Run(NamedTuple):
    """One execution: which of the circuits, and the values of its parameters in their order."""

    circuit: int
    values: Sequence[float]


class Prepared:
    """Circuits that run together, ready for Aer.

    Args:
        circuits: in the simulator's instruction set; their parameters are filled in at each run.
        simulator: with the device's noise.
    """

    def __init__(self, circuits: Sequence[QuantumCircuit], simulator: AerSimulator) -> None:
        self._circuits = circuits
        self._simulator = simulator
        self.weight = weight(*circuits, bytes_each=BYTES_OF_A_PREPARED_ONE)
        """Its memory in bytes, roughly."""
        self._assembled = (
            _Assembled(circuits, simulator)
            if assembles and all(rebindable(each) for each in circuits)
            else None
        )

    def execute(
        self, runs: Sequence[Run], *, shots: int, seed: int | None, memory: bool
    ) -> list[dict[str, Any]]:
        """Run, and give what Aer says of each run: `counts`, and `memory` if asked for.

        With a seed the shots are those of Aer's own `run` with the bound circuits in this order.

        Raises:
            AerError: where the simulation fails.
        """
        if not runs:
            return []
        with stages.on_device():
            return self._execute(runs, shots=shots, seed=seed, memory=memory)

    def _execute(
        self, runs: Sequence[Run], *, shots: int, seed: int | None, memory: bool
    ) -> list[dict[str, Any]]:
        kept = self._assembled
        if kept is not None:
            return kept.execute(runs, shots=shots, seed=seed, memory=memory)
        bound = [_bound(self._circuits[each.circuit], each.values) for each in runs]
        if assembles:
            return _Assembled(bound, self._simulator).execute(
                [Run(index, ()) for index in range(len(bound))],
                shots=shots,
                seed=seed,
                memory=memory,
            )
        job = self._simulator.run(bound, shots=shots, seed_simulator=seed, memory=memory)
        result = job.result()
        if not result.success:
            raise AerError(f"the simulation failed: {result.status}")
        return [each.data.to_dict() for each in result.results]


class _Assembled:
    """Aer's own form of circuits and of their noise."""

    def __init__(self, circuits: Sequence[QuantumCircuit], simulator: AerSimulator) -> None:
        self._simulator = simulator
        # Takes control flow apart, and turns the noise of delays into instructions.
        self._circuits, model = simulator._compile(list(circuits))  # noqa: SLF001 - see above
        self._model = model
        self._noise = {} if model is None else model.to_dict(serializable=True)
        self._collapsed: dict[str, Any] | None = None
        self._exact_shots: set[int] = set()
        self._basis = simulator.configuration().basis_gates
        self._native, self._places = assemble_circuits(self._circuits, self._basis)
        self._parameters = [list(each.parameters) for each in circuits]
        self._blanks = [
            _blanks(circuit, places)
            for circuit, places in zip(self._circuits, self._places, strict=True)
        ]

    def execute(
        self, runs: Sequence[Run], *, shots: int, seed: int | None, memory: bool
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
            native, self._noise_for(shots, seed), config
        )
        if not isinstance(output, dict) or not output.get("success"):
            status = output.get("status") if isinstance(output, dict) else output
            raise AerError(f"the simulation failed: {status}")
        results = output["results"]
        if all(each["metadata"].get("method") == "density_matrix" for each in results):
            self._exact_shots.add(shots)
        return [each["data"] for each in results]

    def _fresh(self, circuit: int) -> Any:
        """Give Aer's form of a circuit, to be run once.

        Aer copies a circuit to fill in parameters; one without parameters it changes as it runs.
        """
        if self._parameters[circuit]:
            return self._native[circuit]
        ((native,), _) = assemble_circuits([self._circuits[circuit]], self._basis)
        return native

    def _grouped(self, runs: Sequence[Run]) -> list[tuple[int, list[Sequence[float]]]]:
        """Put neighbouring runs of one circuit together: Aer fills in all their values at once."""
        groups: list[tuple[int, list[Sequence[float]]]] = []
        for circuit, values in runs:
            if groups and groups[-1][0] == circuit and self._parameters[circuit]:
                groups[-1][1].append(values)
            else:
                groups.append((circuit, [values]))
        return groups

    def _noise_for(self, shots: int, seed: int | None) -> dict[str, Any]:
        """Choose the form of the noise.

        Without a seed only the errors that these circuits meet, each collapsed to one map: they
        give the same density matrix, and so the same distribution, in a fraction of the time. Only
        where Aer itself was seen to take the density matrix for these circuits and as many shots,
        since elsewhere it would change Aer's method.
        """
        if seed is not None or shots not in self._exact_shots or self._model is None:
            return self._noise
        if self._collapsed is None:
            model = noise.collapse(self._model, noise.uses(self._circuits))
            self._collapsed = model.to_dict(serializable=True)
        return self._collapsed

    def _filled(self, circuit: int, rows: Sequence[Sequence[float]]) -> list[Any]:
        """Give what stands in each blank in each run, as Aer's `run` would work it out."""
        binds = [dict(zip(self._parameters[circuit], row, strict=True)) for row in rows]
        return [
            [place, [value.of(each) for each in binds]] for place, value in self._blanks[circuit]
        ]


class _Value(NamedTuple):
    """A value that is known once the parameters are."""

    expression: ParameterExpression
    parameters: tuple[Parameter, ...]

    def of(self, binds: dict[Parameter, float]) -> float:
        if isinstance(self.expression, Parameter):
            return binds[self.expression]
        needed = {parameter: binds[parameter] for parameter in self.parameters}
        return float(self.expression.bind(needed))


def _blanks(circuit: QuantumCircuit, places: Sequence[int]) -> list[tuple[tuple[int, int], _Value]]:
    """Give the places that depend on parameters: which instruction, and which of its values.

    Args:
        circuit: the circuit.
        places: of its instructions among those of Aer's form of it; empty where they are the same.
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
    return circuit.assign_parameters(list(values)) if circuit.parameters else circuit.copy()
