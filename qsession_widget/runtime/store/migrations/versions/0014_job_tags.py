"""The tags of jobs as a table, for queries in SQL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_EACH = "INSERT INTO job_tags (job_id, tag) SELECT DISTINCT NEW.id, value FROM json_each(NEW.tags)"


def upgrade() -> None:
    """Create the table, fill it, and let triggers keep it: a job has its tags in their order."""
    op.create_table(
        "job_tags",
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "tag"),
        sqlite_with_rowid=False,
    )
    op.create_index("job_tags_by_tag", "job_tags", ["tag", "job_id"])
    op.execute(
        "INSERT INTO job_tags (job_id, tag) "
        "SELECT DISTINCT jobs.id, value FROM jobs, json_each(jobs.tags) WHERE jobs.tags <> '[]'"
    )
    for name, when, first in (
        ("job_tags_added", "INSERT ON jobs WHEN NEW.tags <> '[]'", ""),
        (
            "job_tags_changed",
            "UPDATE OF tags ON jobs WHEN NEW.tags <> OLD.tags",
            "DELETE FROM job_tags WHERE job_id = NEW.id; ",
        ),
    ):
        op.execute(f"CREATE TRIGGER {name} AFTER {when} BEGIN {first}{_EACH}; END")
