"""The name of a session, and the programs that use it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what earlier releases opened has none of them."""
    for name, kind, empty in (
        ("name", sa.String(), ""),
        ("place", sa.String(), ""),
        ("processes", sa.JSON(), "[]"),
    ):
        op.add_column("sessions", sa.Column(name, kind, nullable=False, server_default=empty))
