"""Whether the user cancelled a session, which until now only its reason told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and fill it from the reasons that earlier releases wrote."""
    op.add_column(
        "sessions", sa.Column("cancelled", sa.Boolean(), nullable=False, server_default="0")
    )
    op.execute(
        "UPDATE sessions SET cancelled = 1 "
        "WHERE state_reason = 'cancelled by its user' AND NOT accepting_jobs"
    )
