"""Secrets that all replicas share, such as the key that signs quote tokens.

Revision: 0013. Processes of the version before do not know the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision: str | None = "0010"


def upgrade() -> None:
    """Goes forward."""
    op.create_table(
        "service_secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("length(secret) = 32", name=op.f("service_secrets_secret_long")),
        sa.PrimaryKeyConstraint("name", name=op.f("service_secrets_pkey")),
    )


def downgrade() -> None:
    """Goes back: quotes given so far no longer hold."""
    op.drop_table("service_secrets")
