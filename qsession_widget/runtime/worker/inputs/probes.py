"""Times a few shots of a call to the simulator that may take long, to tell how long it will take.

Nothing of a call can be seen before its end. A probe costs a twentieth of the call at most, and its
shots are not used: those of the call are the same as without it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qsession_widget.runtime.worker import progress

if TYPE_CHECKING:
    from collections.abc import Callable

SUSPICIOUS_SECONDS = 10.0
"""Shorter calls, by the rough prediction, are not probed."""

_PART = 20
"""The largest part of a call that a probe may be."""

_PROBE_SECONDS = 2.0
"""About how long a probe lasts, where that is no larger part."""

_OF_AN_INSTRUCTION = 1e-5
_OF_AN_AMPLITUDE = 1e-9
_OF_A_TENSOR = 1e-3
"""Seconds that each takes about, in one shot. Only the order of magnitude matters."""

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
    """Tell how long a call will take if that is long.

    Args:
        parts: of equal length that it has.
        what: one is, in the plural.
        run: runs so many of them.
    """
    if parts < _PART:
        return
    count = 1
    seconds = _seconds(run, count)
    if seconds * parts < progress.LONG_SECONDS:
        return
    count = min(parts // _PART, int(_PROBE_SECONDS / seconds))
    if count > 1:
        # The first one alone may be slower.
        seconds = _seconds(run, count)
    else:
        count = 1
    progress.foresee(seconds / count * parts, progress.the_first(count, parts, what))


def _seconds(run: Callable[[int], object], count: int) -> float:
    began = time.perf_counter()
    run(count)
    return time.perf_counter() - began
