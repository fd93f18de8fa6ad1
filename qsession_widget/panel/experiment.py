"""Computes how fast a session's jobs follow each other."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qsession_widget.monitoring.snapshot import Snapshot

WINDOW_SECONDS = 3.0
"""How far back jobs are counted, on the service's clock."""
_FRESH = timedelta(seconds=1.5)
_FEWEST_A_SECOND = 2.0
_MOST_LOOKED_AT = 512


def throughput(snapshot: Snapshot) -> float | None:
    """Return how many jobs ended per second of late; None if fewer than two, or after a pause."""
    now, last = snapshot.now, snapshot.jobs.last_end
    if last is None or now - last > _FRESH:
        return None
    begin = now - timedelta(seconds=WINDOW_SECONDS)
    count = 0
    for row in islice(reversed(snapshot.jobs), _MOST_LOOKED_AT):
        if row.ended_at is not None:
            if row.ended_at <= begin:
                break
            count += 1
    found = count / WINDOW_SECONDS
    return found if found >= _FEWEST_A_SECOND else None
