"""Explains the state of a session in one sentence, from a table of rules.

The first rule that applies is used. Each rule names the fields of the service's response that it
is based on, and the document that defines them. Times in a sentence stay datetimes, since each
reader has their own time zone. A sentence contains nothing that changes while nothing happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from qsession_widget.monitoring.job_row import parse_time
from qsession_widget.panel.countdowns import idle_since
from qsession_widget.panel.experiment import throughput
from qsession_widget.panel.formatting import whole_duration
from qsession_widget.wire import holders
from qsession_widget.wire.documents import known
from qsession_widget.wire.states import JobState, Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import UnsetType

    from qsession_widget.monitoring.snapshot import Snapshot

_GUIDES = "https://quantum.cloud.ibm.com/docs/en/guides"
MODES = f"{_GUIDES}/execution-modes"
SESSIONS = f"{_GUIDES}/run-jobs-session"
MAX_TIME = f"{_GUIDES}/max-execution-time"

Part = str | datetime


class Why(NamedTuple):
    """An explanation.

    Attributes:
        parts: the sentence, in pieces of text and times.
        fields: of the JSON of GET /sessions/{id}, on which it is based.
        document: URL of the document that defines the fields.
    """

    parts: tuple[Part, ...]
    fields: tuple[str, ...]
    document: str

    def __str__(self) -> str:
        """Return the sentence with times in UTC."""
        return in_utc(self.parts)


def in_utc(parts: tuple[Part, ...]) -> str:
    """Return pieces as one text with times in UTC, for what is kept."""
    return "".join(part if isinstance(part, str) else f"{part:%H:%M:%S} UTC" for part in parts)


def in_local_time(parts: tuple[Part, ...]) -> str:
    """Return pieces as one text with times in this machine's zone, for what is read at once."""
    return "".join(
        part if isinstance(part, str) else f"{part.astimezone():%H:%M:%S}" for part in parts
    )


@dataclass(frozen=True)
class Rule:
    """One row of the table.

    Attributes:
        applies: whether the rule applies to this evidence.
        says: builds the sentence.
    """

    applies: Callable[[Evidence], bool]
    says: Callable[[Evidence], tuple[Part, ...]]
    fields: tuple[str, ...]
    document: str


def why(snapshot: Snapshot) -> Why | None:
    """Return the explanation of a session's state; None while the state is not known."""
    evidence = Evidence(snapshot)
    for rule in RULES:
        if rule.applies(evidence):
            return Why(rule.says(evidence), rule.fields, rule.document)
    return None


def holder_parts(snapshot: Snapshot) -> tuple[Part, ...] | None:
    """Return who has the device for which a session waits, in pieces of text and times."""
    if snapshot.holder is None:
        return None
    return holders.holder_parts(snapshot.holder, snapshot.backend_name or "its backend")


class Evidence:
    """The facts of a snapshot that the rules use."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.session = snapshot.session
        self.state = known(self.session.state)
        self.accepting = bool(self.session.accepting_jobs)
        self.batch = self.session.mode == Mode.BATCH
        self.queued = snapshot.count(JobState.QUEUED)
        self.running = snapshot.count(JobState.RUNNING)

    @cached_property
    def throughput(self) -> float | None:
        """How many of its jobs end in a second, where they follow each other fast."""
        return throughput(self.snapshot)

    @property
    def reason(self) -> str | None:
        """The reason that the service gives."""
        return self.snapshot.state_reason

    @property
    def closed(self) -> tuple[Part, ...]:
        """Return " at TIME" for when it was closed; empty if that is not known."""
        return _at(self.session.closed_at)

    @property
    def entered(self) -> tuple[Part, ...]:
        """Return " at TIME" for when it entered its present state."""
        for change in reversed(self.session.timestamps or []):
            if change.status == self.state:
                return _at(change.timestamp)
        return ()

    @property
    def timed_out(self) -> bool:
        """Whether the maximum time had run out when it was closed."""
        started, closed = parse_time(self.session.started_at), parse_time(self.session.closed_at)
        most = known(self.session.max_ttl)
        if started is None or closed is None or most is None:
            return False
        return closed - started >= timedelta(seconds=most)


def _at(time: str | UnsetType | None) -> tuple[Part, ...]:
    """Return " at TIME"; empty if the time is not known."""
    when = parse_time(time)
    return () if when is None else (" at ", when)


def _closed(evidence: Evidence) -> tuple[Part, ...]:
    because = f": {evidence.reason}" if evidence.reason else ", and takes no jobs"
    return ("Closed", *evidence.closed, f"{because}.")


def _timed_out(evidence: Evidence) -> tuple[Part, ...]:
    length = whole_duration(known(evidence.session.max_ttl))
    return ("Closed", *evidence.closed, f": its maximum time of {length} was over.")


def _inactive(evidence: Evidence) -> tuple[Part, ...]:
    timeout = whole_duration(known(evidence.session.interactive_ttl))
    because = evidence.reason or f"it had no job for {timeout}"
    if evidence.queued:
        waits = (
            f"{_jobs(evidence.queued, 'waits', 'wait')} in the normal queue, and the session is "
            "active again when one starts"
        )
    else:
        waits = "the next job waits in the normal queue"
    because = because[:1].upper() + because[1:]
    return (because, *evidence.entered, f"; {waits}; usage stands still.")


def _unused(evidence: Evidence) -> tuple[Part, ...]:
    created, seconds = evidence.snapshot.created_at, evidence.snapshot.first_job_seconds
    if created is None or seconds is None or not evidence.accepting:
        return ("No job has been submitted yet; usage has not begun.",)
    return (
        "No job has been submitted yet, and without one the session closes at ",
        created + timedelta(seconds=seconds),
        "; usage has not begun.",
    )


def _first_waits(evidence: Evidence) -> tuple[Part, ...]:
    length = whole_duration(known(evidence.session.max_ttl))
    sentence = (
        f"{_jobs(evidence.queued, 'waits', 'wait')} in the normal queue; when the first starts, "
        f"the maximum time of {length} and usage begin."
    )
    return (sentence,)


def _draining(evidence: Evidence) -> tuple[Part, ...]:
    because = evidence.reason or "it was closed"
    left = evidence.queued + evidence.running
    ends = _jobs(left, "finishes", "finish")
    return (f"Takes no new jobs: {because}; {ends}, then the session is over.",)


def _waits_for_worker(evidence: Evidence) -> tuple[Part, ...]:
    waits = _jobs(evidence.queued, "waits", "wait")
    match evidence.snapshot.workers:
        case 0:
            because = "no host has joined the runtime, or the last one has left"
        case 1:
            because = "the only one is busy"
        case None:
            because = "all are busy"
        case count:
            because = f"all {count} are busy"
    return (f"{waits} for a worker: {because}.",)


def _time_is_up(evidence: Evidence) -> tuple[Part, ...]:
    length = whole_duration(known(evidence.session.active_ttl))
    sentence = (
        f"The active time of {length} ran out while a job runs; when it ends, the session "
        "becomes inactive and the next job waits in the normal queue."
    )
    return (sentence,)


def _loops(evidence: Evidence) -> tuple[Part, ...]:
    pace = round(evidence.throughput or 0)
    usage = "usage is the time of jobs on the device" if evidence.batch else "usage goes on"
    return (f"Running: {pace} jobs a second, ahead of the normal queue; {usage}.",)


def _running(evidence: Evidence) -> tuple[Part, ...]:
    last = max(
        (job.started_at for job in evidence.snapshot.jobs.running if job.started_at),
        default=None,
    )
    since: tuple[Part, ...] = () if last is None else (" since ", last)
    one = evidence.running == 1
    runs = "a job runs" if one else f"{evidence.running} jobs run"
    waits = (
        f"; {_jobs(evidence.queued, 'follows', 'follow')} ahead of the normal queue"
        if evidence.queued
        else ""
    )
    usage = "; usage is the time of jobs on the device" if evidence.batch else "; usage goes on"
    parts = (*since, *_expected(evidence)) if one else ()
    return (runs.capitalize(), *parts, f"{waits}{usage}.")


def _expected(evidence: Evidence) -> tuple[Part, ...]:
    """Return until when the job that runs is expected to; empty if that is not known."""
    for job in evidence.snapshot.jobs.running:
        if job.expected_until is not None:
            by = f", by {job.expected_by}" if job.expected_by else ""
            return (", expected until ", job.expected_until, by)
    return ()


def _next_starts(evidence: Evidence) -> tuple[Part, ...]:
    sentence = (
        f"{_jobs(evidence.queued, 'waits', 'wait')} for the device, ahead of the normal queue."
    )
    return (sentence,)


def _idle(evidence: Evidence) -> tuple[Part, ...]:
    since = idle_since(evidence.snapshot)
    timeout = known(evidence.session.interactive_ttl)
    usage = "no usage meanwhile" if evidence.batch else "usage goes on until then"
    if since is None or timeout is None:
        return (f"No job is queued or runs; {usage}.",)
    return (
        "The last job ended at ",
        since,
        "; without another one the session becomes inactive at ",
        since + timedelta(seconds=timeout),
        f", and {usage}.",
    )


def _jobs(count: int, one: str, many: str) -> str:
    return f"1 job {one}" if count == 1 else f"{count} jobs {many}"


RULES: tuple[Rule, ...] = (
    Rule(
        lambda evidence: evidence.snapshot.simulator,
        lambda _evidence: (
            "Jobs on a simulator run without a session: nothing to wait for, nothing to close.",
        ),
        ("simulator",),
        SESSIONS,
    ),
    Rule(
        lambda evidence: evidence.state is None,
        lambda _evidence: ("Not known yet: the service has not answered.",),
        (),
        SESSIONS,
    ),
    Rule(
        lambda evidence: (
            evidence.state == SessionState.CLOSED and not evidence.reason and evidence.timed_out
        ),
        _timed_out,
        ("state", "closed_at", "started_at", "max_ttl"),
        MAX_TIME,
    ),
    Rule(
        lambda evidence: evidence.state == SessionState.CLOSED,
        _closed,
        ("state", "state_reason", "closed_at"),
        SESSIONS,
    ),
    Rule(
        lambda evidence: evidence.state == SessionState.PENDING_INACTIVE,
        _time_is_up,
        ("state", "active_ttl"),
        MAX_TIME,
    ),
    Rule(
        lambda evidence: not evidence.accepting and bool(evidence.queued + evidence.running),
        _draining,
        ("accepting_jobs", "state_reason"),
        SESSIONS,
    ),
    Rule(
        lambda evidence: evidence.snapshot.waits_for_worker and evidence.queued > 0,
        _waits_for_worker,
        ("qsession.waits_for_worker", "qsession.workers"),
        MODES,
    ),
    Rule(
        lambda evidence: evidence.state == SessionState.INACTIVE,
        _inactive,
        ("state", "state_reason", "interactive_ttl", "timestamps"),
        SESSIONS,
    ),
    Rule(
        lambda evidence: evidence.state == SessionState.OPEN and evidence.queued > 0,
        _first_waits,
        ("state", "max_ttl"),
        MODES,
    ),
    Rule(
        lambda evidence: evidence.state == SessionState.OPEN,
        _unused,
        ("state", "qsession.created_at", "qsession.first_job_ttl"),
        SESSIONS,
    ),
    Rule(
        lambda evidence: evidence.state == SessionState.ACTIVE and evidence.throughput is not None,
        _loops,
        ("state", "mode"),
        MODES,
    ),
    Rule(
        lambda evidence: evidence.state == SessionState.ACTIVE and evidence.running > 0,
        _running,
        ("state", "mode"),
        MODES,
    ),
    Rule(
        lambda evidence: evidence.state == SessionState.ACTIVE and evidence.queued > 0,
        _next_starts,
        ("state",),
        MODES,
    ),
    Rule(
        lambda evidence: evidence.state == SessionState.ACTIVE,
        _idle,
        ("state", "mode", "interactive_ttl", "last_job_completed"),
        SESSIONS,
    ),
)
