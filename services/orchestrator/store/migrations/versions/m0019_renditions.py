"""Renditions: the pictures and previews that are made from assets.

Revision: 0019.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision: str | None = "0020"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "renditions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False, comment="Of the asset; its users share the renditions."),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=True, comment="NULL: it has not been made."),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True, comment="Why it could not be made."),
        sa.Column("claim", sa.Text(), nullable=True, comment="Who is making it."),
        sa.Column(
            "create_time",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was made, failed, or its claim was last renewed.",
        ),
        sa.CheckConstraint("(media_type IS NULL) = (size_bytes IS NULL)", name=op.f("renditions_sized")),
        sa.CheckConstraint("num_nonnulls(media_type, reason, claim) <= 1", name=op.f("renditions_one_state")),
        sa.PrimaryKeyConstraint("tenant", "sha256", "variant", name=op.f("renditions_pkey")),
    )
    op.create_index("renditions_claim", "renditions", ["claim"], postgresql_where=sa.text("claim IS NOT NULL"))


def downgrade() -> None:
    """Removes what `upgrade` made."""
    op.drop_table("renditions")
