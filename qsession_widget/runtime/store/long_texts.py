"""Payloads and results that are kept in pieces: reads them, and removes those let go of."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, false, func, select, text, true, update

from qsession_widget.runtime.pieces import PIECE_BYTES, LongText, cut
from qsession_widget.runtime.store import schema
from qsession_widget.runtime.store.database import driver, writing
from qsession_widget.runtime.store.statements import PreparedSelect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

PIECES = 2
"""How many pieces one commit adds or removes: others have their turn after some milliseconds."""

_TEXT = PreparedSelect(
    select(schema.long_texts.c.size, schema.long_texts.c.digest, schema.long_texts.c.key)
    .where(schema.long_texts.c.job_id == bindparam("job_id"))
    .where(schema.long_texts.c.kind == bindparam("kind"))
)
_PIECES = PreparedSelect(
    select(schema.pieces.c.bytes)
    .where(schema.pieces.c.key == bindparam("key"))
    .order_by(schema.pieces.c.number)
)


def find(
    connection: Connection, found: str | None, job_id: str, kind: str
) -> str | LongText | None:
    """Return a payload or result, of a long one only what it is.

    Args:
        connection: of the store.
        found: what the job's own row has, None if there is none.
        job_id: the job.
        kind: of the text.
    """
    if found is None or 0 < len(found) <= PIECE_BYTES:
        return found
    if found:
        # An earlier release has kept it in one piece.
        return LongText(len(found))
    row = _TEXT.row(connection, job_id=job_id, kind=kind)
    return found if row is None else LongText(**row)


def read(
    connection: Connection, found: str | None, job_id: str, kind: str
) -> Sequence[bytes | memoryview] | None:
    """Read a payload or result in pieces; the arguments are those of `find`."""
    if found:
        return cut(found.encode())
    row = _TEXT.row(connection, job_id=job_id, kind=kind)
    if found is None or row is None:
        return None
    return [each["bytes"] for each in _PIECES.rows(connection, key=row["key"])]


def drop_unowned(connection: Connection) -> bool:
    """Let go of what an earlier runtime had begun to write when it died.

    Returns:
        Whether there is something to sweep.
    """
    table = schema.long_texts
    connection.execute(update(table).where(table.c.job_id.is_(None)).values(dropped=true()))
    return connection.execute(select(table.c.key).where(text(schema.DROPPED))).first() is not None


def sweep(connection: Connection) -> bool:
    """Remove some pieces of a text that was let go, in a transaction of its own.

    Returns:
        Whether there may be more.
    """
    run = driver(connection).execute
    # Mostly there is none, which costs no commit.
    with closing(connection.begin()):
        found = run(f"SELECT key FROM long_texts WHERE {schema.DROPPED} LIMIT 1").fetchone()  # noqa: S608 - no value in it
    if found is None:
        return False
    with writing(connection):
        (key,) = found
        removed = run(
            "DELETE FROM pieces WHERE key = ? AND number < ? + "
            "(SELECT min(number) FROM pieces WHERE key = ?)",
            (key, PIECES, key),
        ).rowcount
        if removed < PIECES:
            run("DELETE FROM long_texts WHERE key = ?", (key,))
    return True


def dropped_bytes(connection: Connection) -> int:
    """Return how many bytes of texts that were let go are still there."""
    table, pieces = schema.long_texts, schema.pieces
    # For each text by itself: joined, SQLite would look at the pieces of all texts that are kept.
    left = (
        select(func.sum(func.length(pieces.c.bytes)))
        .where(pieces.c.key == table.c.key)
        .correlate(table)
        .scalar_subquery()
    )
    statement = (
        select(func.coalesce(func.sum(left), 0))
        .select_from(table)
        .where(text(f"long_texts.{schema.DROPPED}"))
    )
    return int(connection.execute(statement).scalar_one())


def size_of_job() -> Any:
    """Return the expression for how many bytes of long texts a row of jobs has."""
    table = schema.long_texts
    return (
        select(func.coalesce(func.sum(table.c.size), 0))
        .where(table.c.job_id == schema.jobs.c.id)
        .where(table.c.dropped.is_(false()))
        .scalar_subquery()
    )
