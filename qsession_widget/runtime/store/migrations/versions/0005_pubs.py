"""The number of pubs of each job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the number, which is unknown for present jobs."""
    op.add_column("jobs", sa.Column("pubs", sa.Integer(), nullable=True))
