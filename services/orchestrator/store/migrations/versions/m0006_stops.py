"""The wish to stop a job whose vendor's answer was lost.

Revision: 0006.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Goes forward. Of what is RECONCILING already it is not known any more."""
    op.add_column(
        "jobs",
        sa.Column(
            "stopping",
            sa.Boolean(),
            nullable=False,
            server_default="false",
            comment="Asked to stop before it became RECONCILING.",
        ),
    )


def downgrade() -> None:
    """Goes back."""
    op.drop_column("jobs", "stopping")
