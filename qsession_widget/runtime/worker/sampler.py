"""The sampler: runs each pub's circuit and returns its shots as bit arrays.

Where one small state gives all shots, the chances at the circuit's end are simulated, and the shots
are drawn from them here. Otherwise, and with a seed, Aer draws them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit.primitives import BitArray, PubResult, SamplerPubResult
from qiskit.primitives.containers.data_bin import DataBin
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qsession_widget.errors import InvalidInputError
from qsession_widget.runtime.worker import classical
from qsession_widget.runtime.worker.aer import Executable, Part, Run, execute
from qsession_widget.runtime.worker.device import caches
from qsession_widget.runtime.worker.inputs import pubs as pub_inputs
from qsession_widget.runtime.worker.inputs import seeds
from qsession_widget.runtime.worker.inputs import shots as shot_rules
from qsession_widget.runtime.worker.inputs.batches import batches
from qsession_widget.runtime.worker.results import bit_arrays
from qsession_widget.runtime.worker.results.saved_arrays import Wanted, in_portions
from qsession_widget.wire.execution_spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from qiskit import QuantumCircuit

    from qsession_widget.runtime.worker.device import FinalShots, SimulatedDevice

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
        final = None
        if not supply.given:
            # With a seed, the shots are those of Aer's own runs.
            final = device.final_shots(runnable.circuit, runnable.key)
        if final and not final.executable.saves_for(pub.shots):
            final = None
        executable = final.executable if final else device.executable(runnable)
        runs = [Run(0, row) for row in pub_inputs.parameter_rows(pub, runnable.columns)]
        return _Pub(pub, runnable.circuit, executable, runs, final, supply.take(len(runs)))

    def alike(one: _Pub, other: _Pub) -> bool:
        return one.pub.shots == other.pub.shots and bool(one.final) == bool(other.final)

    for batch in batches(pubs, read, alike):
        yield from _sampled(batch)


class _Pub(NamedTuple):
    """A pub that can run.

    Attributes:
        pub: as it was asked for.
        circuit: what the device runs for it.
        executable: the same, ready for Aer.
        runs: one for each set of parameter values.
        final: the same, if its shots are drawn from the chances at its end.
        seed: of the first run; None for no seed.
    """

    pub: SamplerPub
    circuit: QuantumCircuit
    executable: Executable
    runs: list[Run]
    final: FinalShots | None
    seed: int | None


def _sampled(batch: Sequence[_Pub]) -> Iterator[tuple[PubResult, Span]]:
    try:
        found = _drawn(batch) if batch[0].final else _run(batch)
    except InvalidInputError:
        if len(batch) == 1:
            raise
        # Run them one by one, so that the error names the pub that caused it.
        for each in batch:
            yield from _sampled([each])
        return
    for each, read in zip(batch, found, strict=True):
        pub = each.pub
        result = SamplerPubResult(
            DataBin(**read, shape=pub.shape),
            metadata={"shots": pub.shots, "circuit_metadata": pub.circuit.metadata},
        )
        yield result, Span(*each.executable.ran, (*pub.shape, pub.shots))


def _run(batch: Sequence[_Pub]) -> list[dict[str, BitArray]]:
    """Run circuits that measure, and return the registers of each pub."""
    first = batch[0]
    readers = [bit_arrays.Registers(each.circuit, each.pub.shots) for each in batch]
    found = execute(
        [
            Part(each.executable, each.runs, reader.read)
            for each, reader in zip(batch, readers, strict=True)
        ],
        shots=first.pub.shots,
        seed=first.seed,
        # Without a seed the order of the shots does not matter.
        memory=first.seed is not None,
    )
    return [
        reader.arrays(results, each.pub.shape)
        for each, reader, results in zip(batch, readers, found, strict=True)
    ]


def _drawn(batch: Sequence[_Pub]) -> list[dict[str, BitArray]]:
    """Draw shots from the chances at the circuits' ends, and return the registers of each pub."""
    random = np.random.default_rng()
    wanted = []
    packed: list[dict[str, NDArray[np.uint8]]] = []
    for one in batch:
        if one.final:
            wanted.append(Wanted(one.executable, one.final.key, one.final.numbers, one.runs))
            shape = len(one.runs), one.pub.shots
            packed.append(
                {
                    name: np.empty((*shape, table.shape[1]), dtype=np.uint8)
                    for name, table in one.final.drawn.packed.items()
                }
            )
    for portion in in_portions(wanted, caches.arrays):
        one = batch[portion.part]
        if one.final:
            shots = one.final.drawn.draw(portion.arrays, one.pub.shots, random)
            for number, outcomes in enumerate(shots, portion.first):
                for name, table in one.final.drawn.packed.items():
                    np.take(table, outcomes, axis=0, out=packed[portion.part][name][number])
    return [
        {
            register.name: BitArray(
                # Also where there are no runs, which leave nothing to infer a length from.
                found.reshape(*one.pub.shape, *found.shape[1:]),
                register.size,
            )
            for register in one.circuit.cregs
            for found in [of_pub[register.name]]
        }
        for one, of_pub in zip(batch, packed, strict=True)
    ]
