"""Dispatches a task to its program by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qsession_widget.errors import UnsupportedError
from qsession_widget.runtime.worker import official_package, primitives
from qsession_widget.runtime.worker.limits import Limits
from qsession_widget.runtime.worker.outcome import RejectedError
from qsession_widget.wire.fields import EXECUTOR, NOISE_LEARNER

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.runtime.worker.outcome import Outcome

EXECUTOR_MODULE = "qsession_widget.runtime.worker.executor_program"
EXECUTOR_IMPORTS = (
    "samplomatic",
    "ibm_quantum_schemas.executor",
    "qiskit_ibm_runtime.options_models",
    "qiskit_ibm_runtime.quantum_program.params_converters",
    EXECUTOR_MODULE,
)
"""It, after what it imports: each takes a part of the time."""

NOISE_LEARNER_MODULE = "qsession_widget.runtime.worker.noise_learner_program"


def run(task: dict[str, Any], on_interim: Callable[[str], None]) -> Outcome:
    """Run a job's program.

    Args:
        task: a `messages.Task` as a dict.
        on_interim: called with each pub's encoded result as soon as it is ready, except the last.

    Raises:
        RejectedError: for a payload that cannot be read or run on its device.
    """
    device = task["device"] or task["backend"]
    limits = Limits(**task["limits"])
    found: Outcome
    if task["program_id"] == EXECUTOR:
        found = _official(EXECUTOR_MODULE).run(task["params"], device, limits)
        return found
    if task["program_id"] == NOISE_LEARNER:
        program = _official(NOISE_LEARNER_MODULE)
        found = program.run(task["params"], device, task["backend"], limits)
        return found
    return primitives.run(
        task["program_id"],
        task["params"],
        device,
        optimization_level=task["optimization_level"],
        on_interim=on_interim,
        limits=limits,
    )


def _official(module: str) -> Any:
    """Import a program that uses parts of IBM's package."""
    try:
        return official_package.load(module)
    except UnsupportedError as error:
        raise RejectedError(str(error)) from error
