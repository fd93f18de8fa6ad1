"""Payloads and results that are kept in pieces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create their tables; what earlier releases wrote stays where it is."""
    op.create_table(
        "long_texts",
        sa.Column("key", sa.String(32), primary_key=True),
        sa.Column("job_id", sa.String(36)),
        sa.Column("kind", sa.String(8)),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("dropped", sa.Boolean(), nullable=False),
    )
    op.create_index("long_texts_by_job", "long_texts", ["job_id"])
    op.create_index("long_texts_dropped", "long_texts", ["key"], sqlite_where=sa.text("dropped"))
    op.create_table(
        "pieces",
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", "number"),
    )
