"""The sampler: runs each pub's circuit and returns its shots as bit arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from qiskit.primitives import PubResult, SamplerPubResult
from qiskit.primitives.containers.data_bin import DataBin
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qsession_widget.errors import InvalidInputError
from qsession_widget.runtime.worker import classical
from qsession_widget.runtime.worker.aer import Executable, Run, execute
from qsession_widget.runtime.worker.inputs import pubs as pub_inputs
from qsession_widget.runtime.worker.inputs import seeds
from qsession_widget.runtime.worker.inputs import shots as shot_rules
from qsession_widget.runtime.worker.inputs.batches import batches
from qsession_widget.runtime.worker.results import bit_arrays
from qsession_widget.wire.execution_spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qiskit import QuantumCircuit

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

    def read(raw: Any) -> _Pub:
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
        runs = [Run(0, row) for row in pub_inputs.parameter_rows(pub, runnable.columns)]
        return _Pub(pub, runnable.circuit, executable, runs, supply.take(len(runs)))

    def alike(one: _Pub, other: _Pub) -> bool:
        return bool(one.pub.shots == other.pub.shots)

    for batch in batches(pubs, read, alike):
        yield from _sampled(batch)


class _Pub(NamedTuple):
    """A pub that can run.

    Attributes:
        pub: as it was asked for.
        circuit: what the device runs for it.
        executable: the same, ready for Aer.
        runs: one for each set of parameter values.
        seed: of the first run; None for no seed.
    """

    pub: SamplerPub
    circuit: QuantumCircuit
    executable: Executable
    runs: list[Run]
    seed: int | None


def _sampled(batch: Sequence[_Pub]) -> Iterator[tuple[PubResult, Span]]:
    first = batch[0]
    try:
        found = execute(
            [(each.executable, each.runs) for each in batch],
            shots=first.pub.shots,
            seed=first.seed,
            # Without a seed the order of the shots does not matter.
            memory=first.seed is not None,
        )
    except InvalidInputError:
        if len(batch) == 1:
            raise
        # Run them one by one, so that the error names the pub that caused it.
        for each in batch:
            yield from _sampled([each])
        return
    for each, results in zip(batch, found, strict=True):
        pub = each.pub
        read = bit_arrays.registers(each.circuit, results, pub.shape, pub.shots)
        result = SamplerPubResult(
            DataBin(**read, shape=pub.shape),
            metadata={"shots": pub.shots, "circuit_metadata": pub.circuit.metadata},
        )
        yield result, Span(*each.executable.ran, (*pub.shape, pub.shots))
