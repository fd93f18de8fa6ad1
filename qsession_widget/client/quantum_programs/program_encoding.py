"""The inputs of an executor job: a quantum program and its options, in IBM's newest schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qsession_widget.errors import CodecError, InvalidInputError
from qsession_widget.support.official import needed
from qsession_widget.support.warnings import warn_user
from qsession_widget.wire import ignored_options
from qsession_widget.wire.codec import SERVICE_QPY_VERSION
from qsession_widget.wire.portable_circuits import portable

if TYPE_CHECKING:
    from qiskit_ibm_runtime.options_models import ExecutorOptions
    from qiskit_ibm_runtime.quantum_program import QuantumProgram

_SCHEMA_VERSION = "v2.0"
"""Newest schema of the program's inputs (ibm-quantum-schemas, `executor`)."""

_SEED = "seed_simulator"
"""The simulator's option that is sent with the experimental options."""


def encoded(program: QuantumProgram, options: ExecutorOptions, *, local: bool) -> dict[str, Any]:
    """Return the inputs of an executor job, as JSON values.

    Warns of options that have no effect on a local runtime.

    Args:
        program: of qiskit-ibm-runtime. Its circuits must be in the backend's instruction set.
        options: of the executor.
        local: whether it goes to a local runtime, which takes a seed.

    Raises:
        InvalidInputError: for values that are not finite, and for delays that are lost in the
            encoding.
        UnsupportedError: without qiskit-ibm-runtime.
    """
    with needed("A quantum program"):
        from qiskit_ibm_runtime.quantum_program import params_converters

    for number, item in enumerate(program.items):
        _check_item(number, item)
    convert = params_converters.QUANTUM_PROGRAM_PARAMS_CONVERTERS[_SCHEMA_VERSION]
    chosen = _with_seed(options) if local else options
    inputs: dict[str, Any] = convert.encoder(program, chosen).model_dump(mode="json")
    if local:
        unheard = [*ignored_options.of_executor(inputs["options"]), *_not_sent(chosen)]
        if unheard:
            warn_user(f"the local runtime does nothing about {', '.join(unheard)}")
    return inputs


def _not_sent(options: ExecutorOptions) -> list[str]:
    """Return the simulator's options that are set but have no field in a job's inputs."""
    asked = options.simulator.model_dump(exclude_defaults=True, exclude={_SEED})
    return [f"simulator.{name}" for name in asked]


def _with_seed(options: ExecutorOptions) -> ExecutorOptions:
    """Return options with the simulator's seed among the experimental ones, where it is sent."""
    seed = options.simulator.seed_simulator
    if seed is None:
        return options
    changed = options.model_copy(deep=True)
    changed.experimental = {_SEED: seed, **options.experimental}
    return changed


def _check_item(number: int, item: Any) -> None:
    """Refuse an item that the official encoding would change without an error, or break."""
    arguments = getattr(item, "circuit_arguments", None)
    if arguments is not None and not np.all(np.isfinite(arguments)):
        raise InvalidInputError(
            f"item {number}: circuit_arguments hold nan or infinity; allowed are finite numbers"
        )
    try:
        kept = portable(item.circuit, SERVICE_QPY_VERSION, plain=True) is item.circuit
    except CodecError as error:
        raise InvalidInputError(f"item {number}: {error}") from error
    if not kept:
        raise InvalidInputError(
            f"item {number}: circuit {item.circuit.name!r} has delays in another unit than dt, or "
            "instructions that QPY, in which circuits are sent, does not give back; write delays "
            "as whole numbers of dt, and transpile the circuit for the device"
        )
