"""The index of lists and sums, which kept jobs still have results, and no scans at a start."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_CLOSED_OTHERWISE = (
    "(NEW.state = 'closed') <> (OLD.state = 'closed') OR NEW.cancelled <> OLD.cancelled"
)
_ENDED = "('Cancelled', 'Completed', 'Failed')"
_ENDED_OR_TAGGED = f"NEW.tags <> OLD.tags OR NEW.state IN {_ENDED} OR OLD.state IN {_ENDED}"


def upgrade() -> None:
    """Create the tables, and note everything to be indexed, the oldest first."""
    op.create_table(
        "unlisted",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id", "kind"),
    )
    op.create_table(
        "entries",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("facets", sa.JSON(), nullable=False),
        sa.Column("used", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("entries_by_time", "entries", ["owner", "created_at"])
    op.create_table(
        "facets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("block", sa.Integer(), nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("owner", "name", "block"),
    )
    op.create_table(
        "tags",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "name"),
    )
    op.create_table(
        "usage",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("dedicated", sa.Boolean(), nullable=False),
        sa.Column("device_microseconds", sa.BigInteger(), nullable=False),
        sa.Column("running_microseconds", sa.BigInteger(), nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "day", "dedicated"),
    )
    op.drop_index("jobs_by_owner", "jobs")
    op.add_column("jobs", sa.Column("pruned", sa.Boolean(), nullable=False, server_default="0"))
    op.create_index(
        "jobs_kept",
        "jobs",
        ["ended_at", "id"],
        sqlite_where=sa.text("state IN ('Cancelled', 'Completed', 'Failed') AND NOT pruned"),
    )
    op.create_index(
        "sessions_open", "sessions", ["owner"], sqlite_where=sa.text("state <> 'closed'")
    )
    op.execute(
        "INSERT INTO unlisted (kind, id) SELECT kind, id FROM ("
        "SELECT 'session' AS kind, id, created_at, 0 AS later, rowid AS came FROM sessions "
        "UNION ALL SELECT 'job', id, created_at, 1, rowid FROM jobs"
        ") ORDER BY created_at, later, came"
    )
    noted = "INSERT OR IGNORE INTO unlisted (kind, id) VALUES"
    for name, when, row in (
        ("jobs_added", "INSERT ON jobs", "('job', NEW.id)"),
        (
            "jobs_changed",
            f"UPDATE OF state, tags ON jobs WHEN {_ENDED_OR_TAGGED}",
            "('job', NEW.id)",
        ),
        ("jobs_removed", "DELETE ON jobs", "('job', OLD.id)"),
        ("sessions_added", "INSERT ON sessions", "('session', NEW.id)"),
        (
            "sessions_changed",
            f"UPDATE OF state, cancelled ON sessions WHEN {_CLOSED_OTHERWISE}",
            "('session', NEW.id)",
        ),
        ("sessions_removed", "DELETE ON sessions", "('session', OLD.id)"),
    ):
        op.execute(f"CREATE TRIGGER {name} AFTER {when} BEGIN {noted} {row}; END")
