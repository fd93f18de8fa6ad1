"""The index of lists: what makes a page of 100,000 jobs cost no more than one of 100.

Each job and each session has an entry with a number, in order of creation. For each property that
lists are filtered by (a *facet*, such as "backend=fake_manila"), the numbers that have it are kept
as bitmaps. A list combines the bitmaps of its filters, counts the members, and reads the rows of
one page. Sums of usage are kept by owner and day in the same way.

Triggers record which jobs and sessions changed (`unlisted`), even if another program changed them.
The store's writer brings the index up to date before a list is read, and now and then. After a
migration there is much to index: this is done in parts, between other changes, while lists wait.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Integer, func, select, type_coerce

from qsession_widget.runtime.store import bitmaps, schema, usage
from qsession_widget.runtime.store.database import driver
from qsession_widget.runtime.store.statements import literal_sql
from qsession_widget.wire.states import FINAL_JOB_STATES, JobState, Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from qsession_widget.runtime.store.database import Driver

JOBS, ALONE, TAGGED = "jobs", "alone", "tagged"
"""Facets: every job, the jobs without a session, and those with tags."""

UNFINISHED, FAILED, CANCELLED = "unfinished", "failed", "cancelled"
"""Facets by state. An entry that has none of them is completed."""

BACKEND, PROGRAM, SESSION, MODE, TAG = "backend=", "program=", "session=", "mode=", "tag="
"""Prefixes of the names of facets that have a value."""

_JOB, _SESSION = "job", "session"
"""The kinds of entries that triggers record."""

PART = 5_000
"""How many changes one transaction indexes, so that no write waits long."""


def _jobs_sql() -> str:
    jobs = schema.jobs
    ended = func.coalesce(jobs.c.ended_at, jobs.c.created_at)
    return literal_sql(
        select(
            *(jobs.c[name] for name in ("id", "owner", "backend", "state", "program_id")),
            jobs.c.session_id,
            jobs.c.created_at,
            type_coerce(ended, Integer).label("newest"),
            usage.device_microseconds(jobs).label("device"),
            usage.running_microseconds(jobs).label("running"),
        )
    )


_JOBS_CHANGED = f"""
SELECT u.number, u.id, j.owner, j.created_at, j.backend, j.state, j.program_id, j.session_id,
    j.newest, j.device, j.running, coalesce(s.mode, '') = '{Mode.DEDICATED.value}',
    e.number, e.owner, e.created_at, e.facets, e.used
FROM (SELECT number, kind, id FROM unlisted ORDER BY number LIMIT ?) u
LEFT JOIN ({_jobs_sql()}) j ON j.id = u.id
LEFT JOIN sessions s ON s.id = j.session_id
LEFT JOIN entries e ON e.id = u.id
WHERE u.kind = 'job'
"""  # noqa: S608 - constants of this module
_TAGS_CHANGED = """
SELECT t.job_id, t.tag
FROM (SELECT number, kind, id FROM unlisted ORDER BY number LIMIT ?) u
JOIN job_tags t ON t.job_id = u.id
WHERE u.kind = 'job'
"""
_SESSIONS_CHANGED = """
SELECT u.number, u.id, s.owner, s.created_at, s.backend, s.state, s.mode, s.cancelled,
    e.number, e.owner, e.created_at, e.facets, e.used
FROM (SELECT number, kind, id FROM unlisted ORDER BY number LIMIT ?) u
LEFT JOIN sessions s ON s.id = u.id
LEFT JOIN entries e ON e.id = u.id
WHERE u.kind = 'session'
"""


_FINAL = frozenset(state.value for state in FINAL_JOB_STATES)
_OF_STATE = {JobState.FAILED.value: FAILED, JobState.CANCELLED.value: CANCELLED}


class _Entry(NamedTuple):
    """What the index says of a job or a session.

    Attributes:
        used: of a job that has ended: day, whether its session had the backend to itself,
            microseconds on the device and in all, and the time of its end.
    """

    id: str
    owner: str
    created_at: int
    facets: frozenset[str]
    used: tuple[int, int, int, int, int] | None


def bring_up_to_date(connection: Connection) -> None:
    """Index recorded changes, as many as one transaction should."""
    database = driver(connection)
    noted = database.execute("SELECT kind FROM unlisted ORDER BY number LIMIT ?", (PART,))
    kinds = {kind for (kind,) in noted}
    if not kinds:
        return
    jobs = database.execute(_JOBS_CHANGED, (PART,)).fetchall() if _JOB in kinds else []
    tags: defaultdict[str, list[str]] = defaultdict(list)
    for job_id, tag in database.execute(_TAGS_CHANGED, (PART,)) if jobs else ():
        tags[job_id].append(tag)
    sessions = database.execute(_SESSIONS_CHANGED, (PART,)).fetchall() if _SESSION in kinds else []
    edits = _Edits(database)
    new: list[tuple[int, _Entry]] = []
    for row, entry in (
        *((row, _job_entry(row, tags.get(row[1], ()))) for row in jobs),
        *((row, _session_entry(row)) for row in sessions),
    ):
        place, known, before = row[0], row[-5], _known(row)
        if before is not None:
            edits.change(known, before, entry)
        elif entry is not None:
            new.append((place, entry))
    edits.add(new)
    edits.write()
    last = max(row[0] for row in (*jobs, *sessions))
    database.execute("DELETE FROM unlisted WHERE number <= ?", (last,))


def has_more(connection: Connection) -> bool:
    """Return whether there are recorded changes that are not in the index yet."""
    return driver(connection).execute("SELECT 1 FROM unlisted LIMIT 1").fetchone() is not None


def _known(row: tuple[Any, ...]) -> _Entry | None:
    number, owner, created_at, facets, used = row[-5:]
    if number is None:
        return None
    spent = None if used is None else tuple(json.loads(used))
    return _Entry(row[1], owner, created_at, frozenset(json.loads(facets)), spent)


def _job_entry(row: tuple[Any, ...], tags: Sequence[str]) -> _Entry | None:
    _, job_id, owner, created_at, backend, state, program, session_id = row[:8]
    if owner is None:
        # It was deleted.
        return None
    newest, device, running, dedicated = row[8:12]
    facets = {JOBS, BACKEND + backend, PROGRAM + program}
    facets.add(ALONE if session_id is None else SESSION + session_id)
    if tags:
        facets.add(TAGGED)
        facets.update(TAG + name for name in tags)
    used = None
    if state in _FINAL:
        used = (newest // usage.DAY_MICROSECONDS, dedicated, device, running, newest)
        if state in _OF_STATE:
            facets.add(_OF_STATE[state])
    else:
        facets.add(UNFINISHED)
    return _Entry(job_id, owner, created_at, frozenset(facets), used)


def _session_entry(row: tuple[Any, ...]) -> _Entry | None:
    _, session_id, owner, created_at, backend, state, mode, cancelled = row[:8]
    if owner is None:
        return None
    facets = {BACKEND + backend, MODE + mode}
    if state != SessionState.CLOSED.value:
        facets.add(UNFINISHED)
    elif cancelled:
        facets.add(CANCELLED)
    return _Entry(session_id, owner, created_at, frozenset(facets), None)


class _Edits:
    """Collects the changes of the index's rows, and writes each row once."""

    def __init__(self, database: Driver) -> None:
        self._database = database
        self._added: defaultdict[tuple[str, str, int], set[int]] = defaultdict(set)
        self._removed: defaultdict[tuple[str, str, int], set[int]] = defaultdict(set)
        self._tags: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._used: defaultdict[tuple[str, int, bool], list[int]] = defaultdict(lambda: [0, 0, 0])

    def change(self, number: int, before: _Entry, now: _Entry | None) -> None:
        """Change an entry; None removes it."""
        self._facets(number, before.owner, before.facets, now.facets if now else frozenset())
        if before.used != (now and now.used):
            self._spend(before.owner, before.used, -1)
            if now is not None:
                self._spend(now.owner, now.used, 1)
        if now is None:
            self._database.execute("DELETE FROM entries WHERE number = ?", (number,))
        elif now != before:
            self._database.execute(
                "UPDATE entries SET facets = ?, used = ? WHERE number = ?",
                (*_texts(now), number),
            )

    def add(self, new: list[tuple[int, _Entry]]) -> None:
        """Add entries after all others, and move entries that were created later after them.

        Args:
            new: the entries, each with its place in the order in which they came.
        """
        first: dict[str, int] = {}
        for _, entry in new:
            first[entry.owner] = min(first.get(entry.owner, entry.created_at), entry.created_at)
        # The runtime's clock never goes back, but nothing here depends on that.
        ordered = [(entry.created_at, 1, place, entry) for place, entry in new]
        for owner, created_at in first.items():
            ordered += [
                (entry.created_at, 0, number, entry)
                for number, entry in self._later_than(owner, created_at)
            ]
        ordered.sort(key=lambda each: each[:3])
        for _, displaced, number, entry in ordered:
            if not displaced:
                self.change(number, entry, None)
        (last,) = self._database.execute("SELECT max(number) FROM entries").fetchone()
        numbered = list(enumerate((each[3] for each in ordered), start=(last or 0) + 1))
        self._database.executemany(
            "INSERT INTO entries (number, id, owner, created_at, facets, used) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            ((number, *each[:3], *_texts(each)) for number, each in numbered),
        )
        for number, entry in numbered:
            self._facets(number, entry.owner, frozenset(), entry.facets)
            self._spend(entry.owner, entry.used, 1)

    def _later_than(self, owner: str, created_at: int) -> Iterable[tuple[int, _Entry]]:
        found = self._database.execute(
            "SELECT number, id, owner, created_at, facets, used FROM entries "
            "WHERE owner = ? AND created_at > ? ORDER BY number",
            (owner, created_at),
        ).fetchall()
        for row in found:
            entry = _known((0, row[1], row[0], *row[2:]))
            if entry is not None:
                yield row[0], entry

    def _facets(self, number: int, owner: str, before: frozenset[str], now: frozenset[str]) -> None:
        block, place = divmod(number, bitmaps.BLOCK)
        for step, names in ((-1, before - now), (1, now - before)):
            to, other = (self._added, self._removed)[:: 1 if step == 1 else -1]
            for name in names:
                to[owner, name, block].add(place)
                other[owner, name, block].discard(place)
                if name.startswith(TAG):
                    self._tags[owner, name[len(TAG) :]] += step

    def _spend(self, owner: str, used: tuple[int, int, int, int, int] | None, sign: int) -> None:
        if used is not None:
            day, dedicated, device, running, newest = used
            # A list of JSON has had it as a number.
            total = self._used[owner, day, bool(dedicated)]
            total[0] += sign * device
            total[1] += sign * running
            total[2] = max(total[2], newest)

    def write(self) -> None:
        """Write the rows of facets, tags and usage."""
        database = self._database
        for key in sorted(self._added.keys() | self._removed.keys()):
            added, removed = self._added.get(key, ()), self._removed.get(key, ())
            if added or removed:
                self._write_block(key, added, removed)
        tags = [(*key, step) for key, step in self._tags.items() if step]
        database.executemany(
            "INSERT INTO tags (owner, name, jobs) VALUES (?, ?, ?) "
            "ON CONFLICT (owner, name) DO UPDATE SET jobs = tags.jobs + excluded.jobs",
            tags,
        )
        database.executemany(
            "DELETE FROM tags WHERE owner = ? AND name = ? AND jobs <= 0",
            (each[:2] for each in tags if each[2] < 0),
        )
        database.executemany(
            "INSERT INTO usage (owner, day, dedicated, device_microseconds, running_microseconds, "
            "newest) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (owner, day, dedicated) DO UPDATE SET "
            "device_microseconds = usage.device_microseconds + excluded.device_microseconds, "
            "running_microseconds = usage.running_microseconds + excluded.running_microseconds, "
            "newest = CASE WHEN excluded.newest > usage.newest THEN excluded.newest "
            "ELSE usage.newest END",
            ((*key, *total) for key, total in self._used.items()),
        )

    def _write_block(
        self, key: tuple[str, str, int], added: Iterable[int], removed: Iterable[int]
    ) -> None:
        where = "WHERE owner = ? AND name = ? AND block = ?"
        row = self._database.execute(f"SELECT bits FROM facets {where}", key).fetchone()  # noqa: S608 - a constant
        bits = bitmaps.changed(None if row is None else row[0], added, removed)
        if row is None and bits is not None:
            self._database.execute(
                "INSERT INTO facets (owner, name, block, bits) VALUES (?, ?, ?, ?)", (*key, bits)
            )
        elif bits is None:
            self._database.execute(f"DELETE FROM facets {where}", key)  # noqa: S608 - a constant
        else:
            self._database.execute(f"UPDATE facets SET bits = ? {where}", (bits, *key))  # noqa: S608 - a constant


def _texts(entry: _Entry) -> tuple[str, str | None]:
    used = None if entry.used is None else json.dumps(entry.used)
    return json.dumps(sorted(entry.facets)), used
