"""What was given back of a job's charge after its end.

Revision: 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Goes forward."""
    op.add_column(
        "jobs",
        sa.Column(
            "refunded_micros",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="Of the charge, after the end.",
        ),
    )
    op.execute(
        "UPDATE jobs SET refunded_micros = price_micros"
        " FROM (SELECT DISTINCT job_id FROM ledger_entries WHERE kind = 'refund') AS refunds WHERE job_id = id"
    )
    op.create_check_constraint(
        op.f("jobs_refunded_within_charged"), "jobs", "refunded_micros BETWEEN 0 AND coalesce(charged_micros, 0)"
    )


def downgrade() -> None:
    """Goes back."""
    op.drop_constraint(op.f("jobs_refunded_within_charged"), "jobs")
    op.drop_column("jobs", "refunded_micros")
