"""The result of each job in few characters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; the results of earlier releases' jobs were not summarised."""
    op.add_column("jobs", sa.Column("result_summary", sa.Text()))
