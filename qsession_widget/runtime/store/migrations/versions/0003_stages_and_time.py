"""The stages of jobs, how sessions spent their time, and the runtime's own time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; they are empty for present rows."""
    for name in ("preparing_at", "on_device_at", "post_processing_at"):
        op.add_column("jobs", sa.Column(name, sa.BigInteger(), nullable=True))
    for name in ("on_device_seconds", "preparing_seconds", "busy_seconds"):
        op.add_column("sessions", sa.Column(name, sa.Float(), nullable=False, server_default="0"))
    op.add_column("sessions", sa.Column("busy_since", sa.BigInteger(), nullable=True))
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("now", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
