"""An index of the jobs that go on, which are few, in the place of one of all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Put it there: counting a session's jobs then takes no look at those that have ended."""
    op.drop_index("jobs_by_state", "jobs")
    op.create_index(
        "jobs_unfinished",
        "jobs",
        ["session_id", "state"],
        sqlite_where=sa.text("state NOT IN ('Cancelled', 'Completed', 'Failed')"),
    )
