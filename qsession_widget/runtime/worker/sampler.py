"""The sampler: runs each pub's circuit and returns its shots as bit arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qiskit.primitives import PubResult, SamplerPubResult
from qiskit.primitives.containers.data_bin import DataBin
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qsession_widget.runtime.worker import classical
from qsession_widget.runtime.worker.aer import Run
from qsession_widget.runtime.worker.inputs import pubs as pub_inputs
from qsession_widget.runtime.worker.inputs import seeds
from qsession_widget.runtime.worker.inputs import shots as shot_rules
from qsession_widget.runtime.worker.results import bit_arrays
from qsession_widget.wire.execution_spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qsession_widget.runtime.worker.device import SimulatedDevice

PARTS = 3
"""A pub's circuit, parameter values and shots."""


def sample(
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
        circuit, values, shots = pub_inputs.parts(raw, PARTS)
        if shots is None:
            shots = shot_rules.default(options)
        with pub_inputs.qiskit_checks():
            pub = SamplerPub.coerce((circuit, values), shots)
        bit_arrays.check_names(pub.circuit)
        device.check_shots(pub.shots)
        runnable = device.runnable(pub.circuit)
        classical.check_loops(runnable.circuit)
        executable = device.executable(runnable)
        results = executable.execute(
            [Run(0, row) for row in pub_inputs.parameter_rows(pub, runnable.columns)],
            shots=pub.shots,
            seed=supply.take(math.prod(pub.shape)),
            memory=True,
        )
        memories = [each.get("memory", []) for each in results]
        read = bit_arrays.registers(runnable.circuit, memories, pub.shape, pub.shots)
        result = SamplerPubResult(
            DataBin(**read, shape=pub.shape),
            metadata={"shots": pub.shots, "circuit_metadata": pub.circuit.metadata},
        )
        yield result, Span(*executable.ran, (*pub.shape, pub.shots))
