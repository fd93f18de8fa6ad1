"""Results in few characters: what a panel shows of each job beside its state."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit.primitives import BitArray, PrimitiveResult

from qsession_widget.support import forking

MOST_OUTCOMES = 4
_MOST_BYTES = 2**18
"""Larger arrays of shots are not counted for this: it happens while the user waits."""
_MOST_KEPT = 10_000
_LONGEST_BITS = 40


@dataclass(frozen=True)
class Summary:
    """A job's first value, or its most frequent outcomes.

    Attributes:
        value: the expectation value of a first pub that has one only; None otherwise.
        error: its standard error; None if there is none.
        outcomes: bits and their share of the shots, 0 to 1, the most frequent first.
    """

    value: float | None = None
    error: float | None = None
    outcomes: tuple[tuple[str, float], ...] = ()


def summary_of(result: object) -> Summary | None:
    """Return a result's summary; None for results that have no short form."""
    if not isinstance(result, PrimitiveResult) or len(result) == 0:
        return None
    data = result[0].data
    for name, found in data.items():
        if isinstance(found, BitArray):
            return _outcomes(found)
        if name == "evs":
            return _value(found, getattr(data, "stds", None))
    return None


class Summaries:
    """The summaries of the results that this process has decoded lately. Threads may share it."""

    def __init__(self) -> None:
        self._lock = forking.Lock()
        self._kept: dict[str, Summary] = {}
        self._order: deque[str] = deque(maxlen=_MOST_KEPT)
        self._count = 0

    def note(self, job_id: str, result: object) -> None:
        """Keep the summary of a job's result."""
        found = summary_of(result)
        if found is None:
            return
        with self._lock:
            if job_id not in self._kept:
                if len(self._order) == _MOST_KEPT:
                    self._kept.pop(self._order[0])
                self._order.append(job_id)
                self._count += 1
            self._kept[job_id] = found

    def get(self, job_id: str) -> Summary | None:
        """Return a job's summary; None if its result has not been decoded here."""
        return self._kept.get(job_id)

    def since(self, count: int) -> tuple[int, dict[str, Summary]]:
        """Return how many there have been, and those that came after the first `count`."""
        with self._lock:
            fresh = min(self._count - count, len(self._order))
            ids = [self._order[-at] for at in range(fresh, 0, -1)]
            return self._count, {job_id: self._kept[job_id] for job_id in ids}


def _value(values: Any, errors: Any) -> Summary | None:
    flat = np.asarray(values, dtype=float)
    if flat.size != 1 or not np.isfinite(flat).all():
        return None
    spread = None if errors is None else np.asarray(errors, dtype=float)
    known = spread is not None and spread.size == 1 and bool(np.isfinite(spread).all())
    return Summary(flat.item(), spread.item() if known and spread is not None else None)


def _outcomes(bits: BitArray) -> Summary | None:
    shots = bits.array.reshape(-1, bits.array.shape[-1])
    if not 0 < shots.nbytes <= _MOST_BYTES or bits.num_bits > _LONGEST_BITS:
        return None
    # A shot is a row of bytes; as one value each, numpy counts them at once.
    rows = np.ascontiguousarray(shots).view(np.dtype((np.void, shots.shape[1]))).reshape(-1)
    found, counts = np.unique(rows, return_counts=True)
    top = sorted(range(len(found)), key=lambda at: (-counts[at], bytes(found[at])))[:MOST_OUTCOMES]
    return Summary(
        outcomes=tuple(
            (
                format(int.from_bytes(bytes(found[at])), f"0{bits.num_bits}b"),
                float(counts[at] / len(rows)),
            )
            for at in top
        )
    )
