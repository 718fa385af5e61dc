"""The trace context of a job, so that its attempts belong to the trace of its submission.

Revision: 0032. Old processes go on, and store none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision: str | None = "0030"


def upgrade() -> None:
    """Goes forward."""
    op.add_column("jobs", sa.Column("trace_context", sa.Text(), comment="Of its admission; NULL: it was not traced."))


def downgrade() -> None:
    """Goes back."""
    op.drop_column("jobs", "trace_context")
