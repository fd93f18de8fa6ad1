"""How long a job is expected to run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; jobs of earlier releases were not foreseen."""
    op.add_column("jobs", sa.Column("expected_seconds", sa.Float()))
    op.add_column("jobs", sa.Column("expected_by", sa.String()))
