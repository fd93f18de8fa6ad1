"""How often the runtime died during each job, and when each was prepared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both; earlier deaths were not counted."""
    op.add_column(
        "jobs", sa.Column("interruptions", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("jobs", sa.Column("prepared_at", sa.BigInteger(), nullable=True))
