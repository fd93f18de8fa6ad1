"""The estimator: runs circuits that measure each pub's observables, and averages what they read."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit.primitives import PubResult
from qiskit.primitives.containers.data_bin import DataBin
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qsession_widget.errors import InvalidInputError
from qsession_widget.runtime.worker.aer import Run, execute
from qsession_widget.runtime.worker.inputs import pubs as pub_inputs
from qsession_widget.runtime.worker.inputs import seeds
from qsession_widget.runtime.worker.inputs import shots as shot_rules
from qsession_widget.runtime.worker.inputs.batches import batches
from qsession_widget.runtime.worker.outcome import RejectedError
from qsession_widget.runtime.worker.results import expectation
from qsession_widget.wire.execution_spans import Span
from qsession_widget.wire.observables import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qsession_widget.runtime.worker.device import Estimation, Runnable, SimulatedDevice

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
        return one.shots == other.shots

    for batch in batches(pubs, read_one, alike):
        yield from _estimated(batch)


class _Pub(NamedTuple):
    """A pub that can run.

    Attributes:
        pub: as it was asked for, on the device's qubits.
        shots: of each run.
        estimation: its circuits; None if there is nothing to run.
        plan: for each run the index of the parameters' values, and what the circuit measures.
        runs: one for each of the plan.
        seed: of the first run; None for no seed.
    """

    pub: EstimatorPub
    shots: int
    estimation: Estimation | None = None
    plan: Sequence[tuple[tuple[int, ...], expectation.Group]] = ()
    runs: Sequence[Run] = ()
    seed: int | None = None


def _planned(
    pub: EstimatorPub, runnable: Runnable, device: SimulatedDevice, shots: int, supply: seeds.Seeds
) -> _Pub:
    if 0 in pub.shape:
        return _Pub(pub, shots)
    wanted, _, _ = expectation.wanted(pub)
    estimation = device.estimation(runnable, list(dict.fromkeys(wanted.values())))
    rows = pub_inputs.parameter_rows(pub, runnable.columns)
    by_index = dict(zip(np.ndindex(pub.parameter_values.shape), rows, strict=True))
    plan, runs = [], []
    for index, labels in wanted.items():
        for number, group in enumerate(estimation.groups[labels], estimation.first[labels]):
            plan.append((index, group))
            runs.append(Run(number, by_index[index]))
    return _Pub(pub, shots, estimation, plan, runs, supply.take(len(plan)))


def _estimated(batch: Sequence[_Pub]) -> Iterator[tuple[PubResult, Span]]:
    try:
        found = execute(
            [(each.estimation.executable, each.runs) for each in batch if each.estimation],
            shots=batch[0].shots,
            seed=next((each.seed for each in batch if each.estimation), None),
            memory=False,
        )
    except InvalidInputError:
        if len(batch) == 1:
            raise
        # Run them one by one, so that the error names the pub that caused it.
        for each in batch:
            yield from _estimated([each])
        return
    results = iter(found)
    for each in batch:
        yield _result(each, next(results) if each.estimation else [])


def _result(one: _Pub, results: Sequence[Mapping[str, Any]]) -> tuple[PubResult, Span]:
    pub, shots = one.pub, one.shots
    metadata = {
        "target_precision": pub.precision,
        "shots": shots,
        "circuit_metadata": pub.circuit.metadata,
    }
    if one.estimation is None:
        nothing = np.zeros(pub.shape)
        empty = PubResult(DataBin(evs=nothing, stds=nothing.copy(), shape=pub.shape), metadata)
        return empty, Span(*(datetime.now(UTC),) * 2, (*pub.shape, shots))
    _, where, observables = expectation.wanted(pub)
    found = {
        (index, label): value
        for (index, group), result in zip(one.plan, results, strict=True)
        for label, value in group.estimate(result["counts"]).items()
    }
    means, spreads = expectation.combined(where, observables, found)
    result = PubResult(
        DataBin(evs=means, stds=np.asarray(spreads / math.sqrt(shots)), shape=means.shape),
        metadata=metadata,
    )
    return result, Span(*one.estimation.executable.ran, (*means.shape, shots))


def _target_precision(shots: int, options: dict[str, Any]) -> float:
    """Return the precision that a result names: the requested one, if that decided the shots."""
    asked = options.get("default_precision")
    if asked is not None and shots == shot_rules.for_precision(asked):
        return float(asked)
    return 1 / math.sqrt(shots)
