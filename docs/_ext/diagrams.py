"""Draws the states of a session and timelines as SVG, from the code that decides about sessions.

`.. session-states::` draws every transition. `.. timeline:: TITLE` takes one event a line, such as
`1:30 submit A`, applies the events to a session (`runtime/model/lifecycle`), and draws its states
and jobs. The pictures are inside of the page and take its colours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.cost import Cost
from qsession_widget.wire.states import Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sphinx.application import Sphinx

S = SessionState

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ENDED = ("failed", "cancelled")
"""How a job ends that never ran."""

BOX_WIDTH, BOX_HEIGHT = 150, 44

PLACES: dict[SessionState, tuple[int, int]] = {
    S.OPEN: (80, 70),
    S.ACTIVE: (330, 70),
    S.PENDING_INACTIVE: (600, 70),
    S.INACTIVE: (600, 240),
    S.PENDING_CLOSED: (330, 240),
    S.CLOSED: (330, 390),
}
"""The middle of each state's box."""


@dataclass(frozen=True)
class Arrow:
    """A transition in the picture.

    Attributes:
        path: the line, in SVG's language.
        label: one or more lines of text.
        at: the middle of the first line of the label.
    """

    path: str
    label: tuple[str, ...]
    at: tuple[int, int]


ARROWS: dict[tuple[SessionState, SessionState], Arrow] = {
    (S.OPEN, S.ACTIVE): Arrow("M155 70 H253", ("first job", "starts"), (204, 44)),
    (S.OPEN, S.CLOSED): Arrow(
        "M80 92 V390 H253", ("closed or cancelled,", "30 min without a job"), (166, 408)
    ),
    (S.ACTIVE, S.PENDING_INACTIVE): Arrow(
        "M405 70 H523", ("active time over,", "a job runs"), (464, 44)
    ),
    (S.ACTIVE, S.INACTIVE): Arrow(
        "M385 92 L545 216", ("1 min idle, or", "active time over"), (428, 165)
    ),
    (S.INACTIVE, S.ACTIVE): Arrow("M575 216 L407 84", ("a job starts",), (532, 135)),
    (S.PENDING_INACTIVE, S.INACTIVE): Arrow("M620 92 V216", ("it ends",), (648, 160)),
    (S.PENDING_INACTIVE, S.PENDING_CLOSED): Arrow(
        "M675 82 H706 V304 H372 V264", ("closed, or maximum time over",), (474, 321)
    ),
    (S.ACTIVE, S.PENDING_CLOSED): Arrow(
        "M318 92 V216", ("closed or maximum", "time over, jobs run"), (244, 150)
    ),
    (S.PENDING_CLOSED, S.ACTIVE): Arrow("M342 216 V94", ("worker dies",), (382, 206)),
    (S.ACTIVE, S.CLOSED): Arrow("M255 84 H165 V372 H253", ("closed,", "nothing left"), (210, 300)),
    (S.PENDING_CLOSED, S.CLOSED): Arrow("M330 262 V366", ("last job ends",), (376, 346)),
    (S.INACTIVE, S.CLOSED): Arrow(
        "M600 262 V384 H407", ("closed, or maximum time over",), (510, 377)
    ),
}
"""Every transition. `tests/docs/test_diagrams.py` compares them with those of the code."""


def state_diagram() -> str:
    """Return the states of a session and every transition between them, as SVG."""
    told = ", ".join(f"{old} to {new}" for old, new in ARROWS)
    return "".join(
        [
            _head("qs-states", 722, 436, "The states of a session", f"Transitions: {told}."),
            MARKER,
            *(
                f'<path class="qs-line" d="{arrow.path}" marker-end="url(#qs-arrow)"/>'
                for arrow in ARROWS.values()
            ),
            *(
                f'<text class="qs-label" x="{arrow.at[0]}" y="{arrow.at[1] + 14 * number}">'
                f"{escape(line)}</text>"
                for arrow in ARROWS.values()
                for number, line in enumerate(arrow.label)
            ),
            *(
                f'<rect class="qs-box qs-{state}" x="{x - BOX_WIDTH // 2}" '
                f'y="{y - BOX_HEIGHT // 2}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
                f'<text class="qs-state qs-on-{state}" x="{x}" y="{y + 5}">{state}</text>'
                for state, (x, y) in PLACES.items()
            ),
            "</svg></div>",
        ]
    )


MARKER = (
    '<defs><marker id="qs-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto-start-reverse"><path class="qs-head" d="M0 0 L8 4 L0 8 z"/>'
    "</marker></defs>"
)


class TimelineError(ValueError):
    """A line of a timeline is not an event."""


@dataclass
class History:
    """What happened to a session and to its jobs."""

    session: lifecycle.Session
    jobs: dict[str, list[tuple[str, datetime]]] = field(default_factory=dict)
    notes: list[tuple[datetime, str]] = field(default_factory=list)
    until: datetime = BEGIN


def history(
    lines: Iterable[str], *, max_seconds: int = 28_800, mode: Mode = Mode.DEDICATED
) -> History:
    """Apply events to a session that is opened at 0:00.

    Args:
        lines: events, each `MINUTES:SECONDS EVENT [JOB]`; an event is submit, start, end, close,
            cancel or until.
        max_seconds: maximum time of the session.
        mode: a session or a batch.

    Raises:
        TimelineError: for a line of another form.
    """
    found = History(
        lifecycle.create(
            lifecycle.Session(
                id="s",
                owner="o",
                backend="fake_manila",
                mode=mode,
                max_seconds=max_seconds,
                interactive_seconds=60,
                active_seconds=max_seconds,
                first_job_seconds=1_800,
                created_at=BEGIN,
            )
        )
    )
    for line in filter(str.strip, lines):
        when, event, job = _event(line)
        _let_time_pass(found, when)
        if event in {"submit", "start", "end"}:
            found.jobs.setdefault(job, []).append((event, when))
        session = found.session
        match event:
            case "submit":
                found.session = lifecycle.submit(session)
            case "start":
                found.session = lifecycle.start(session, when)
            case "end":
                seconds = (when - dict(found.jobs[job])["start"]).total_seconds()
                found.session = lifecycle.end(session, when, Cost(seconds))
            case "close":
                found.session = lifecycle.close(session, when)
                found.notes.append((when, "close()"))
            case "cancel":
                step = lifecycle.cancel(session, when)
                found.session = step.session
                _end_queued(found, step)
                found.notes.append((when, "cancel()"))
            case "until":
                found.until = when
            case _:
                raise TimelineError(f"{line!r}: {event!r} is not an event")
    return found


def timeline(title: str, found: History) -> str:
    """Return a history as SVG: the session's states, its jobs, and the time."""
    drawn = _Timeline(found)
    changes = found.session.transitions
    said = "; ".join(f"{state} at {_clock(when)}" for state, when in changes)
    usage = found.session.usage_seconds(found.until)
    head = _head("qs-timeline", WIDTH, drawn.axis + 26, title, f"{said}. Usage: {usage:g} s.")
    parts = [*drawn.states(), *drawn.jobs(), *drawn.calls(), *drawn.times()]
    return "".join([head, *parts, "</svg></div>"])


WIDTH, LEFT, RIGHT = 720, 92, 16
ROW = 24
LABEL = 42
"""Width of a time below the axis."""


class _Timeline:
    """The parts of a timeline's picture."""

    def __init__(self, found: History) -> None:
        self._found = found
        self._total = (found.until - BEGIN).total_seconds()
        self.axis = 68 + ROW * len(found.jobs)

    def _x(self, when: datetime) -> float:
        share = (when - BEGIN).total_seconds() / self._total
        return round(LEFT + (WIDTH - LEFT - RIGHT) * share, 1)

    def states(self) -> Iterator[str]:
        """Yield a band for each state."""
        yield '<text class="qs-row" x="4" y="41">session</text>'
        changes = self._found.session.transitions
        ends = [*(when for _, when in changes[1:]), self._found.until]
        for (state, when), then in zip(changes, ends, strict=True):
            start, end = self._x(when), self._x(then)
            if end <= start:
                continue
            yield (
                f'<rect class="qs-band qs-{state}" x="{start}" y="22" '
                f'width="{end - start:.1f}" height="30"/>'
            )
            if end - start > 8 * len(state):
                middle = (start + end) / 2
                yield (
                    f'<text class="qs-state qs-on-{state}" x="{middle:.1f}" y="41">{state}</text>'
                )

    def jobs(self) -> Iterator[str]:
        """Yield a row for each job: a thin line while it waits, a bar while it runs."""
        for number, (name, events) in enumerate(self._found.jobs.items()):
            y = 62 + ROW * number
            times = dict(events)
            ended = next((each for each in ("end", *ENDED) if each in times), None)
            last = times[ended] if ended else self._found.until
            begun = times.get("start", last)
            came, start, end = self._x(times["submit"]), self._x(begun), self._x(last)
            yield f'<text class="qs-row" x="4" y="{y + 13}">job {escape(name)}</text>'
            yield (
                f'<rect class="qs-waits" x="{came}" y="{y + 6}" width="{start - came:.1f}" '
                'height="4"/>'
            )
            if "start" in times:
                yield (
                    f'<rect class="qs-runs" x="{start}" y="{y}" '
                    f'width="{max(2.0, end - start):.1f}" height="16" rx="3"/>'
                )
            if ended in ENDED:
                yield f'<text class="qs-label qs-from" x="{end + 4}" y="{y + 13}">{ended}</text>'

    def calls(self) -> Iterator[str]:
        """Yield a line for each call of the user."""
        for when, note in self._found.notes:
            x = self._x(when)
            yield f'<path class="qs-line qs-note" d="M{x} 16 V{self.axis}"/>'
            yield f'<text class="qs-label" x="{x}" y="12">{escape(note)}</text>'

    def times(self) -> Iterator[str]:
        """Yield the axis, with the times of the transitions as far as there is room."""
        yield f'<path class="qs-axis" d="M{LEFT} {self.axis} H{WIDTH - RIGHT}"/>'
        until, shown = self._found.until, 0.0
        changes = (when for _, when in self._found.session.transitions)
        for when in sorted({BEGIN, until, *changes}):
            x = self._x(when)
            if x - shown > LABEL:
                shown = x
                last = " qs-last" if when == until else ""
                yield f'<path class="qs-axis" d="M{x} {self.axis} v5"/>'
                yield (
                    f'<text class="qs-label{last}" x="{x}" y="{self.axis + 19}">'
                    f"{_clock(when)}</text>"
                )


def _event(line: str) -> tuple[datetime, str, str]:
    time, _, rest = line.strip().partition(" ")
    minutes, _, seconds = time.partition(":")
    if not (minutes.isdecimal() and seconds.isdecimal() and rest):
        raise TimelineError(f"{line!r} is not of the form MINUTES:SECONDS EVENT [JOB]")
    event, _, job = rest.partition(" ")
    return BEGIN + timedelta(minutes=int(minutes), seconds=int(seconds)), event, job


def _let_time_pass(found: History, until: datetime) -> None:
    step = lifecycle.tick(found.session, until)
    found.session = step.session
    _end_queued(found, step)


def _end_queued(found: History, step: lifecycle.Step) -> None:
    if step.ended is not None:
        for events in found.jobs.values():
            if {event for event, _ in events} == {"submit"}:
                events.append((step.ended.state.lower(), step.ended.when))


def _clock(when: datetime) -> str:
    minutes, seconds = divmod(int((when - BEGIN).total_seconds()), 60)
    return f"{minutes}:{seconds:02}"


def _head(kind: str, width: int, height: int, title: str, told: str) -> str:
    """Begin a picture. Narrow windows scroll it, so that its letters stay readable."""
    return (
        f'<div class="qs-picture" tabindex="0"><svg class="{kind}" role="img" '
        f'viewBox="0 0 {width} {height}" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{escape(title)}</title>'
        f"<desc>{escape(told)}</desc>"
    )


class SessionStates(SphinxDirective):
    """`.. session-states::`."""

    def run(self) -> list[nodes.Node]:
        """Return the diagram."""
        return [nodes.raw("", state_diagram(), format="html")]


class Timeline(SphinxDirective):
    """`.. timeline:: TITLE`, with an event on each line."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar = {
        "max-seconds": directives.positive_int,
        "batch": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Return the picture, with its title below it."""
        title = self.arguments[0]
        found = history(
            self.content,
            max_seconds=self.options.get("max-seconds", 28_800),
            mode=Mode.BATCH if "batch" in self.options else Mode.DEDICATED,
        )
        usage = found.session.usage_seconds(found.until)
        words = nodes.paragraph(
            "", f"{title} Usage until {_clock(found.until)}: {usage:g} s.", classes=["qs-caption"]
        )
        return [nodes.raw("", timeline(title, found), format="html"), words]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("session-states", SessionStates)
    app.add_directive("timeline", Timeline)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
