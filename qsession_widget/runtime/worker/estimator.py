"""The estimator: runs circuits that measure each pub's observables, and averages what they read."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.primitives import PubResult
from qiskit.primitives.containers.data_bin import DataBin
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qsession_widget.runtime.worker.aer import Run
from qsession_widget.runtime.worker.inputs import pubs as pub_inputs
from qsession_widget.runtime.worker.inputs import seeds
from qsession_widget.runtime.worker.inputs import shots as shot_rules
from qsession_widget.runtime.worker.outcome import RejectedError
from qsession_widget.runtime.worker.results import expectation
from qsession_widget.wire.execution_spans import Span
from qsession_widget.wire.observables import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qsession_widget.runtime.worker.device import Runnable, SimulatedDevice

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
    for raw in pubs:
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
        yield _estimated(pub, runnable, device, shots, supply)


def _estimated(
    pub: EstimatorPub, runnable: Runnable, device: SimulatedDevice, shots: int, supply: seeds.Seeds
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
    rows = pub_inputs.parameter_rows(pub, runnable.columns)
    by_index = dict(zip(np.ndindex(pub.parameter_values.shape), rows, strict=True))
    plan = [
        (index, number, group)
        for index, labels in wanted.items()
        for number, group in enumerate(estimation.groups[labels], estimation.first[labels])
    ]
    results = estimation.executable.execute(
        [Run(number, by_index[index]) for index, number, _ in plan],
        shots=shots,
        seed=supply.take(len(plan)),
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
    return result, Span(*estimation.executable.ran, (*means.shape, shots))


def _target_precision(shots: int, options: dict[str, Any]) -> float:
    """Return the precision that a result names: the requested one, if that decided the shots."""
    asked = options.get("default_precision")
    if asked is not None and shots == shot_rules.for_precision(asked):
        return float(asked)
    return 1 / math.sqrt(shots)
