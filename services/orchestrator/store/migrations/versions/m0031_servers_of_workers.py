"""The servers that each worker sees behind its backends, for forecasts.

Revision: 0031. Old workers leave the column empty: their slots are added up as before.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0031"
down_revision: str | None = "0025"


def upgrade() -> None:
    """Adds the column."""
    comment = "By backend: the servers that are ready, each with its jobs at a time of all workers."
    op.add_column("executors", sa.Column("servers", JSONB(), comment=comment))


def downgrade() -> None:
    """Removes the column."""
    op.drop_column("executors", "servers")
