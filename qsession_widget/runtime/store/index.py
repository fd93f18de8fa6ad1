"""Reads the index of lists: the numbers of an owner's jobs and sessions that have a property."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, literal_column, select

from qsession_widget.runtime.store import bitmaps, listing, schema
from qsession_widget.runtime.store.database import driver
from qsession_widget.runtime.store.statements import PreparedSelect

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

    from qsession_widget.runtime.store.bitmaps import Bits

_OF_AN_ID = frozenset("0123456789abcdef-")
"""The characters of ids, which this runtime makes at random."""

_LAST = 2**62
"""Larger than the number of any entry."""

_AT = schema.entries.c.created_at
_OWNED = select(schema.entries.c.number).where(schema.entries.c.owner == bindparam("owner"))


def _of_time(condition: ColumnElement[bool], *order: ColumnElement[object]) -> PreparedSelect:
    one = _OWNED.where(condition).order_by(*order)
    # Without an offset, Core binds a value of its own.
    return PreparedSelect(one.limit(literal_column("1")).offset(literal_column("0")))


_NUMBER = schema.entries.c.number
_FIRST_AFTER = _of_time(bindparam("at", type_=_AT.type) <= _AT, _AT, _NUMBER)
_LAST_BEFORE = _of_time(bindparam("at", type_=_AT.type) >= _AT, _AT.desc(), _NUMBER.desc())


class Index:
    """The index of lists of one owner, in the snapshot of a connection."""

    def __init__(self, connection: Connection, owner: str) -> None:
        self._connection = connection
        self._database = driver(connection)
        self._owner = owner

    def facet(self, name: str) -> Bits:
        """Return the numbers that have a property."""
        return bitmaps.union(
            self._database.execute(
                "SELECT block, bits FROM facets WHERE owner = ? AND name = ?", (self._owner, name)
            )
        )

    def facets(self, beginning: str) -> Bits:
        """Return the numbers that have a property whose name has this prefix."""
        return bitmaps.union(
            self._database.execute(
                "SELECT block, bits FROM facets WHERE owner = ? AND name >= ? AND name < ?",
                (self._owner, beginning, beginning + chr(0x10FFFF)),
            )
        )

    def created(self, some: Bits, after: datetime | None, before: datetime | None) -> Bits:
        """Return those numbers of a set that were created between two times."""
        if after is None and before is None:
            return some
        first, last = 0, _LAST
        if after is not None:
            found = _FIRST_AFTER.scalar(self._connection, owner=self._owner, at=after)
            first = _LAST if found is None else found
        if before is not None:
            found = _LAST_BEFORE.scalar(self._connection, owner=self._owner, at=before)
            last = -1 if found is None else found
        return bitmaps.between(some, first, last)

    def tags(self, search: str, limit: int) -> list[str]:
        """Return the tags that contain a text, sorted."""
        statement = (
            select(schema.tags.c.name)
            .where(schema.tags.c.owner == self._owner)
            .where(schema.tags.c.name.icontains(search, autoescape=True))
            .order_by(schema.tags.c.name)
            .limit(limit)
        )
        return list(self._connection.execute(statement).scalars())

    def searched(self, text: str) -> Bits:
        """Return the numbers of entries whose id, or one of whose tags, contains a text."""
        return bitmaps.either(self._tagged_like(text), self._named_like(text))

    def _tagged_like(self, text: str) -> Bits:
        names = self.tags(text, _LAST)
        (known,) = self._database.execute(
            "SELECT count(*) FROM tags WHERE owner = ?", (self._owner,)
        ).fetchone()
        if names and len(names) == known:
            # All of them together are one facet.
            return self.facet(listing.TAGGED)
        rows: list[tuple[int, bytes]] = []
        for name in names:
            rows += self._database.execute(
                "SELECT block, bits FROM facets WHERE owner = ? AND name = ?",
                (self._owner, listing.TAG + name),
            )
        return bitmaps.union(rows)

    def _named_like(self, text: str) -> Bits:
        wanted = text.lower()
        if not _OF_AN_ID.issuperset(wanted):
            return {}
        # The only filter whose time grows with the store. It reads an index of the ids, no rows.
        found = self._database.execute(
            "SELECT number FROM entries WHERE id LIKE ?", (f"%{wanted}%",)
        )
        return bitmaps.of(number for (number,) in found)

    def running(self) -> Bits:
        """Return the numbers of the running jobs, and of the sessions in progress."""
        return bitmaps.of(
            number for (number,) in self._database.execute(_RUNNING, (self._owner,) * 2)
        )


# The empty text keeps SQLite from the index by owner, with which it would read all of the owner's
# jobs.
_RUNNING = f"""
SELECT e.number FROM jobs j JOIN entries e ON e.id = j.id
WHERE j.owner || '' = ? AND j.state = 'Running' AND j.{schema.UNFINISHED}
UNION ALL
SELECT e.number FROM sessions s JOIN entries e ON e.id = s.id
WHERE s.owner = ? AND s.state <> 'open' AND s.{schema.OPEN}
"""  # noqa: S608 - constants of the schema
