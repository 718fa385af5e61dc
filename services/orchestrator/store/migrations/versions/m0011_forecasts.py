"""What forecasts of the queues need: run rates, the slots of each worker, and the waiting jobs by backend.

Revision: 0011.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision: str | None = "0013"


def upgrade() -> None:
    """Upgrades. Workers of the previous version report no slots; they count as none."""
    op.create_table(
        "run_rates",
        sa.Column("backend", sa.Text(), primary_key=True),
        sa.Column("variant", sa.Text(), primary_key=True, comment="What runs equally long per second of video."),
        sa.Column("jobs", sa.BigInteger(), nullable=False, comment="That were measured."),
        sa.Column("seconds_per_second", sa.Double(), nullable=False, comment="Of a slot per second of video."),
        sa.CheckConstraint("jobs > 0 AND seconds_per_second >= 0", name="run_rates_measured"),
    )
    op.add_column("executors", sa.Column("slots", JSONB(), comment="Jobs at a time, by backend."))
    op.create_index(
        "jobs_unfinished_by_backend",
        "jobs",
        ["backend", "state"],
        postgresql_where=sa.text("state IN ('queued', 'running', 'cancelling')"),
    )
    op.create_index(
        "jobs_with_start_timeout",
        "jobs",
        ["create_time"],
        postgresql_where=sa.text("state = 'queued' AND spec ? 'start_timeout_ms'"),
    )


def downgrade() -> None:
    """Goes back."""
    op.drop_index("jobs_with_start_timeout", "jobs")
    op.drop_index("jobs_unfinished_by_backend", "jobs")
    op.drop_column("executors", "slots")
    op.drop_table("run_rates")
