"""Draws a session in a terminal with rich; the session's monitor keeps it live."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from qsession_widget.monitoring.monitor import Monitor
from qsession_widget.panel.countdowns import countdowns
from qsession_widget.panel.explanation import holder_parts, in_local_time, why
from qsession_widget.panel.formatting import (
    cache,
    countdown,
    duration,
    first_shown,
    job_counts,
    job_state,
    usage,
)
from qsession_widget.panel.vocabulary import word
from qsession_widget.wire import state_words
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from qsession_widget.client.session import Session
    from qsession_widget.monitoring.deadlines import Countdown
    from qsession_widget.monitoring.snapshot import Notice, Snapshot

MOST_JOBS = 10
_LAST_LOOK_SECONDS = 3.0
"""How long to wait for the service at the end, so that the last picture is up to date."""

_BAR_CELLS = 40

_STATE_STYLES = {
    state_words.RUNNING: "cyan",
    state_words.IDLE: "yellow",
    state_words.IDLE_PAID: "yellow",
    state_words.WAITING: "yellow",
    state_words.CLOSING: "magenta",
}

_STRIP = (
    JobState.COMPLETED,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.RUNNING,
    JobState.QUEUED,
)
"""The order of states in the bar: what is over, what runs, what waits."""

_STYLES = {
    JobState.QUEUED: "yellow",
    JobState.RUNNING: "cyan",
    JobState.COMPLETED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "magenta",
}


def render(snapshot: Snapshot, note: str = "") -> RenderableType:
    """Return a drawing of a snapshot: state, time left, and jobs as `first_shown`.

    Times are in this machine's zone, as in the panel.
    """
    facts = Table.grid(padding=(0, 2))
    state = word(snapshot)
    facts.add_row("State", Text(state, style=f"bold {_STATE_STYLES.get(state, '')}".strip()))
    reason = why(snapshot)
    if reason is not None:
        facts.add_row("Why", Text(in_local_time(reason.parts)))
    holder = holder_parts(snapshot)
    if holder is not None:
        facts.add_row("Waits for", Text(in_local_time(holder), style="yellow"))
    for each in countdowns(snapshot):
        facts.add_row(each.label, _bar(each, snapshot.now))
    facts.add_row("Usage", usage(snapshot))
    if snapshot.cache is not None:
        facts.add_row("Cache", cache(snapshot.cache))
    facts.add_row("Jobs", job_counts(snapshot.jobs))
    if snapshot.jobs:
        facts.add_row("", _strip(snapshot))
    if snapshot.link.error is not None:
        facts.add_row("No answer", Text(snapshot.link.error, style="red"))
    parts: list[RenderableType] = [facts, Text(), _jobs(snapshot)]
    if note:
        parts += [Text(), Text(note)]
    name = snapshot.name or snapshot.session_id or "Simulator"
    title = Text(f"{name} on {snapshot.backend_name}")
    if snapshot.name and snapshot.session_id:
        title.append(f" {snapshot.session_id}", style="dim")
    return Panel(Group(*parts), title=title, title_align="left", padding=(1, 2))


@contextmanager
def live(session: Session, console: Console | None = None) -> Iterator[TerminalView]:
    """Draw a session in the terminal while the block runs."""
    console = console or Console()
    monitor = Monitor.of(session)
    first = monitor.snapshot
    with Live(render(first), console=console, auto_refresh=False) as screen:
        view = TerminalView(screen, first)
        monitor.add(view)
        try:
            yield view
        finally:
            # A request that is under way may have begun before the block's last change; the next
            # one has not.
            monitor.look_now(_LAST_LOOK_SECONDS)
            view.show(monitor.look_now(_LAST_LOOK_SECONDS))
            monitor.remove(view)


class TerminalView:
    """A listener of a monitor, with a line of text that the program may set."""

    looked_at = True

    def __init__(self, screen: Live, snapshot: Snapshot) -> None:
        self._screen = screen
        self._snapshot = snapshot
        self._note = ""

    def show(self, snapshot: Snapshot) -> None:
        """Draw a snapshot."""
        self._snapshot = snapshot
        self._screen.update(render(snapshot, self._note), refresh=True)

    def tell(self, notice: Notice) -> None:
        """Draw the outcome of a command."""
        self.say(notice.text)

    def say(self, note: str) -> None:
        """Set the line below the jobs."""
        self._note = note
        self.show(self._snapshot)


def _jobs(snapshot: Snapshot) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("Job", "Program", "Status"):
        table.add_column(heading, no_wrap=True)
    # Where there is no room for all columns, this one is cut.
    table.add_column("Result")
    table.add_column("Duration", justify="right", no_wrap=True)
    shown = first_shown(snapshot.jobs, MOST_JOBS)
    for job in shown:
        style = _STYLES[JobState(job.state)] if job.state in set(JobState) else ""
        ran = duration(job.duration_seconds(snapshot.now))
        table.add_row(
            Text(job.id),
            Text(job.program),
            Text(job_state(job), style=style),
            Text(str(job.summary or ""), no_wrap=True, overflow="ellipsis"),
            ran,
        )
    more = len(snapshot.jobs) - len(shown)
    if more:
        table.add_row(Text(f"and {more:,} more", style="dim"))
    return table


def _bar(deadline: Countdown, now: datetime) -> Table:
    """Return how much is left of a deadline, as a bar and in figures."""
    left = deadline.left_seconds(now)
    line = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=deadline.seconds, completed=left, width=_BAR_CELLS)
    line.add_row(bar, countdown(deadline, now))
    return line


def _strip(snapshot: Snapshot) -> Text:
    """Return one bar of the jobs in each state."""
    counts = {state: snapshot.count(state) for state in _STRIP}
    strip, total, drawn = Text(), sum(counts.values()), 0
    for until, (state, count) in zip(accumulate(counts.values()), counts.items(), strict=True):
        end = round(_BAR_CELLS * until / max(total, 1))
        # A state that has any jobs is seen.
        end = max(end, drawn + 1) if count else drawn
        strip.append("\N{BOX DRAWINGS HEAVY HORIZONTAL}" * (end - drawn), style=_STYLES[state])
        drawn = end
    return strip
