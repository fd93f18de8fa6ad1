"""The tables of the store. A change of them needs a migration in `migrations/`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

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


class JsonText(TypeDecorator[Any]):
    """JSON as text, which SQLite's JSON is as well; PostgreSQL would read and write it anew."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Return the text of a value."""
        del dialect
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Return the value of a text."""
        del dialect
        return None if value is None else json.loads(value)


def name(length: int | None = None) -> String:
    """Return the type of names and words: they are compared by their code points everywhere."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


_JSON = JSON().with_variant(JsonText(), "postgresql")
_NUMBER = Integer().with_variant(BigInteger(), "postgresql")
"""A number without a bound: an Integer has 64 bits in SQLite and 32 in PostgreSQL."""

ARRIVED = "rowid"
"""Column with the order of arrival of rows: times may be equal, and ids are random.

SQLite has it by itself; in PostgreSQL it is a column of `jobs` and `sessions` of this name.
"""

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
    Column("id", name(36), primary_key=True),
    Column("owner", name(), nullable=False),
    Column("idempotency_key", name()),
    Column("backend", name(), nullable=False),
    Column("mode", name(), nullable=False),
    Column("max_seconds", _NUMBER, nullable=False),
    Column("interactive_seconds", _NUMBER, nullable=False),
    Column("active_seconds", _NUMBER, nullable=False),
    Column("first_job_seconds", _NUMBER, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("state", name(), nullable=False),
    Column("state_reason", name(), nullable=False),
    Column("accepting_jobs", Boolean, nullable=False),
    Column("cancelled", Boolean, nullable=False, server_default="0"),
    Column("started_at", Instant),
    Column("activated_at", Instant),
    Column("closed_at", Instant),
    Column("last_job_started", Instant),
    Column("last_job_completed", Instant),
    Column("idle_since", Instant),
    Column("used_seconds", Float, nullable=False),
    Column("transitions", _JSON, nullable=False),
    Column("on_device_seconds", Float, nullable=False, server_default="0"),
    Column("preparing_seconds", Float, nullable=False, server_default="0"),
    Column("busy_seconds", Float, nullable=False, server_default="0"),
    Column("busy_since", Instant),
    Column("cache_hits", _NUMBER, nullable=False, server_default="0"),
    Column("cache_misses", _NUMBER, nullable=False, server_default="0"),
    Column("cache_seconds_saved", Float, nullable=False, server_default="0"),
    Column("name", name(), nullable=False, server_default=""),
    Column("place", name(), nullable=False, server_default=""),
    Column("processes", _JSON, nullable=False, server_default="[]"),
    Column("revision", _NUMBER, nullable=False),
    UniqueConstraint("owner", "idempotency_key"),
    Index("sessions_open", "owner", sqlite_where=text(OPEN)),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", name(36), primary_key=True),
    Column("owner", name(), nullable=False),
    Column("idempotency_key", name()),
    Column("session_id", name(36), ForeignKey("sessions.id")),
    Column("backend", name(), nullable=False),
    Column("program_id", name(), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("state", name(), nullable=False),
    Column("reason", Text),
    Column("reason_code", _NUMBER),
    Column("started_at", Instant),
    Column("preparing_at", Instant),
    Column("prepared_at", Instant),
    Column("on_device_at", Instant),
    Column("post_processing_at", Instant),
    Column("ended_at", Instant),
    Column("attempts", _NUMBER, nullable=False),
    Column("interruptions", _NUMBER, nullable=False, server_default="0"),
    Column("busy_seconds", Float),
    Column("cost_seconds", _NUMBER),
    Column("optimization_level", _NUMBER, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("image", name()),
    Column("log_level", name()),
    Column("tags", _JSON, nullable=False),
    Column("pubs", _NUMBER),
    Column("expected_seconds", Float),
    Column("expected_by", name()),
    Column("role", name()),
    Column("result_summary", Text),
    Column("revision", _NUMBER, nullable=False),
    # Whether retention has removed its payload and result.
    Column("pruned", Boolean, nullable=False, server_default="0"),
    UniqueConstraint("owner", "idempotency_key"),
    Index("jobs_kept", "ended_at", "id", sqlite_where=text(KEPT)),
    Index("jobs_by_session", "session_id", "revision"),
    Index(
        "jobs_unfinished",
        "session_id",
        "state",
        sqlite_where=text(UNFINISHED),
    ),
)

job_tags = Table(
    "job_tags",
    metadata,
    # Each tag of each job. Triggers of the migration 0014 write it from the column of jobs, where
    # tags have their order.
    Column("job_id", name(36), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", name(), primary_key=True),
    Index("job_tags_by_tag", "tag", "job_id"),
    sqlite_with_rowid=False,
)

users = Table(
    "users",
    metadata,
    Column("name", name(64), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Column("token_hash", name(64), nullable=False, unique=True),
)

payloads = Table(
    "payloads",
    metadata,
    Column("job_id", name(36), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("params", Text, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("job_id", name(36), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("body", Text, nullable=False),
)

long_texts = Table(
    "long_texts",
    metadata,
    Column("key", name(32), primary_key=True),
    # The job whose payload or result it is, once there is one; its column there is empty.
    Column("job_id", name(36)),
    Column("kind", name(8)),
    Column("size", _NUMBER, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    # No job has it any more: its pieces are removed by and by.
    Column("dropped", Boolean, nullable=False),
    Index("long_texts_by_job", "job_id"),
    Index("long_texts_dropped", "key", sqlite_where=text(DROPPED)),
)

pieces = Table(
    "pieces",
    metadata,
    Column("key", name(32), primary_key=True),
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    Column("bytes", LargeBinary, nullable=False),
)

clock = Table(
    "clock",
    metadata,
    # One row: the runtime's time when it was last stored.
    Column("id", _NUMBER, primary_key=True),
    Column("now", Instant, nullable=False),
)

# -- the index of lists (`listing`) ----------------------------------------------------------

unlisted = Table(
    "unlisted",
    metadata,
    # What changed, in this order. Triggers of the migration 0011 write it.
    Column("number", _NUMBER, primary_key=True),
    Column("kind", name(), nullable=False),
    Column("id", name(36), nullable=False),
    UniqueConstraint("id", "kind"),
)

entries = Table(
    "entries",
    metadata,
    # A job or a session: numbers of an owner are in order of creation.
    Column("number", _NUMBER, primary_key=True),
    Column("id", name(36), nullable=False, unique=True),
    Column("owner", name(), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("facets", _JSON, nullable=False),
    Column("used", _JSON),
    Index("entries_by_time", "owner", "created_at"),
)

facets = Table(
    "facets",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("owner", name(), nullable=False),
    Column("name", name(), nullable=False),
    Column("block", _NUMBER, nullable=False),
    Column("bits", LargeBinary, nullable=False),
    UniqueConstraint("owner", "name", "block"),
)

tags = Table(
    "tags",
    metadata,
    Column("owner", name(), primary_key=True),
    Column("name", name(), primary_key=True),
    # How many jobs have it; no row if none has.
    Column("jobs", _NUMBER, nullable=False),
)

usage = Table(
    "usage",
    metadata,
    Column("owner", name(), primary_key=True),
    # On which the jobs ended, in days since 1970, UTC.
    Column("day", _NUMBER, primary_key=True),
    # Whether their session had its backend to itself.
    Column("dedicated", Boolean, primary_key=True),
    Column("device_microseconds", BigInteger, nullable=False),
    Column("running_microseconds", BigInteger, nullable=False),
    Column("newest", Instant, nullable=False),
)
