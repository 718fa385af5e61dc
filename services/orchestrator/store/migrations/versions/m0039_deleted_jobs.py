"""Jobs that their users have deleted.

Revision: 0039. Old processes go on: to them a deleted job is one like any other, and their users still see it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision: str | None = "0038"


def upgrade() -> None:
    """Adds the time of deletion, and what must hold of it."""
    comment = "When its user deleted it: they see it no more. NULL: they see it."
    op.add_column("jobs", sa.Column("delete_time", sa.DateTime(timezone=True), comment=comment))
    rule = "delete_time IS NULL OR state NOT IN ('queued', 'running')"
    op.create_check_constraint(op.f("jobs_deleted_when_stopped"), "jobs", rule)


def downgrade() -> None:
    """Goes back: users see the jobs again that they have deleted."""
    op.drop_constraint(op.f("jobs_deleted_when_stopped"), "jobs")
    op.drop_column("jobs", "delete_time")
