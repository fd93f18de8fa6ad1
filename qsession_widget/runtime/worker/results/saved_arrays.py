"""What circuits save at their end, of many runs: a portion at a time, and each only once.

A density matrix of ten qubits has 16 MB, so that those of a long sweep do not fit into memory
together. Iterations often ask for a state again, to measure something else on it: the last ones are
kept.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qsession_widget.runtime.worker import progress
from qsession_widget.runtime.worker.aer import saved

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from qsession_widget.runtime.worker.aer import Array, Executable, Run
    from qsession_widget.runtime.worker.lru_cache import LruCache

NUMBERS = 1 << 20
"""How many numbers are held at once: 16 MB of density matrices. Reading them takes some more."""


class Wanted(NamedTuple):
    """Arrays that are wanted.

    Attributes:
        executable: a circuit that saves an array at its end.
        key: stands for the circuit, so that its arrays are kept; None if it has no key.
        numbers: how many numbers the array has.
        runs: of the circuit; an array is wanted of each.
    """

    executable: Executable
    key: Hashable | None
    numbers: int
    runs: Sequence[Run]


class Portion(NamedTuple):
    """Arrays of some runs that follow each other.

    Attributes:
        part: the place of what was wanted.
        first: the place of the first of these runs there.
        arrays: of shape (runs, ...).
    """

    part: int
    first: int
    arrays: Array


def in_portions(wanted: Sequence[Wanted], kept: LruCache[Array]) -> Iterator[Portion]:
    """Yield what is wanted, in order; all of it counts as one use of the device for each part.

    Args:
        wanted: what is wanted.
        kept: arrays of the last runs, by circuit and values of its parameters.

    Raises:
        AerError: where a simulation fails.
    """
    with progress.on_device(len(wanted)):
        began = datetime.now(UTC)
        for some in _that_fit(wanted):
            found = _simulated(some, kept)
            for part, ones in groupby(some, lambda each: each.part):
                of_part = list(ones)
                arrays = np.stack([found[each.key or each.place] for each in of_part])
                yield Portion(part, of_part[0].number, arrays)
        for each in wanted:
            each.executable.ran = began, datetime.now(UTC)


class _One(NamedTuple):
    """One array.

    Attributes:
        part: the place of what was wanted.
        number: of the run there.
        executable: saves it.
        run: of the executable.
        key: the same for equal arrays; None for one that is not kept.
    """

    part: int
    number: int
    executable: Executable
    run: Run
    key: Hashable | None

    @property
    def place(self) -> Hashable:
        """Where it is wanted, which is no other's key."""
        return self.part, self.number


def _that_fit(wanted: Sequence[Wanted]) -> Iterator[list[_One]]:
    """Yield the arrays in order, as many at once as `NUMBERS` allows."""
    some: list[_One] = []
    held = 0
    for part, each in enumerate(wanted):
        for number, run in enumerate(each.runs):
            if some and held + each.numbers > NUMBERS:
                yield some
                some, held = [], 0
            key = None if each.key is None else (each.key, tuple(run.values))
            some.append(_One(part, number, each.executable, run, key))
            held += each.numbers
    if some:
        yield some


def _simulated(some: Sequence[_One], kept: LruCache[Array]) -> dict[Hashable, Array]:
    """Return arrays by their key or place, and keep those that were not known."""
    found: dict[Hashable, Array] = {}
    missing: dict[Hashable, _One] = {}
    for each in some:
        known = None if each.key in missing else kept.find(each.key)
        if known is None:
            missing.setdefault(each.key or each.place, each)
        else:
            found[each.key] = known.value
    parts = [
        (executable, list(ones))
        for executable, ones in groupby(missing.values(), lambda each: each.executable)
    ]
    if not parts:
        return found
    started = time.perf_counter()
    arrays = saved([(executable, [each.run for each in ones]) for executable, ones in parts])
    seconds = (time.perf_counter() - started) / len(missing)
    for (_, ones), own in zip(parts, arrays, strict=True):
        for each, array in zip(ones, own, strict=True):
            found[each.key or each.place] = array
            kept.keep(each.key, array, seconds)
    return found
