"""The estimator: measures each pub's observables, and averages what is read.

Where a density matrix gives all shots, the state at the end of the circuit is simulated once for
each set of parameter values, and all measurements are drawn from it. Otherwise, and with a seed,
there is a circuit for each measurement.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit.primitives import PubResult
from qiskit.primitives.containers.data_bin import DataBin
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qsession_widget.errors import InvalidInputError
from qsession_widget.runtime.worker.aer import Run, execute, states
from qsession_widget.runtime.worker.inputs import pubs as pub_inputs
from qsession_widget.runtime.worker.inputs import seeds
from qsession_widget.runtime.worker.inputs import shots as shot_rules
from qsession_widget.runtime.worker.inputs.batches import batches
from qsession_widget.runtime.worker.outcome import RejectedError
from qsession_widget.runtime.worker.results import expectation
from qsession_widget.wire.execution_spans import Span
from qsession_widget.wire.observables import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from qsession_widget.runtime.worker.device import (
        Estimation,
        FinalState,
        Runnable,
        SimulatedDevice,
    )
    from qsession_widget.runtime.worker.results.expectation import Measurement
    from qsession_widget.runtime.worker.results.final_state import Complex, Readout

    Outcomes = dict[int, int]

PARTS = 4
"""A pub's circuit, observables, parameter values and precision."""

NUMBERS = 1 << 22
"""How many numbers of density matrices are held at once: 64 MB."""


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
        measured = {each: expectation.measurements(each) for each in sets}
        if state and state.executable.is_dense(shots * min(map(len, measured.values()))):
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
    for each, outcomes in zip(batch, found, strict=True):
        yield _result(each, outcomes)


def _run(batch: Sequence[_Pub]) -> list[list[Outcomes]]:
    """Run circuits that measure, and return the outcomes of each pub in the order of its plan."""
    found = execute(
        [(each.estimation.executable, each.runs) for each in batch if each.estimation],
        shots=batch[0].shots,
        seed=next((each.seed for each in batch if each.estimation), None),
        memory=False,
    )
    results = iter(found)
    return [
        [
            expectation.outcomes(each["counts"], one.pub.circuit.num_clbits)
            for each in (next(results) if one.estimation else ())
        ]
        for one in batch
    ]


def _measured(batch: Sequence[_Pub]) -> list[list[Outcomes]]:
    """Simulate states and measure them, and return the outcomes as `_run` does."""
    random = np.random.default_rng()
    found: list[list[Outcomes]] = [[] for _ in batch]
    queue = (
        _One(number, place, run, one.state)
        for number, one in enumerate(batch)
        for place, run in enumerate(one.runs)
        if one.state
    )
    for some in _in_memory(queue):
        parts = [list(each) for _, each in groupby(some, lambda each: each.number)]
        simulated = states(
            [(part[0].state.executable, [each.run for each in part]) for part in parts]
        )
        for part, matrices in zip(parts, simulated, strict=True):
            one = batch[part[0].number]
            plan = [measured for _, measured in one.plan[part[0].place : part[-1].place + 1]]
            readout = part[0].state.readout
            found[part[0].number] += _drawn(readout, plan, np.stack(matrices), one.shots, random)
    return found


class _One(NamedTuple):
    """One state to be simulated.

    Attributes:
        number: of its pub in the batch.
        place: in the pub's plan.
    """

    number: int
    place: int
    run: Run
    state: FinalState


def _in_memory(queue: Iterable[_One]) -> Iterator[list[_One]]:
    """Yield the states in order, as many at once as fit into memory."""
    some: list[_One] = []
    held = 0
    for each in queue:
        size = 4**each.state.qubits
        if some and held + size > NUMBERS:
            yield some
            some, held = [], 0
        some.append(each)
        held += size
    if some:
        yield some


def _drawn(
    readout: Readout,
    plan: Sequence[Sequence[Measurement]],
    matrices: Complex,
    shots: int,
    random: np.random.Generator,
) -> list[Outcomes]:
    """Return the outcomes of the measurements of each state."""
    found: list[list[Outcomes]] = [[] for _ in plan]
    # Mostly the same is measured everywhere.
    kinds: dict[int, list[int]] = {}
    for place, measured in enumerate(plan):
        kinds.setdefault(id(measured), []).append(place)
    for places in kinds.values():
        for each in plan[places[0]]:
            drawn = readout.draw(matrices[places], each.basis, shots, random)
            for place, outcomes in zip(places, drawn, strict=True):
                found[place].append(outcomes)
    return [outcomes for each in found for outcomes in each]


def _result(one: _Pub, results: Sequence[Outcomes]) -> tuple[PubResult, Span]:
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
    measured = [(index, each) for index, some in one.plan for each in some]
    found = {
        (index, label): value
        for (index, each), outcomes in zip(measured, results, strict=True)
        for label, value in each.estimate(outcomes).items()
    }
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
