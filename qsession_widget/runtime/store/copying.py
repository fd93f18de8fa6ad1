"""Copies a store into an empty one, of the same kind of database or of another."""

from __future__ import annotations

import argparse
import hashlib
import sys
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout
from sqlalchemy.exc import DBAPIError

from qsession_widget.runtime.store import places, schema
from qsession_widget.runtime.store.database import (
    NotAStoreError,
    UnknownSchemaError,
    database_of,
    driver,
    migrate,
    writing,
)
from qsession_widget.wire import private_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Table

    from qsession_widget.runtime.store.database import Database

_ROWS, _LONG_ROWS = 500, 20
"""Rows that are in memory at once; of tables with payloads and results fewer."""

_LONG = {"payloads", "results", "pieces"}

_ARRIVED = {"sessions", "jobs"}
"""Tables whose rows keep their order of arrival."""

_BY_TRIGGERS = {"unlisted", "job_tags"}
"""Tables that triggers write: they are emptied before their own rows come."""


class CopyError(Exception):
    """The store was not copied; the other one is as it was."""


class Copied(NamedTuple):
    """What was copied of a table.

    Attributes:
        digest: SHA-256 of its rows as the copy has them, which is that of the original.
    """

    table: str
    rows: int
    digest: str


def copy(source: Database, target: Database) -> list[Copied]:
    """Copy all rows of a store in one transaction, and compare the copy with the original.

    Neither may be in use by a runtime.

    Raises:
        CopyError: a runtime uses one of them, the copy is not empty or differs, or one of them
            cannot be read or written.
    """
    connections: list[tuple[Database, Connection]] = []
    try:
        for each in (source, target):
            each.lead(partial(_refuse, each))
            migrate(each)
            connections.append((each, each.writer()))
        (_, old), (_, new) = connections
        with closing(old.begin()), writing(new):
            found = _copy(old, new)
            target.copied(new)
    except (DBAPIError, UnknownSchemaError, NotAStoreError, source.error, target.error) as error:
        raise CopyError(str(getattr(error, "orig", None) or error)) from error
    finally:
        for each, connection in connections:
            each.leave(connection)
    return found


def _refuse(database: Database) -> None:
    raise CopyError(f"a runtime uses the store {database}; stop it first")


def _copy(old: Connection, new: Connection) -> list[Copied]:
    database_of(old).begin_to_read(old)
    tables = schema.metadata.sorted_tables
    for table in tables:
        if driver(new).execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchone():  # noqa: S608 - of the schema
            raise CopyError(f"the copy is not empty: it has rows in {table.name}")
    for table in sorted(tables, key=lambda each: each.name in _BY_TRIGGERS):
        if table.name in _BY_TRIGGERS:
            driver(new).execute(f"DELETE FROM {table.name}")  # noqa: S608 - of the schema
        names = _names(table)
        marks = ", ".join("?" * len(names))
        add = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - of the schema
        for rows in _pages(old, table):
            driver(new).executemany(add, rows)
    found: list[Copied] = []
    for table in tables:
        after = _sum(new, table)
        if after != _sum(old, table):
            raise CopyError(f"the rows of {table.name} differ")
        found.append(after)
    return found


def _names(table: Table) -> list[str]:
    names = [column.name for column in table.c]
    return [schema.ARRIVED, *names] if table.name in _ARRIVED else names


def _pages(connection: Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    """Yield all rows in the order of their keys, some at a time."""
    names = _names(table)
    keys = [column.name for column in table.primary_key]
    places = [names.index(key) for key in keys]
    some = f"SELECT {', '.join(names)} FROM {table.name}"  # noqa: S608 - of the schema
    later = f"WHERE ({', '.join(keys)}) > ({', '.join('?' * len(keys))})"
    order = f"ORDER BY {', '.join(keys)} LIMIT {_LONG_ROWS if table.name in _LONG else _ROWS}"
    rows = driver(connection).execute(f"{some} {order}").fetchall()
    while rows:
        yield rows
        last = tuple(rows[-1][place] for place in places)
        rows = driver(connection).execute(f"{some} {later} {order}", last).fetchall()


def _sum(connection: Connection, table: Table) -> Copied:
    """Count and hash the rows of a table."""
    count, digest = 0, hashlib.sha256()
    for rows in _pages(connection, table):
        count += len(rows)
        for row in rows:
            # SQLite has no type for truth.
            plain = [int(value) if isinstance(value, bool) else value for value in row]
            digest.update(repr(plain).encode())
    return Copied(table.name, count, digest.hexdigest())


def main(arguments: list[str] | None = None) -> int:
    """Run `qsession store copy`.

    Returns:
        Exit status: 0 if the copy was made, 1 if not.
    """
    parser = argparse.ArgumentParser(prog="qsession store copy")
    for name in ("source", "target"):
        parser.add_argument(name)
    options = parser.parse_args(arguments)
    try:
        with ExitStack() as locks:
            for place in (options.source, options.target):
                _lock(place, locks)
            found = copy(_existing(options.source), places.at(options.target))
    except (CopyError, NotAStoreError, OSError) as error:
        sys.stderr.write(f"qsession: {error}\n")
        return 1
    for table, rows, digest in found:
        sys.stdout.write(f"{table:12} {rows:10,} rows  sha256 {digest}\n")
    return 0


def _existing(place: str) -> Database:
    if not places.is_url(place) and not _file(place).exists():
        raise CopyError(f"there is no store {_file(place)}")
    return places.at(place)


def _file(place: str) -> Path:
    path = Path(place)
    return path / places.FILE if path.is_dir() else path


def _lock(place: str, locks: ExitStack) -> None:
    """Keep runtimes from the folder of a file."""
    folder = _file(place).parent
    if places.is_url(place) or not folder.is_dir():
        return
    lock = FileLock(folder / "server.lock", mode=private_files.FILE_MODE)
    try:
        locks.enter_context(lock.acquire(blocking=False))
    except Timeout:
        raise CopyError(f"a runtime runs in {folder}; stop it first") from None


if __name__ == "__main__":
    raise SystemExit(main())
