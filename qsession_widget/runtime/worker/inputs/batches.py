"""Which pubs run in one call of the simulator: more and more of them, while calls are short."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Raw = TypeVar("Raw")
Pub = TypeVar("Pub")

AIM_SECONDS = 0.1
"""How long a call may take: between calls a job shows its results so far, and can be cancelled."""

_MOST_TIMES = 4
"""By how much a call may be larger than the last one."""


def batches(
    pubs: Iterable[Raw],
    read: Callable[[Raw], Pub],
    alike: Callable[[Pub, Pub], bool],
) -> Iterator[list[Pub]]:
    """Yield pubs in order, in groups that run in one call.

    If a pub cannot be read, its error is raised after the pubs before it were yielded.

    Args:
        pubs: as they came.
        read: reads a pub.
        alike: whether two pubs can run in one call.
    """
    most = 1
    waiting: list[Pub] = []
    for raw in pubs:
        try:
            one = read(raw)
        except Exception:
            if waiting:
                yield waiting
            raise
        if waiting and (len(waiting) >= most or not alike(waiting[0], one)):
            started = time.perf_counter()
            yield waiting
            seconds = time.perf_counter() - started
            fit = int(len(waiting) * min(AIM_SECONDS / max(seconds, 1e-9), _MOST_TIMES))
            most = max(fit, 1)
            waiting = []
        waiting.append(one)
    if waiting:
        yield waiting
