"""What the quantum program of each job stands for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; jobs of earlier releases are named by their program."""
    op.add_column("jobs", sa.Column("role", sa.String()))
