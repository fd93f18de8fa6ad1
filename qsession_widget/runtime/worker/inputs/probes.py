"""Times a few shots of a call to the simulator that may take long, to tell how long it will take.

A call reports nothing before its end. A probe costs a twentieth of the call at most. Its shots are
discarded, so that those of the call are the same as without it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qsession_widget.runtime.worker import progress

if TYPE_CHECKING:
    from collections.abc import Callable

SUSPICIOUS_SECONDS = 10.0
"""Calls that should be shorter, by the rough prediction, are not probed."""

_PART = 20
"""A probe may run one part of so many of the call."""

_PROBE_SECONDS = 2.0
"""About how long a probe lasts, unless that would be a larger part of the call."""

_OF_AN_INSTRUCTION = 1e-5
_OF_AN_AMPLITUDE = 1e-9
_OF_A_TENSOR = 1e-3
"""About how many seconds each takes in one shot. Only the order of magnitude matters."""

_MOST_AMPLITUDES = 2**34


def rough_seconds(instructions: int, width: int, *, tensors: bool) -> float:
    """Predict roughly how long one shot of a circuit takes.

    Args:
        instructions: how many it has.
        width: how many qubits it uses.
        tensors: whether it is simulated as a matrix product state.
    """
    each = _OF_A_TENSOR
    if not tensors:
        each = _OF_AN_INSTRUCTION + min(2**width, _MOST_AMPLITUDES) * _OF_AN_AMPLITUDE
    return instructions * each


def tell_if_long(parts: int, what: str, run: Callable[[int], object]) -> None:
    """Report how long a call will take, if that is long.

    Args:
        parts: how many parts of equal length it has.
        what: what a part is, in the plural.
        run: runs a number of parts.
    """
    if parts < _PART:
        return
    count = 1
    seconds = _seconds(run, count)
    if seconds * parts < progress.LONG_SECONDS:
        return
    count = min(parts // _PART, int(_PROBE_SECONDS / seconds))
    if count > 1:
        # The first part alone may be slower than the others.
        seconds = _seconds(run, count)
    else:
        count = 1
    progress.report_estimate(seconds / count * parts, progress.basis(count, parts, what))


def _seconds(run: Callable[[int], object], count: int) -> float:
    began = time.perf_counter()
    run(count)
    return time.perf_counter() - began
