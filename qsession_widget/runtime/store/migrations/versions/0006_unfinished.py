"""An index of the unfinished jobs, which are few, instead of one of all jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the index: counting a session's unfinished jobs then skips the others."""
    op.drop_index("jobs_by_state", "jobs")
    op.create_index(
        "jobs_unfinished",
        "jobs",
        ["session_id", "state"],
        sqlite_where=sa.text("state NOT IN ('Cancelled', 'Completed', 'Failed')"),
    )
