"""The tables of the store. A change of them needs a migration in `migrations/`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy import Dialect

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A UTC datetime, stored as microseconds since 1970: exact, and sortable."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the microseconds of a datetime."""
        del dialect
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the datetime of microseconds."""
        del dialect
        return None if value is None else _EPOCH + value * _MICROSECOND


ARRIVED = "rowid"
"""Column with the order of arrival of rows: times may be equal, and ids are random."""

UNFINISHED = "state NOT IN ('Cancelled', 'Completed', 'Failed')"
"""Condition for unfinished jobs. Queries use this text, or SQLite does not use the index."""

DROPPED = "dropped"
"""Condition for texts that no job has any more, for the same reason."""
KEPT = "state IN ('Cancelled', 'Completed', 'Failed') AND NOT pruned"
"""Condition for ended jobs whose payload and result were not removed; likewise."""

OPEN = "state <> 'closed'"
"""Condition for sessions that are not closed; likewise."""

metadata = MetaData()

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String, nullable=False),
    Column("idempotency_key", String),
    Column("backend", String, nullable=False),
    Column("mode", String, nullable=False),
    Column("max_seconds", Integer, nullable=False),
    Column("interactive_seconds", Integer, nullable=False),
    Column("active_seconds", Integer, nullable=False),
    Column("first_job_seconds", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("state", String, nullable=False),
    Column("state_reason", String, nullable=False),
    Column("accepting_jobs", Boolean, nullable=False),
    Column("cancelled", Boolean, nullable=False, server_default="0"),
    Column("started_at", Instant),
    Column("activated_at", Instant),
    Column("closed_at", Instant),
    Column("last_job_started", Instant),
    Column("last_job_completed", Instant),
    Column("idle_since", Instant),
    Column("used_seconds", Float, nullable=False),
    Column("transitions", JSON, nullable=False),
    Column("on_device_seconds", Float, nullable=False, server_default="0"),
    Column("preparing_seconds", Float, nullable=False, server_default="0"),
    Column("busy_seconds", Float, nullable=False, server_default="0"),
    Column("busy_since", Instant),
    Column("cache_hits", Integer, nullable=False, server_default="0"),
    Column("cache_misses", Integer, nullable=False, server_default="0"),
    Column("cache_seconds_saved", Float, nullable=False, server_default="0"),
    Column("name", String, nullable=False, server_default=""),
    Column("place", String, nullable=False, server_default=""),
    Column("processes", JSON, nullable=False, server_default="[]"),
    Column("revision", Integer, nullable=False),
    UniqueConstraint("owner", "idempotency_key"),
    Index("sessions_open", "owner", sqlite_where=text(OPEN)),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String, nullable=False),
    Column("idempotency_key", String),
    Column("session_id", String(36), ForeignKey("sessions.id")),
    Column("backend", String, nullable=False),
    Column("program_id", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", Text),
    Column("reason_code", Integer),
    Column("started_at", Instant),
    Column("preparing_at", Instant),
    Column("prepared_at", Instant),
    Column("on_device_at", Instant),
    Column("post_processing_at", Instant),
    Column("ended_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("interruptions", Integer, nullable=False, server_default="0"),
    Column("busy_seconds", Float),
    Column("cost_seconds", Integer),
    Column("optimization_level", Integer, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("image", String),
    Column("log_level", String),
    Column("tags", JSON, nullable=False),
    Column("pubs", Integer),
    Column("expected_seconds", Float),
    Column("expected_by", String),
    Column("role", String),
    Column("revision", Integer, nullable=False),
    # Whether retention has removed its payload and result.
    Column("pruned", Boolean, nullable=False, server_default="0"),
    UniqueConstraint("owner", "idempotency_key"),
    Index("jobs_kept", "ended_at", "id", sqlite_where=text(KEPT)),
    Index("jobs_by_session", "session_id", "revision"),
    Index("jobs_unfinished", "session_id", "state", sqlite_where=text(UNFINISHED)),
)

users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
)

payloads = Table(
    "payloads",
    metadata,
    Column("job_id", String(36), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("params", Text, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("job_id", String(36), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("body", Text, nullable=False),
)

long_texts = Table(
    "long_texts",
    metadata,
    Column("key", String(32), primary_key=True),
    # The job whose payload or result it is, once there is one; its column there is empty.
    Column("job_id", String(36)),
    Column("kind", String(8)),
    Column("size", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    # No job has it any more: its pieces are removed by and by.
    Column("dropped", Boolean, nullable=False),
    Index("long_texts_by_job", "job_id"),
    Index("long_texts_dropped", "key", sqlite_where=text(DROPPED)),
)

pieces = Table(
    "pieces",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("bytes", LargeBinary, nullable=False),
)

clock = Table(
    "clock",
    metadata,
    # One row: the runtime's time when it was last stored.
    Column("id", Integer, primary_key=True),
    Column("now", Instant, nullable=False),
)

# -- the index of lists (`listing`) ----------------------------------------------------------

unlisted = Table(
    "unlisted",
    metadata,
    # What changed, in this order. Triggers of the migration 0011 write it.
    Column("number", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("id", String(36), nullable=False),
    UniqueConstraint("id", "kind"),
)

entries = Table(
    "entries",
    metadata,
    # A job or a session: numbers of an owner are in order of creation.
    Column("number", Integer, primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("owner", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("facets", JSON, nullable=False),
    Column("used", JSON),
    Index("entries_by_time", "owner", "created_at"),
)

facets = Table(
    "facets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("owner", String, nullable=False),
    Column("name", String, nullable=False),
    Column("block", Integer, nullable=False),
    Column("bits", LargeBinary, nullable=False),
    UniqueConstraint("owner", "name", "block"),
)

tags = Table(
    "tags",
    metadata,
    Column("owner", String, primary_key=True),
    Column("name", String, primary_key=True),
    # How many jobs have it; no row if none has.
    Column("jobs", Integer, nullable=False),
)

usage = Table(
    "usage",
    metadata,
    Column("owner", String, primary_key=True),
    # On which the jobs ended, in days since 1970, UTC.
    Column("day", Integer, primary_key=True),
    # Whether their session had its backend to itself.
    Column("dedicated", Boolean, primary_key=True),
    Column("device_microseconds", BigInteger, nullable=False),
    Column("running_microseconds", BigInteger, nullable=False),
    Column("newest", Instant, nullable=False),
)
