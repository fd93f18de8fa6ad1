"""Takes a monitor's snapshots from a service, and decides how often to ask it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from msgspec import UNSET

from qsession_widget.errors import NotFoundError, QSessionError
from qsession_widget.monitoring.job_list import JobTable
from qsession_widget.monitoring.job_row import JobRow, parse_time
from qsession_widget.monitoring.redaction import without_secrets
from qsession_widget.monitoring.snapshot import CacheFigures, Holder, ServiceClock, UsageSplit
from qsession_widget.wire.documents import JobExtrasDocument, SessionExtrasDocument, known, required
from qsession_widget.wire.states import JobState, session_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from qsession_widget.client.session import Session
    from qsession_widget.monitoring.snapshot import Snapshot
    from qsession_widget.wire.documents import JobDocument, SessionDocument

WATCHED_SECONDS = 1.0
"""Length of a round while the panel is looked at: the longest time between two heartbeats.

It is also how long the response to a command may wait behind a held request.
"""

SHORTEST_PAUSE_SECONDS = 0.05
"""Pause between held requests: limits how often a panel is drawn when much happens."""

LONGEST_ASKING_PAUSE_SECONDS = 8.0
"""Longest pause between polls of a service that cannot hold requests, if nothing changes."""

ASKING_GROWTH = 1.5

OLDEST_PENDING = 20
"""How many of the queued jobs each poll asks for: those whose turn is next."""

MOST_ASKED = 8
"""How many jobs one poll may ask for by id; for more, all are listed."""

PAGE = 100

ESTIMATE_SECONDS = 1.0
"""Shortest time between two requests for the estimates of the next jobs."""

STAND_SECONDS = 4.0
"""Time between two such requests while none of the session's jobs runs."""

ESTIMATED_JOBS = 16
"""For how many jobs estimates are requested: those that are next."""


class Source(Protocol):
    """Takes snapshots of one session."""

    def look(self, last: Snapshot, *, hold: bool) -> Snapshot:
        """Take a snapshot.

        Args:
            last: the previous one.
            hold: whether the service may hold the request until there is something new.
        """

    def pause_seconds(self, round_seconds: float) -> float:
        """Return how long to pause now.

        Args:
            round_seconds: how long a round may take; shorter while the panel is looked at.
        """


class Reader:
    """Builds snapshots from what a service sends of a session and its jobs."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._jobs = JobTable()
        self._clock: ServiceClock | None = None
        self._uncounted: set[str] = set()
        self._summaries_seen = 0

    def _seen(
        self, last: Snapshot, session: SessionDocument, changed: Iterable[JobDocument]
    ) -> Snapshot:
        """Return a snapshot of a session, with those of its jobs that may have changed."""
        extras = session.qsession or SessionExtrasDocument()
        self._clock = ServiceClock.read(extras, self._session.service.server_time())
        self._read(changed)
        return replace(
            last,
            backend_name=session.backend_name or last.backend_name,
            status=session_status(session.state or "", accepting_jobs=bool(session.accepting_jobs)),
            session=session,
            jobs=self._jobs.listed(),
            now=self._clock.shown,
            rate=self._clock.rate,
            details_at=parse_time(extras.now),
            created_at=parse_time(extras.created_at),
            first_job_seconds=known(extras.first_job_ttl),
            state_reason=without_secrets(session.state_reason or "") or None,
            usage=UsageSplit.read(extras.usage),
            cache=CacheFigures.read(extras.cache),
            policy=extras.policy or None,
            name=extras.name or last.name,
            holder=Holder.read(extras.held_by),
            gives_way=extras.gives_way is True,
            workers=known(extras.workers),
            waits_for_worker=extras.waits_for_worker is True,
        )

    def _read(self, jobs: Iterable[JobDocument]) -> None:
        """Take over jobs that the service has just sent."""
        now = None if self._clock is None else self._clock.now()
        for job in jobs:
            service = self._session.service
            row = JobRow.of(job, now, service.contents.get(job.id))
            row = replace(row, summary=service.summaries.of(job))
            self._jobs.put(row)
            if row.pubs is None:
                self._uncounted.add(row.id)

    def _drop(self, job_ids: Iterable[str]) -> None:
        """Remove jobs that no longer exist."""
        gone = list(job_ids)
        self._jobs.drop(gone)
        self._uncounted.difference_update(gone)

    def _fill_in(self) -> None:
        """Fill in what this process has learned of jobs after they were seen.

        A job may be seen before its POST is answered, and its result is fetched after its end.
        """
        summaries = self._session.service.summaries
        self._summaries_seen, fresh = summaries.since(self._summaries_seen)
        for job_id, summary in fresh.items():
            if job_id in self._jobs:
                self._jobs.put(replace(self._jobs[job_id], summary=summary))
        for job_id in tuple(self._uncounted):
            row = self._jobs[job_id]
            pubs, role = self._session.service.contents.get(job_id)
            if role is not None and role != row.role:
                self._jobs.put(replace(row, pubs=pubs, role=role))
            elif pubs is not None:
                self._jobs.put(replace(row, pubs=pubs))
            if pubs is not None:
                self._uncounted.discard(job_id)


class OnService(Reader):
    """A session on a service: one held request if the service can hold it, otherwise polls."""

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
            # A restarted runtime no longer knows which jobs were deleted meanwhile.
            self._revision = 0
            raise

    def pause_seconds(self, round_seconds: float) -> float:
        """Return a pause as long as needed if the request itself does not wait."""
        if self._holds:
            return max(round_seconds - WATCHED_SECONDS, SHORTEST_PAUSE_SECONDS)
        return self._asked.pause_seconds(round_seconds)

    def _watch(self, last: Snapshot, *, hold: bool) -> Snapshot:
        since = self._revision
        found = self._session.service.api.watch(
            last.session_id or "",
            since=since,
            # The first request is not held: a user waits for the panel to appear.
            wait_seconds=WATCHED_SECONDS if hold and since else 0.0,
        )
        if found is not None:
            changed = [job.document for job in found.jobs]
            if not since:
                self._drop(self._jobs.ids() - {job.id for job in changed})
            self._drop(found.deleted)
            self._revision = found.revision
            self._estimates.learn(changed)
            seen = self._seen(last, found.session, changed)
        elif self._clock is not None and self._clock.rate > 0 and not _waits(last):
            seen = replace(last, now=self._clock.now())
        else:
            # A virtual clock advances without any change of the session, and another session that
            # it waits for changes without it.
            session = self._session.service.api.session(last.session_id or "")
            seen = self._seen(last, session, [])
        if self._estimates.due(seen):
            self._estimate(seen)
        self._fill_in()
        jobs = self._jobs.listed()
        return seen if jobs is seen.jobs else replace(seen, jobs=jobs)

    def _estimate(self, seen: Snapshot) -> None:
        """Ask for the estimates of the next jobs, which change although the jobs do not."""
        found = self._session.service.api.jobs(
            session_id=seen.session_id, pending="true", sort="ASC", limit=ESTIMATED_JOBS
        )
        self._read(job.document for job in found.jobs)


class _Pace:
    """Computes pauses that grow while nothing changes."""

    def __init__(self) -> None:
        self.seconds = WATCHED_SECONDS

    def after(self, *, changed: bool) -> None:
        """Update the pause after a request."""
        grown = min(self.seconds * ASKING_GROWTH, LONGEST_ASKING_PAUSE_SECONDS)
        self.seconds = WATCHED_SECONDS if changed else grown


class _Polls(Reader):
    """Polls a session on a service without our additions.

    Final jobs never change, and the others mostly change in their order. So a poll asks for the
    session, the oldest unfinished jobs, and the newest job. The counts in both responses show
    whether anything else has changed; only then are all jobs listed.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._body: SessionDocument | None = None
        self._etag: str | None = None
        self._pace = _Pace()

    def look(self, last: Snapshot, *, hold: bool) -> Snapshot:
        """Take a snapshot; `hold` is False if the outcome of a command is expected."""
        api, session_id = self._session.service.api, last.session_id or ""
        first = self._body is None
        polled = api.session_if_changed(session_id, etag=self._etag)
        before = self._gist()
        # Without a body nothing has changed; the first request, without an ETag, always has one.
        session = required(polled.body or self._body, "id", f"GET /sessions/{session_id}")
        self._body, self._etag = session, polled.etag
        if first:
            self._list_all()
        else:
            self._follow(session_id)
        self._fill_in()
        seen = self._seen(last, session, ())
        self._pace.after(changed=self._gist() != before or not hold)
        return seen

    def pause_seconds(self, round_seconds: float) -> float:
        """Return pauses that grow while nothing changes."""
        return max(self._pace.seconds, round_seconds)

    def _gist(self) -> tuple[object, ...]:
        """Return what counts as a change. The time does not, since it always changes."""
        session = self._body
        said = None if session is None else (session.state, session.accepting_jobs)
        return said, self._jobs.listed()

    def _list_all(self) -> None:
        found = [job.document for job in self._session.jobs()]
        self._drop(self._jobs.ids() - {job.id for job in found})
        self._read(found)

    def _follow(self, session_id: str) -> None:
        """Find what has changed, with as few requests as possible."""
        api = self._session.service.api
        fresh = api.jobs(session_id=session_id, limit=1).count - len(self._jobs)
        if not 0 <= fresh <= PAGE:
            self._list_all()
            return
        if fresh:
            newest = api.jobs(session_id=session_id, limit=fresh).jobs
            self._read(job.document for job in reversed(newest))
        waiting = self._jobs.unfinished()
        if not waiting:
            return
        page = api.jobs(session_id=session_id, pending="true", sort="ASC", limit=OLDEST_PENDING)
        listed = {job.document.id for job in page.jobs}
        whole = len(listed) < OLDEST_PENDING
        # Jobs before the last listed one that are not listed themselves are final by now.
        places = [number for number, job_id in enumerate(waiting) if job_id in listed]
        reach = len(waiting) if whole else max(places, default=-1) + 1
        gone = [job_id for job_id in waiting[:reach] if job_id not in listed]
        left = len(waiting) - len(gone) + len(listed - set(waiting))
        if len(gone) > MOST_ASKED or (not whole and page.count != left):
            self._list_all()
            return
        self._read(job.document for job in page.jobs)
        self._read(_documents(self._session, gone))


class _Estimates:
    """Decides when to ask for estimates again: after a change, if the service sends any."""

    def __init__(self) -> None:
        self._sent = False
        self._outdated = False
        self._next_at = 0.0

    def learn(self, changed: Iterable[JobDocument]) -> None:
        """Record jobs that have changed."""
        for job in changed:
            self._outdated = True
            extras = job.qsession or JobExtrasDocument()
            self._sent = self._sent or extras.estimate is not UNSET

    def due(self, seen: Snapshot) -> bool:
        """Return True once after a change, and now and then while others are served first."""
        now = time.monotonic()
        waits = seen.count(JobState.QUEUED) > 0
        # The jobs of other sessions leave the queue unseen.
        stands = waits and not seen.count(JobState.RUNNING) and now > self._next_at + STAND_SECONDS
        if not self._sent or now < self._next_at or not (self._outdated or stands):
            return False
        self._outdated, self._next_at = False, now + ESTIMATE_SECONDS
        return waits


class OwnJobs(Reader):
    """A simulator: there is no session, only the jobs that were sent through this object."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._pace = _Pace()
        self._turn = 0

    def look(self, last: Snapshot, *, hold: bool) -> Snapshot:
        """Take a snapshot; `hold` is False if the outcome of a command is expected."""
        jobs = {job.job_id(): job for job in self._session.jobs()}
        before = self._jobs.listed()
        unseen = [job_id for job_id in jobs if job_id not in self._jobs]
        if len(unseen) > MOST_ASKED:
            self._read(self._listed(set(unseen), len(jobs)))
            unseen = [job_id for job_id in unseen if job_id not in self._jobs]
        waiting = self._jobs.unfinished()
        self._read(_documents(self._session, [*unseen[:MOST_ASKED], *self._some(waiting)]))
        self._fill_in()
        self._pace.after(changed=self._jobs.listed() is not before or not hold)
        return replace(last, jobs=self._jobs.listed(), now=datetime.now(UTC))

    def pause_seconds(self, round_seconds: float) -> float:
        """Return pauses that grow while jobs wait and nothing changes."""
        busy = bool(self._jobs.unfinished())
        return (
            max(self._pace.seconds, round_seconds) if busy else min(round_seconds, WATCHED_SECONDS)
        )

    def _some(self, waiting: list[str]) -> list[str]:
        """Return the jobs to ask for now: the oldest, which are next, and some others by turns."""
        if len(waiting) <= MOST_ASKED:
            return waiting
        half = MOST_ASKED // 2
        rest = waiting[half:]
        self._turn = (self._turn + half) % len(rest)
        return [*waiting[:half], *islice([*rest, *rest], self._turn, self._turn + half)]

    def _listed(self, wanted: set[str], most: int) -> list[JobDocument]:
        """List jobs of the backend until the wanted ones are among them."""
        found: dict[str, JobDocument] = {}
        for offset in range(0, most + PAGE, PAGE):
            page = self._session.service.api.jobs(
                backend=self._session.backend(), limit=PAGE, offset=offset
            ).jobs
            listed = (job.document for job in page)
            found.update({job.id: job for job in listed if job.id in wanted})
            if len(found) == len(wanted) or len(page) < PAGE:
                break
        return [found[job_id] for job_id in reversed(found)]


def _waits(snapshot: Snapshot) -> bool:
    """Whether a session waits for the device, perhaps because another one has it."""
    return not snapshot.count(JobState.RUNNING) and snapshot.count(JobState.QUEUED) > 0


def _documents(session: Session, job_ids: Iterable[str]) -> Iterator[JobDocument]:
    """Yield jobs by their ids; deleted jobs are left out."""
    for job_id in job_ids:
        try:
            body = session.service.api.job(job_id).body
        except NotFoundError:
            continue
        if body is not None:
            yield body.document
