"""Uploads that can continue after a break.

Revision: 0024.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0024"
down_revision: str | None = "0017"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "uploads",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="A UUID that the caller chose."),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False, comment="Of the whole file, as stated; empty: not given."),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "parts", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False, comment="Blob keys, in order."
        ),
        sa.Column(
            "asset", sa.Text(), server_default="", nullable=False, comment="That it became; empty: not finished."
        ),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("received_bytes BETWEEN 0 AND size_bytes", name=op.f("uploads_received_within_size")),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("uploads_tenant_fkey")),
        sa.PrimaryKeyConstraint("tenant", "user", "id", name=op.f("uploads_pkey")),
    )
    op.create_index("uploads_by_age", "uploads", ["create_time"])


def downgrade() -> None:
    """Removes what `upgrade` made. Uploads that are under way begin again."""
    op.drop_table("uploads")
