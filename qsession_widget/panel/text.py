"""Draws a session as plain text: for terminals, logs, and the text of a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from qsession_widget.panel.countdowns import countdowns
from qsession_widget.panel.explanation import holder_parts, in_utc, why
from qsession_widget.panel.formatting import (
    cache,
    clock_time,
    countdown,
    duration,
    first_shown,
    headline,
    job_counts,
    job_state,
    usage,
)

if TYPE_CHECKING:
    from qsession_widget.monitoring.snapshot import Snapshot

MOST_JOBS = 20


def as_text(snapshot: Snapshot) -> str:
    """Return a snapshot as a few lines: the session, and its jobs as `first_shown`."""
    lines = [headline(snapshot)]
    explained = why(snapshot)
    if explained is not None:
        lines.append(f"  {explained}")
    holder = holder_parts(snapshot)
    if holder is not None:
        lines.append(f"  {in_utc(holder)}")
    if snapshot.link.error is not None:
        lines.append(f"  no answer from the service: {snapshot.link.error}")
    lines.extend(
        f"  {each.label.lower()}: {countdown(each, snapshot.now)}" for each in countdowns(snapshot)
    )
    if snapshot.session.elapsed_time is not UNSET:
        lines.append(f"  usage: {usage(snapshot)}")
    if snapshot.cache is not None:
        lines.append(f"  cache: {cache(snapshot.cache)}")
    lines.append(f"  {job_counts(snapshot.jobs)}, as of {clock_time(snapshot.now)}")
    shown = first_shown(snapshot.jobs, MOST_JOBS)
    for job in shown:
        ran = duration(job.duration_seconds(snapshot.now))
        end = job.reason or job.summary
        said = f"  {end}" if end else ""
        lines.append(f"  {job.id}  {job.program:<9}  {job_state(job):<9}  {ran:>8}{said}")
    if len(snapshot.jobs) > len(shown):
        lines.append(f"  and {len(snapshot.jobs) - len(shown):,} more")
    return "\n".join(lines)
