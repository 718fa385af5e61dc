"""Which models of a capability a job has tried.

Revision: 0004.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Goes forward."""
    op.add_column(
        "jobs",
        sa.Column(
            "tried",
            postgresql.JSONB(astext_type=sa.Text()),
            comment="Models of the capability that were asked before the one of the spec.",
        ),
    )


def downgrade() -> None:
    """Goes back."""
    op.drop_column("jobs", "tried")
