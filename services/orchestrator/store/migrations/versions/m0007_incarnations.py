"""Workers are recorded by incarnation (one per start); before, by their names.

Revision: 0007.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Upgrades. Workers of the previous version still write rows with their name as the id."""
    op.add_column(
        "executors",
        sa.Column(
            "worker", sa.Text(), nullable=True, comment="Its name; null: from a version whose ids are the names."
        ),
    )
    op.alter_column("executors", "id", comment="One life of a worker; its jobs carry it in DBOS's tables.")


def downgrade() -> None:
    """Goes back."""
    op.alter_column("executors", "id", comment="Name of a worker; its jobs carry it in DBOS's tables.")
    op.drop_column("executors", "worker")
