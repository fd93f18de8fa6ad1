"""Counts the outcomes and reads the values of which a result's summary consists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.primitives import BitArray, PrimitiveResult

from qsession_widget.wire.results.summary import LONGEST_BITS, Summary, most_outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_MOST_BYTES = 2**20
"""Larger arrays of shots are not counted for this."""


def summary_of(result: object) -> Summary | None:
    """Return a result's summary; None for results that have no short form."""
    if not isinstance(result, PrimitiveResult) or len(result) == 0:
        return None
    return of_data(dict(result[0].data.items()))


def of_data(data: Mapping[str, Any]) -> Summary | None:
    """Return the summary of a pub's data: of its first register, or of its value."""
    for name, found in data.items():
        if isinstance(found, BitArray):
            return of_shots(found.array, found.num_bits)
        if name == "evs":
            return of_value(found, data.get("stds"))
    return None


def of_value(value: Any, error: Any = None) -> Summary | None:
    """Return the summary of one expectation value; None for several, and for nan and infinity."""
    flat = np.asarray(value, dtype=float)
    if flat.size != 1 or not np.isfinite(flat).all():
        return None
    spread = None if error is None else np.asarray(error, dtype=float)
    known = spread is not None and spread.size == 1 and bool(np.isfinite(spread).all())
    return Summary(flat.item(), spread.item() if known and spread is not None else None)


def of_shots(shots: NDArray[np.uint8], bits: int) -> Summary | None:
    """Return the most frequent outcomes of shots, of all parameter values together.

    Args:
        shots: of shape (..., bytes), each a number with its highest byte first.
        bits: how many bits of each count.
    """
    if not 0 < shots.nbytes <= _MOST_BYTES or bits > LONGEST_BITS:
        return None
    rows = shots.reshape(-1, shots.shape[-1])
    if rows.shape[1] == 1:
        every = np.bincount(rows[:, 0])
        found = np.flatnonzero(every)
        counts = every[found]
    else:
        # As whole numbers, numpy counts them many times faster than as rows of bytes.
        numbers = np.zeros((len(rows), 8), dtype=np.uint8)
        numbers[:, -rows.shape[1] :] = rows
        found, counts = np.unique(numbers.view(">u8")[:, 0].astype(np.uint64), return_counts=True)
    top = np.argsort(-counts, kind="stable")[: most_outcomes(bits)]
    return Summary(
        outcomes=tuple(
            (format(int(found[at]), f"0{bits}b"), float(counts[at] / len(rows))) for at in top
        )
    )
