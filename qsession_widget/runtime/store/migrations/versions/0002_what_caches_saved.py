"""The figures of the workers' caches for each session."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the figures; nothing was counted before."""
    for name, kind in (
        ("cache_hits", sa.Integer()),
        ("cache_misses", sa.Integer()),
        ("cache_seconds_saved", sa.Float()),
    ):
        op.add_column("sessions", sa.Column(name, kind, nullable=False, server_default="0"))
