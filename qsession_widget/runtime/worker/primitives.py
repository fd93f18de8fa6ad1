"""Runs sampler and estimator jobs: reads the payload, runs its pubs, encodes their results.

The payload is decoded here and nowhere else in the runtime, since it comes from a user.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qiskit.circuit import QuantumCircuit

from qsession_widget.errors import CodecError, InvalidInputError
from qsession_widget.runtime.worker import aer, progress
from qsession_widget.runtime.worker.aer import Run
from qsession_widget.runtime.worker.device import SimulatedDevice, caches
from qsession_widget.runtime.worker.estimator import estimate
from qsession_widget.runtime.worker.inputs import shots as shot_rules
from qsession_widget.runtime.worker.limits import NO_LIMITS
from qsession_widget.runtime.worker.noise import given_noise
from qsession_widget.runtime.worker.outcome import Outcome, RejectedError
from qsession_widget.runtime.worker.sampler import sample
from qsession_widget.wire import codec, execution_spans, ignored_options
from qsession_widget.wire.fields import CLASSIFIED, EXTRA
from qsession_widget.wire.results import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.runtime.worker.limits import Limits
    from qsession_widget.wire.results.summary import Summary

PROGRAMS = {"sampler": sample, "estimator": estimate}

OPAQUE_TYPES = ("_json", "settings", given_noise.TAG)
"""Tags that are left undecoded: the noise learner's results, which an estimator's options may hold,
and a noise model, which is read where its option is."""

GROUPS = ("simulator", "execution", "twirling", "resilience", "dynamical_decoupling")
"""Options that hold options."""


def run(
    program_id: str,
    params: str,
    backend: str,
    *,
    optimization_level: int,
    on_interim: Callable[[str], None],
    limits: Limits = NO_LIMITS,
) -> Outcome:
    """Run a sampler or estimator program.

    Args:
        program_id: "sampler" or "estimator".
        params: JSON text of the job's `params`.
        backend: name of the recorded device.
        optimization_level: for circuits that are not in the device's instruction set.
        on_interim: called with each pub's encoded result as soon as it is ready, except the last.
        limits: of the runtime, besides the device's own.

    Raises:
        RejectedError: for a payload that cannot be read or run on this device.
    """
    inputs = _read(params)
    pubs, options = inputs["pubs"], inputs.get("options") or {}
    _check_groups(options)
    try:
        shot_rules.check(options)
        given = given_noise.read((options.get("simulator") or {}).get("noise_model"))
    except InvalidInputError as error:
        raise RejectedError(str(error)) from error
    meas_type = (options.get("execution") or {}).get("meas_type")
    if program_id == "sampler" and meas_type not in (None, CLASSIFIED):
        raise RejectedError(
            f"options.execution.meas_type is {meas_type!r:.80}; this runtime gives {CLASSIFIED!r} "
            "results only."
        )
    progress.expect(len(pubs))
    started = time.perf_counter()
    results: list[str] = []
    taken: list[execution_spans.Span] = []
    summary: Summary | None = None
    device = SimulatedDevice(backend, optimization_level, limits, given)
    try:
        for result, span in PROGRAMS[program_id](pubs, options, device):
            if not results:
                summary = outcomes.of_data(dict(result.data.items()))
            results.append(codec.dumps(result))
            taken.append(span)
            if len(results) < len(pubs):
                # The last one comes with the end of the job.
                on_interim(results[-1])
    except InvalidInputError as error:
        raise RejectedError(f"Pub {len(results)} cannot run: {error}.") from error
    busy_seconds = time.perf_counter() - started
    metadata = _metadata(options, ignored_options.names(program_id, inputs))
    if program_id == "sampler":
        metadata["execution"] = {"execution_spans": execution_spans.document(taken)}
    return Outcome(codec.joined(results, metadata=metadata), busy_seconds, summary)


def take_lasting_memory() -> None:
    """Let libraries take what they keep for good, before a job's memory is counted."""
    aer.take_lasting_memory()


def warm(backend: str) -> None:
    """Make the process ready for jobs on a device, its caches and Aer, by a job of one shot.

    A small device's noise is then complete; a large one's depends on the qubits of a circuit.

    No pass manager is made: a job that arrives meanwhile would have to wait for one that it may not
    need.
    """
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    device = SimulatedDevice(backend, optimization_level=1)
    executable = device.executable(device.runnable(circuit))
    executable.execute([Run(0, ())], shots=1, seed=None, memory=True)
    executable.simulator.noise.write()


def _read(params: str) -> dict[str, Any]:
    """Decode the payload: an object whose `pubs` are a list of at least one pub."""
    caches.circuits.release()
    try:
        inputs = codec.loads(
            params,
            circuit=caches.circuits.decode,
            opaque=OPAQUE_TYPES,
            most_bytes=codec.MOST_UNPACKED_BYTES,
        )
    except CodecError as error:
        raise RejectedError(f"The job's params cannot be read: {error}") from error
    if not isinstance(inputs, dict):
        raise RejectedError(f"params is {inputs!r:.80}; it has to be an object.")
    pubs = inputs.get("pubs")
    if not isinstance(pubs, list) or not pubs:
        raise RejectedError(f"pubs is {pubs!r:.80}; it has to be a list of at least one pub.")
    return inputs


def _check_groups(options: Any) -> None:
    """Reject options that are not an object, and groups of options that are not one."""
    if not isinstance(options, dict):
        raise RejectedError(f"options is {options!r:.80}; options are objects with names.")
    for name in GROUPS:
        group = options.get(name)
        if group is not None and not isinstance(group, dict):
            raise RejectedError(f"options.{name} is {group!r:.80}; it has to be an object.")


def _metadata(options: dict[str, Any], ignored: list[str]) -> dict[str, Any]:
    """Describe how the job ran; as at IBM, with the noise model that was given.

    Args:
        options: of the job.
        ignored: names of the options that changed nothing.
    """
    found: dict[str, Any] = {"version": 2}
    resilience = options.get("resilience")
    learned = resilience.get("layer_noise_model") if isinstance(resilience, dict) else None
    if learned is not None:
        unused = {"zne_mitigation": False, "pec_mitigation": False}
        found["resilience"] = {**unused, "layer_noise_model": learned}
    if ignored:
        found[EXTRA] = {"ignored_options": ignored}
    return found
