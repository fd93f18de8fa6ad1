"""Where a monitor's snapshots come from, and how often a service may be asked for them."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import UNSET

from qsession_widget.client.session_info import details_of
from qsession_widget.errors import NotFoundError, QSessionError
from qsession_widget.monitoring.redaction import without_secrets
from qsession_widget.monitoring.snapshot import (
    CacheFigures,
    JobRow,
    ServiceClock,
    UsageSplit,
    parse_time,
)
from qsession_widget.wire import documents
from qsession_widget.wire.documents import SessionDocument, SessionExtrasDocument
from qsession_widget.wire.fields import EXTRA
from qsession_widget.wire.states import JobState, session_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from qsession_widget.client.session import Session
    from qsession_widget.monitoring.snapshot import Snapshot

    Json = Mapping[str, Any]

WATCHED_SECONDS = 1.0
"""Length of a round while somebody looks: at the latest then comes a sign of life.

It is also how long the answer to a command may wait behind a held request.
"""

SHORTEST_PAUSE_SECONDS = 0.05
"""Pause between held requests: bounds how often a panel is drawn when much happens."""

LONGEST_ASKING_PAUSE_SECONDS = 8.0
"""Longest pause between polls of a service that cannot hold requests, where nothing changes."""

ASKING_GROWTH = 1.5

OLDEST_PENDING = 20
"""How many of the jobs that wait are looked at in each poll: those whose turn is next."""

MOST_ASKED = 8
"""How many jobs are asked for by their ids in one poll; for more, all are listed."""

PAGE = 100

ESTIMATE_SECONDS = 1.0
"""Shortest time between two questions when the next jobs may start."""

ESTIMATED_JOBS = 16
"""Of how many it is asked: those that are next."""


class Source(Protocol):
    """Takes snapshots of one session."""

    def look(self, last: Snapshot, *, hold: bool) -> Snapshot:
        """Take one.

        Args:
            last: the one before.
            hold: whether the service may hold the question until there is something new.
        """

    def pause_seconds(self, round_seconds: float) -> float:
        """Give how long to pause now.

        Args:
            round_seconds: how long a round may take, by who looks.
        """


class Reader:
    """Reads what a service says of a session and its jobs."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._jobs: dict[str, JobRow] = {}
        self._clock: ServiceClock | None = None
        self._uncounted: set[str] = set()

    def _seen(self, last: Snapshot, found: Json, changed: Iterable[Json]) -> Snapshot:
        """Read a session, and those of its jobs that may have changed."""
        session = documents.read(SessionDocument, found)
        extras = session.qsession or SessionExtrasDocument()
        self._clock = ServiceClock.read(extras, self._session.service.server_time())
        self._read(changed)
        return replace(
            last,
            backend_name=session.backend_name or last.backend_name,
            status=session_status(session.state or "", accepting_jobs=bool(session.accepting_jobs)),
            details=dict(details_of(found)),
            jobs=tuple(self._jobs.values()),
            now=self._clock.shown,
            rate=self._clock.rate,
            details_at=parse_time(extras.now),
            created_at=parse_time(extras.created_at),
            first_job_seconds=None if extras.first_job_ttl is UNSET else extras.first_job_ttl,
            state_reason=without_secrets(session.state_reason or "") or None,
            usage=UsageSplit.read(extras.usage),
            cache=CacheFigures.read(extras.cache),
            policy=extras.policy or None,
        )

    def _read(self, jobs: Iterable[Json]) -> None:
        """Read jobs as the service has just sent them."""
        now = None if self._clock is None else self._clock.now()
        for job in jobs:
            pubs = self._session.service.pub_count(str(job["id"]))
            row = JobRow.from_json(job, now, pubs)
            self._jobs[row.id] = row
            if row.pubs is None:
                self._uncounted.add(row.id)

    def _drop(self, job_ids: Iterable[str]) -> None:
        """Take away jobs that there are no more."""
        for job_id in job_ids:
            self._jobs.pop(job_id, None)
            self._uncounted.discard(job_id)

    def _stages(self) -> dict[str, tuple[str, str | None]]:
        """Give how far each job is."""
        return {job_id: (row.state, row.sub_status) for job_id, row in self._jobs.items()}

    def _count_pubs(self) -> None:
        """Take over what is known by now: a watched job may be seen before its POST is answered."""
        for job_id in tuple(self._uncounted):
            pubs = self._session.service.pub_count(job_id)
            if pubs is not None:
                self._jobs[job_id] = replace(self._jobs[job_id], pubs=pubs)
                self._uncounted.discard(job_id)


class OnService(Reader):
    """A session on a service: by one held request where it can hold one, else by polls."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._revision = 0
        self._holds = False
        self._asked = _Polls(session)
        self._estimates = _Estimates()

    def look(self, last: Snapshot, *, hold: bool) -> Snapshot:
        """Take a snapshot."""
        self._holds = "watch" in self._session.service.features
        if not self._holds:
            return self._asked.look(last, hold=hold)
        try:
            return self._watch(last, hold=hold)
        except QSessionError:
            # A runtime that comes back does not know any more which jobs were deleted meanwhile.
            self._revision = 0
            raise

    def pause_seconds(self, round_seconds: float) -> float:
        """Pause as long as needed where the request itself does not wait."""
        if self._holds:
            return max(round_seconds - WATCHED_SECONDS, SHORTEST_PAUSE_SECONDS)
        return self._asked.pause_seconds(round_seconds)

    def _watch(self, last: Snapshot, *, hold: bool) -> Snapshot:
        since = self._revision
        found = self._session.service.api.watch(
            last.session_id or "",
            since=since,
            # The first look answers at once: somebody waits for the panel to appear.
            wait_seconds=WATCHED_SECONDS if hold and since else 0.0,
        )
        if found is not None:
            if not since:
                self._drop(set(self._jobs) - {str(job["id"]) for job in found["jobs"]})
            self._drop(found.get("deleted") or ())
            self._revision = found["revision"]
            self._estimates.learn(found["jobs"])
            seen = self._seen(last, found["session"], found["jobs"])
        elif self._clock is not None and self._clock.rate > 0:
            seen = replace(last, now=self._clock.now())
        else:
            # A clock that is moved by hand moves without any change of the session.
            session = self._session.service.api.session(last.session_id or "")
            seen = self._seen(last, session, [])
        if self._estimates.due(seen):
            self._estimate(seen)
        self._count_pubs()
        jobs = tuple(self._jobs.values())
        return seen if jobs == seen.jobs else replace(seen, jobs=jobs)

    def _estimate(self, seen: Snapshot) -> None:
        """Ask when the next jobs may start, which changes without any change of theirs."""
        found = self._session.service.api.jobs(
            session_id=seen.session_id, pending="true", sort="ASC", limit=ESTIMATED_JOBS
        )
        self._read(found["jobs"])


class _Pace:
    """Pauses that grow as long as nothing changes."""

    def __init__(self) -> None:
        self.seconds = WATCHED_SECONDS

    def after(self, *, changed: bool) -> None:
        """Take note of a look."""
        grown = min(self.seconds * ASKING_GROWTH, LONGEST_ASKING_PAUSE_SECONDS)
        self.seconds = WATCHED_SECONDS if changed else grown


class _Polls(Reader):
    """A session on a service without our additions.

    Jobs that are over never change, and the others mostly in their order: a look asks for the
    session, for the oldest jobs that wait, and for the newest job. The counts that come with both
    tell whether that was all that has changed; only where it was not, all jobs are listed.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._body: Json | None = None
        self._etag: str | None = None
        self._pace = _Pace()

    def look(self, last: Snapshot, *, hold: bool) -> Snapshot:
        """Take a snapshot; `hold` is False for who wants to see what becomes of something."""
        api, session_id = self._session.service.api, last.session_id or ""
        first = self._body is None
        polled = api.session_if_changed(session_id, etag=self._etag)
        before = self._gist()
        self._body = self._body if polled.body is None else polled.body
        self._etag = polled.etag
        if first:
            self._list_all()
        else:
            self._follow(session_id)
        self._count_pubs()
        seen = self._seen(last, self._body or {}, ())
        self._pace.after(changed=self._gist() != before or not hold)
        return seen

    def pause_seconds(self, round_seconds: float) -> float:
        """Pause longer and longer while nothing changes."""
        return max(self._pace.seconds, round_seconds)

    def _gist(self) -> tuple[object, ...]:
        """Give what is worth a quick look at what follows: not the time, which always changes."""
        session = self._body or {}
        return session.get("state"), session.get("accepting_jobs"), self._stages()

    def _list_all(self) -> None:
        found = [job.data for job in self._session.jobs()]
        self._drop(set(self._jobs) - {str(job["id"]) for job in found})
        self._read(found)

    def _follow(self, session_id: str) -> None:
        """Find what has changed, by as few questions as may be."""
        api = self._session.service.api
        fresh = api.jobs(session_id=session_id, limit=1)["count"] - len(self._jobs)
        if not 0 <= fresh <= PAGE:
            self._list_all()
            return
        if fresh:
            self._read(reversed(api.jobs(session_id=session_id, limit=fresh)["jobs"]))
        waiting = [job_id for job_id, row in self._jobs.items() if not row.final]
        if not waiting:
            return
        page = api.jobs(session_id=session_id, pending="true", sort="ASC", limit=OLDEST_PENDING)
        listed = {str(job["id"]) for job in page["jobs"]}
        whole = len(listed) < OLDEST_PENDING
        # Those before the last one that is listed, and are not listed, wait no more.
        known = [number for number, job_id in enumerate(waiting) if job_id in listed]
        reach = len(waiting) if whole else max(known, default=-1) + 1
        gone = [job_id for job_id in waiting[:reach] if job_id not in listed]
        left = len(waiting) - len(gone) + len(listed - set(waiting))
        if len(gone) > MOST_ASKED or (not whole and page["count"] != left):
            self._list_all()
            return
        self._read(page["jobs"])
        self._read(_bodies(self._session, gone))


class _Estimates:
    """Whether it is time to ask anew when jobs may start: after a change, where any are sent."""

    def __init__(self) -> None:
        self._sent = False
        self._outdated = False
        self._next_at = 0.0

    def learn(self, changed: Iterable[Json]) -> None:
        """Take note of jobs that have changed."""
        for job in changed:
            self._outdated = True
            self._sent = self._sent or "estimate" in (job.get(EXTRA) or {})

    def due(self, seen: Snapshot) -> bool:
        """Say so once for a change, and only if somebody waits."""
        now = time.monotonic()
        if not (self._sent and self._outdated) or now < self._next_at:
            return False
        self._outdated, self._next_at = False, now + ESTIMATE_SECONDS
        return seen.count(JobState.QUEUED) > 0


class OwnJobs(Reader):
    """A simulator: there is no session, only the jobs that went through this object."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._pace = _Pace()
        self._turn = 0

    def look(self, last: Snapshot, *, hold: bool) -> Snapshot:
        """Take a snapshot; `hold` is False for who wants to see what becomes of something."""
        jobs = {job.job_id(): job for job in self._session.jobs()}
        before = self._stages()
        unseen = [job_id for job_id in jobs if job_id not in self._jobs]
        if len(unseen) > MOST_ASKED:
            self._read(self._listed(set(unseen), len(jobs)))
            unseen = [job_id for job_id in unseen if job_id not in self._jobs]
        waiting = [job_id for job_id, row in self._jobs.items() if not row.final]
        self._read(_bodies(self._session, [*unseen[:MOST_ASKED], *self._some(waiting)]))
        self._pace.after(changed=self._stages() != before or not hold)
        rows = tuple(self._jobs[job_id] for job_id in jobs if job_id in self._jobs)
        return replace(last, jobs=rows, now=datetime.now(UTC))

    def pause_seconds(self, round_seconds: float) -> float:
        """Pause longer and longer while jobs wait and nothing changes."""
        busy = any(not row.final for row in self._jobs.values())
        return (
            max(self._pace.seconds, round_seconds) if busy else min(round_seconds, WATCHED_SECONDS)
        )

    def _some(self, waiting: list[str]) -> list[str]:
        """Give those to ask for now: the oldest, whose turn is next, and others by turns."""
        if len(waiting) <= MOST_ASKED:
            return waiting
        half = MOST_ASKED // 2
        rest = waiting[half:]
        self._turn = (self._turn + half) % len(rest)
        return [*waiting[:half], *islice([*rest, *rest], self._turn, self._turn + half)]

    def _listed(self, wanted: set[str], most: int) -> list[Json]:
        """List jobs of the device until those that are wanted are among them."""
        found: dict[str, Json] = {}
        for offset in range(0, most + PAGE, PAGE):
            page = self._session.service.api.jobs(
                backend=self._session.backend(), limit=PAGE, offset=offset
            )["jobs"]
            found.update({str(job["id"]): job for job in page if str(job["id"]) in wanted})
            if len(found) == len(wanted) or len(page) < PAGE:
                break
        return [found[job_id] for job_id in reversed(found)]


def _bodies(session: Session, job_ids: Iterable[str]) -> Iterator[Json]:
    """Ask for jobs by their ids; those that were deleted are left out."""
    for job_id in job_ids:
        try:
            body = session.service.api.job(job_id).body
        except NotFoundError:
            continue
        if body is not None:
            yield body
