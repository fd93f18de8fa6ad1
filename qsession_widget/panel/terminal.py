"""Draws a session in a terminal with rich; the session's monitor keeps it live."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from qsession_widget.monitoring.monitor import Monitor
from qsession_widget.panel.countdowns import countdowns
from qsession_widget.panel.explanation import why
from qsession_widget.panel.formatting import (
    cache,
    countdown,
    duration,
    job_counts,
    job_state,
    status,
    usage,
)
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qsession_widget.client.session import Session
    from qsession_widget.monitoring.snapshot import Notice, Snapshot

MOST_JOBS = 10
_LAST_LOOK_SECONDS = 3.0
"""How long to wait for the service at the end, so that the last picture is up to date."""

_STYLES = {
    JobState.QUEUED: "yellow",
    JobState.RUNNING: "cyan",
    JobState.COMPLETED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "magenta",
}


def render(snapshot: Snapshot, note: str = "") -> RenderableType:
    """Return a drawing of a snapshot: status, time left, and the last jobs, newest first."""
    facts = Table.grid(padding=(0, 2))
    facts.add_row("Status", Text(status(snapshot), style="bold"))
    reason = why(snapshot)
    if reason is not None:
        facts.add_row("Why", Text(str(reason)))
    for each in countdowns(snapshot):
        facts.add_row(each.label, countdown(each, snapshot.now))
    facts.add_row("Usage", usage(snapshot))
    if snapshot.cache is not None:
        facts.add_row("Cache", cache(snapshot.cache))
    facts.add_row("Jobs", job_counts(snapshot.jobs))
    if snapshot.link.error is not None:
        facts.add_row("No answer", Text(snapshot.link.error, style="red"))
    parts: list[RenderableType] = [facts, Text(), _jobs(snapshot)]
    if note:
        parts += [Text(), Text(note)]
    title = Text(f"{snapshot.session_id or 'simulator'} on {snapshot.backend_name}")
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
    table.add_column("Duration", justify="right", no_wrap=True)
    for job in reversed(snapshot.jobs[-MOST_JOBS:]):
        style = _STYLES[JobState(job.state)] if job.state in set(JobState) else ""
        ran = duration(job.duration_seconds(snapshot.now))
        table.add_row(Text(job.id), Text(job.program_id), Text(job_state(job), style=style), ran)
    return table
