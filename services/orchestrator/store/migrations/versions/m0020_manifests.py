"""How finished videos were made.

Revision: 0020. Workers of the version before write no manifests, and sign nothing.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision: str | None = "0024"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "manifests",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False, comment="Of the asset that it describes."),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "user", "sha256"],
            ["assets.tenant", "assets.user", "assets.sha256"],
            name="manifests_asset",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "user", "sha256", name=op.f("manifests_pkey")),
    )


def downgrade() -> None:
    """Removes the table: the manifests in the files stay."""
    op.drop_table("manifests")
