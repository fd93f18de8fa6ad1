"""Queries by idempotency key: the session or job that a key created, and the latest keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, text

from qsession_widget.runtime.pieces import Content, LongText, digest
from qsession_widget.runtime.store import queries, schema

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session


def find_session(connection: Connection, owner: str, key: str) -> Session | None:
    """Find the session that was created with a key."""
    found = queries.id_by_key(connection, schema.sessions, owner, key)
    return None if found is None else queries.read_session(connection, owner, found)


def find_job(
    connection: Connection, owner: str, key: str, params: str | Content
) -> tuple[Job, bool] | None:
    """Find the job that was created with a key.

    Returns:
        The job, and whether it had this payload: true where the payload is no longer kept.
    """
    found = queries.id_by_key(connection, schema.jobs, owner, key)
    job = None if found is None else queries.read_job(connection, owner, found)
    if job is None:
        return None
    stored = queries.params(connection, job.id)
    if isinstance(stored, LongText):
        return job, isinstance(params, Content) and _digest(
            connection, job.id, stored
        ) == params.digest
    return job, stored is None or stored == params


def _digest(connection: Connection, job_id: str, stored: LongText) -> bytes:
    """Return the digest of a payload; earlier releases kept none."""
    return stored.digest or digest(queries.params_in_pieces(connection, job_id) or ())


def latest(connection: Connection, count: int) -> list[tuple[str, str]]:
    """Return the owners and keys of those of the last jobs that have one, the oldest first."""
    jobs = schema.jobs
    last = (
        select(jobs.c.owner, jobs.c.idempotency_key)
        # The order in which rows were added needs no index.
        .order_by(text("jobs.rowid DESC"))
        .limit(count)
        .subquery()
    )
    found = connection.execute(select(last).where(last.c.idempotency_key.is_not(None)))
    return [(owner, key) for owner, key in found][::-1]
