"""Pubs as they are decoded from a payload: their parts, and the values of their parameters."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.exceptions import QiskitError

from qsession_widget.runtime.worker.outcome import RejectedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit.primitives.containers.sampler_pub import SamplerPub


def parts(raw: Any, count: int) -> list[Any]:
    """Return the parts of a pub; those left out at its end are None.

    Args:
        raw: the decoded pub.
        count: how many parts a pub of the program has at most.

    Raises:
        RejectedError: for anything but a list that begins with a circuit.
    """
    if not isinstance(raw, list) or not 0 < len(raw) <= count:
        raise RejectedError(f"A pub is a list of one to {count} items, not {raw!r:.80}.")
    if not isinstance(raw[0], QuantumCircuit):
        raise RejectedError(f"A pub begins with a circuit, not with {raw[0]!r:.80}.")
    return [*raw, *[None] * (count - len(raw))]


@contextmanager
def qiskit_checks() -> Iterator[None]:
    """Reject the job where Qiskit's own checks of a pub fail, with their message."""
    try:
        yield
    except (QiskitError, ValueError, TypeError, ArithmeticError) as error:
        message = getattr(error, "message", None) or error
        raise RejectedError(f"A pub that cannot be read: {message}") from error


def parameter_rows(pub: SamplerPub | EstimatorPub, columns: list[int]) -> list[list[float]]:
    """Return the values of a circuit's parameters, a row for each of its runs.

    Args:
        pub: the pub.
        columns: for each parameter of the circuit that runs, its place among the pub's.

    Raises:
        RejectedError: for a value that is not finite.
    """
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    if not np.all(np.isfinite(values)):
        raise RejectedError(
            "A parameter has the value nan or infinity; allowed are finite numbers."
        )
    rows = values.reshape(math.prod(pub.parameter_values.shape), pub.circuit.num_parameters)
    found: list[list[float]] = rows[:, columns].tolist()
    return found
