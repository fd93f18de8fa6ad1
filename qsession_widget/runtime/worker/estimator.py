"""The estimator: measures each pub's observables, and averages what is read.

Where a density matrix gives all shots, the state at the end of the circuit is simulated once for
each set of parameter values, and all measurements are drawn from it. Otherwise, and with a seed,
there is a circuit for each measurement.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit.primitives import PubResult
from qiskit.primitives.containers.data_bin import DataBin
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qsession_widget.errors import InvalidInputError
from qsession_widget.runtime.worker.aer import Part, Run, execute
from qsession_widget.runtime.worker.device import caches
from qsession_widget.runtime.worker.inputs import pubs as pub_inputs
from qsession_widget.runtime.worker.inputs import seeds
from qsession_widget.runtime.worker.inputs import shots as shot_rules
from qsession_widget.runtime.worker.inputs.batches import batches
from qsession_widget.runtime.worker.outcome import RejectedError
from qsession_widget.runtime.worker.results import expectation
from qsession_widget.runtime.worker.results.saved_arrays import Wanted, in_portions
from qsession_widget.wire.execution_spans import Span
from qsession_widget.wire.observables import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qsession_widget.runtime.worker.device import (
        Estimation,
        FinalState,
        Runnable,
        SimulatedDevice,
    )
    from qsession_widget.runtime.worker.results.expectation import Measurement, Numbers
    from qsession_widget.runtime.worker.results.saved_arrays import Portion

    Estimates = dict[tuple[tuple[int, ...], str], tuple[float, float]]
    """Means, and standard deviations of a single shot, by index of the parameters and label."""

PARTS = 4
"""A pub's circuit, observables, parameter values and precision."""


def estimate(
    pubs: list[Any], options: dict[str, Any], device: SimulatedDevice
) -> Iterator[tuple[PubResult, Span]]:
    """Yield the result of each pub, and when it ran.

    Args:
        pubs: as decoded from the payload.
        options: of the job, as decoded.
        device: that they run on.

    Raises:
        RejectedError: for a pub that cannot be read or run on this device.
    """
    supply = seeds.Seeds(seeds.of_options(options))

    def read_one(raw: Any) -> _Pub:
        circuit, observables, values, precision = pub_inputs.parts(raw, PARTS)
        shots = None
        if precision is None:
            shots = shot_rules.default(options)
            precision = _target_precision(shots, options)
        with pub_inputs.qiskit_checks():
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
        return _planned(pub, runnable, device, shots, supply)

    def alike(one: _Pub, other: _Pub) -> bool:
        return one.shots == other.shots and bool(one.state) == bool(other.state)

    for batch in batches(pubs, read_one, alike):
        yield from _estimated(batch)


class _Pub(NamedTuple):
    """A pub that can run; without circuits and state there is nothing to run.

    Attributes:
        pub: as it was asked for, on the device's qubits.
        shots: of each measurement.
        plan: for each index of the parameters' values, what is measured there.
        estimation: its circuits that measure; None for none.
        state: its circuit, if its final state is simulated and then measured.
        runs: of the circuits, in the order of the plan; of the state, one for each index.
        seed: of the first run; None for no seed.
    """

    pub: EstimatorPub
    shots: int
    plan: Sequence[tuple[tuple[int, ...], Sequence[Measurement]]] = ()
    estimation: Estimation | None = None
    state: FinalState | None = None
    runs: Sequence[Run] = ()
    seed: int | None = None


def _planned(
    pub: EstimatorPub, runnable: Runnable, device: SimulatedDevice, shots: int, supply: seeds.Seeds
) -> _Pub:
    if 0 in pub.shape:
        return _Pub(pub, shots)
    wanted, _, _ = expectation.wanted(pub)
    sets = list(dict.fromkeys(wanted.values()))
    rows = pub_inputs.parameter_rows(pub, runnable.columns)
    by_index = dict(zip(np.ndindex(pub.parameter_values.shape), rows, strict=True))
    if not supply.given:
        # With a seed, the shots are those of Aer's own runs of circuits that measure.
        state = device.final_state(runnable, expectation.support(*sets))
        measured = {each: device.measurements(each) for each in sets}
        if state and state.executable.saves_for(shots * min(map(len, measured.values()))):
            states = [Run(0, by_index[index]) for index in wanted]
            plan = [(index, measured[labels]) for index, labels in wanted.items()]
            return _Pub(pub, shots, plan, state=state, runs=states)
    estimation = device.estimation(runnable, sets)
    runs = [
        Run(estimation.first[labels] + number, by_index[index])
        for index, labels in wanted.items()
        for number in range(len(estimation.measured[labels]))
    ]
    plan = [(index, estimation.measured[labels]) for index, labels in wanted.items()]
    return _Pub(pub, shots, plan, estimation, runs=runs, seed=supply.take(len(runs)))


def _estimated(batch: Sequence[_Pub]) -> Iterator[tuple[PubResult, Span]]:
    try:
        found = _measured(batch) if batch[0].state else _run(batch)
    except InvalidInputError:
        if len(batch) == 1:
            raise
        # Run them one by one, so that the error names the pub that caused it.
        for each in batch:
            yield from _estimated([each])
        return
    for each, estimates in zip(batch, found, strict=True):
        yield _result(each, estimates)


def _run(batch: Sequence[_Pub]) -> list[Estimates]:
    """Run circuits that measure, and return the estimates of each pub."""
    results = execute(
        [
            Part(each.estimation.executable, each.runs, partial(_read, each, _measurements(each)))
            for each in batch
            if each.estimation
        ],
        shots=batch[0].shots,
        seed=next((each.seed for each in batch if each.estimation), None),
        memory=False,
    )
    of_pubs = iter(results)
    return [
        dict(chain.from_iterable(map(dict.items, next(of_pubs)))) if one.estimation else {}
        for one in batch
    ]


def _measurements(one: _Pub) -> list[tuple[tuple[int, ...], Measurement]]:
    """Return what each run measures, with its index of the parameters' values."""
    return [(index, each) for index, some in one.plan for each in some]


def _read(
    one: _Pub,
    measured: Sequence[tuple[tuple[int, ...], Measurement]],
    number: int,
    data: Mapping[str, Any],
) -> Estimates:
    """Return the estimates of a run from Aer's data."""
    index, each = measured[number]
    outcomes = expectation.outcomes(data["counts"], one.pub.circuit.num_clbits)
    counts = np.array([[*outcomes.values()]], dtype=float)
    return _named([index], each, *each.estimate([*outcomes], counts))


def _measured(batch: Sequence[_Pub]) -> list[Estimates]:
    """Simulate final states and measure them, and return the estimates of each pub."""
    random = np.random.default_rng()
    found: list[Estimates] = [{} for _ in batch]
    wanted = [
        Wanted(one.state.executable, one.state.key, 4 ** len(one.state.qubits), one.runs)
        for one in batch
        if one.state
    ]
    for portion in in_portions(wanted, caches.arrays):
        found[portion.part] |= _drawn(batch[portion.part], portion, random)
    return found


def _drawn(one: _Pub, portion: Portion, random: np.random.Generator) -> Estimates:
    """Measure some of a pub's final states."""
    found: Estimates = {}
    if one.state is None:
        return found
    plan = one.plan[portion.first : portion.first + len(portion.arrays)]
    # Mostly the same is measured everywhere.
    kinds: dict[int, list[int]] = {}
    for place, (_, measured) in enumerate(plan):
        kinds.setdefault(id(measured), []).append(place)
    for places in kinds.values():
        indices = [plan[place][0] for place in places]
        states = portion.arrays if len(kinds) == 1 else portion.arrays[places]
        for each in plan[places[0]][1]:
            chances = one.state.readout.chances(states, one.state.qubits, each.basis)
            counts = random.multinomial(one.shots, chances).astype(float)
            found |= _named(indices, each, *each.estimate(range(counts.shape[1]), counts))
    return found


def _named(
    indices: Sequence[tuple[int, ...]],
    measured: Measurement,
    means: Numbers,
    spreads: Numbers,
) -> Estimates:
    """Return estimates by index of the parameters' values and label."""
    labels = list(measured.readings)
    return {
        (index, label): value
        for index, row, spread in zip(indices, means.tolist(), spreads.tolist(), strict=True)
        for label, value in zip(labels, zip(row, spread, strict=True), strict=True)
    }


def _result(one: _Pub, found: Estimates) -> tuple[PubResult, Span]:
    pub, shots = one.pub, one.shots
    metadata = {
        "target_precision": pub.precision,
        "shots": shots,
        "circuit_metadata": pub.circuit.metadata,
    }
    ran = one.state or one.estimation
    if ran is None:
        nothing = np.zeros(pub.shape)
        empty = PubResult(DataBin(evs=nothing, stds=nothing.copy(), shape=pub.shape), metadata)
        return empty, Span(*(datetime.now(UTC),) * 2, (*pub.shape, shots))
    _, where, observables = expectation.wanted(pub)
    means, spreads = expectation.combined(where, observables, found)
    result = PubResult(
        DataBin(evs=means, stds=np.asarray(spreads / math.sqrt(shots)), shape=means.shape),
        metadata=metadata,
    )
    return result, Span(*ran.executable.ran, (*means.shape, shots))


def _target_precision(shots: int, options: dict[str, Any]) -> float:
    """Return the precision that a result names: the requested one, if that decided the shots."""
    asked = options.get("default_precision")
    if asked is not None and shots == shot_rules.for_precision(asked):
        return float(asked)
    return 1 / math.sqrt(shots)
