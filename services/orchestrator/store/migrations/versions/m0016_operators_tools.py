"""Drains of backends, what keeps a worker from taking jobs, and indexes for lists of the jobs of all tenants.

Revision: 0016. Workers of the version before know no drains: they go on with the jobs of a drained backend.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision: str | None = "0014"

INDEXES: Mapping[str, Sequence[str | sa.TextClause]] = {
    "jobs_of_tenant": ["tenant", "state", "id"],
    "jobs_of_backend": ["backend", "state", "id"],
    "jobs_of_model": [sa.text("(spec ->> 'model')"), "state", "id"],
    "jobs_in_state": ["state", "id"],
}


def upgrade() -> None:
    """Makes the table, the column and the indexes."""
    op.create_table(
        "backend_drains",
        sa.Column("backend", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="As the operator said; may be empty."),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("backend", name=op.f("backend_drains_pkey")),
    )
    op.add_column(
        "executors",
        sa.Column("obstacles", postgresql.JSONB(), nullable=True, comment="By backend: why not ready; empty: ready."),
    )
    for name, columns in INDEXES.items():
        op.create_index(name, "jobs", columns)


def downgrade() -> None:
    """Removes what `upgrade` made: drained backends take jobs again."""
    for name in INDEXES:
        op.drop_index(name, "jobs")
    op.drop_column("executors", "obstacles")
    op.drop_table("backend_drains")
