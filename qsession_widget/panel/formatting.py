"""Formats figures, times and states as text, for every view that Python draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qsession_widget.panel.usage import shares, spent
from qsession_widget.panel.vocabulary import word
from qsession_widget.wire.state_words import job_word
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from datetime import datetime

    from qsession_widget.monitoring.deadlines import Countdown
    from qsession_widget.monitoring.job_list import JobList
    from qsession_widget.monitoring.job_row import JobRow
    from qsession_widget.monitoring.snapshot import CacheFigures, Snapshot

UNKNOWN = "\N{EN DASH}"
_TENTH = 0.1
_MINUTE = 60
_HOUR = 3600


def duration(seconds: float | None) -> str:
    """Format a duration: "0.04 s", "12.3 s", "2 min 05 s", "1 h 03 min"."""
    if seconds is None:
        return UNKNOWN
    if seconds < 1:
        return f"{seconds:.2f} s"
    if round(seconds, 1) < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"


def whole_duration(seconds: float | None) -> str:
    """Format a duration that was configured: "60 s", "30 min", "8 h"."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole and whole % _HOUR == 0:
        return f"{whole // _HOUR} h"
    if whole > _MINUTE and whole % _MINUTE == 0:
        return f"{whole // _MINUTE} min"
    return f"{whole} s" if whole <= _MINUTE else duration(seconds)


def countdown(deadline: Countdown, now: datetime) -> str:
    """Format how much is left of a deadline."""
    return f"{duration(deadline.left_seconds(now))} of {duration(deadline.seconds)}"


def usage(snapshot: Snapshot) -> str:
    """Format the usage of a session, with its parts where they are known.

    The parts have the precision of the total, and add up to it.
    """
    seconds, split = spent(snapshot)
    total = duration(seconds)
    if split is None or seconds is None:
        return total
    named = (
        (split.on_device, "on device"),
        (split.preparing, "preparing"),
        (split.idle, "idle"),
    )
    parts = [(part, what) for part, what in named if part is not None]
    unit = _unit(seconds)
    found = shares(seconds, parts, unit)
    said = (
        [f"{duration(part)} {what}" for part, what in parts]
        if found is None
        else [f"{_in_units(count, unit)} {what}" for count, what in found]
    )
    return f"{total} ({', '.join(said)})"


def _unit(seconds: float) -> float:
    """Return the step to which `duration` rounds a length of time."""
    if seconds < 1:
        return 0.01
    if round(seconds, 1) < _MINUTE:
        return 0.1
    return 1 if round(seconds) < _HOUR else _MINUTE


def _in_units(count: int, unit: float) -> str:
    if unit < 1:
        return f"{count * unit:.{2 if unit < _TENTH else 1}f} s"
    if unit == _MINUTE:
        return f"{count} min" if count < _MINUTE else duration(count * unit)
    return f"{count} s" if count < _MINUTE else duration(count)


def cache(figures: CacheFigures) -> str:
    """Format what the cache has saved."""
    times = f"{figures.hits} hit{'s' * (figures.hits != 1)}, {figures.misses} missed"
    return f"{times}, {duration(figures.seconds_saved)} saved"


def job_state(job: JobRow) -> str:
    """Format the state of a job, with its stage where that is known."""
    doing, word = job.sub_status, job_word(job.state)
    return word if doing is None else f"{word}, {doing.replace('_', ' ')}"


def clock_time(when: datetime | None) -> str:
    """Format a time in UTC, to the second."""
    return UNKNOWN if when is None else f"{when:%Y-%m-%d %H:%M:%S} UTC"


def headline(snapshot: Snapshot) -> str:
    """Return the session's name, id, backend and state in one line."""
    if snapshot.simulator:
        what = "Jobs"
    elif snapshot.name:
        what = f"{snapshot.name}, session {snapshot.session_id}"
    else:
        what = f"Session {snapshot.session_id}"
    backend = snapshot.backend_name or "a backend that is not known yet"
    return f"{what} on {backend}: {word(snapshot)}"


def first_shown(jobs: JobList, most: int) -> list[JobRow]:
    """Return the jobs that a short list shows: those that run, that wait next, and ended last."""
    running = [job for job in jobs if job.state == JobState.RUNNING]
    queued = [job for job in jobs if job.state == JobState.QUEUED][:most]
    ended = [job for job in reversed(jobs) if job.state not in {JobState.RUNNING, JobState.QUEUED}]
    return [*running, *queued, *ended][:most]


def job_counts(jobs: JobList) -> str:
    """Format the number of jobs, and of jobs in each state."""
    if not jobs:
        return "no jobs yet"
    parts = [
        f"{jobs.counts[state]:,} {job_word(state).lower()}"
        for state in JobState
        if jobs.counts[state]
    ]
    return f"{len(jobs):,} job{'s' if len(jobs) > 1 else ''} ({', '.join(parts)})"
