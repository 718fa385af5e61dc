"""Daily rollups, and what vendors and slots cost in the ledger.

Revision: 0033. Old processes go on: what they book has no cost, and what they fold has no rollup until a full round.
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision: str | None = "0031"

# The vendors' tasks whose jobs are still there. The cost of prompts and the time of slots are known from here on.
COSTS = """
UPDATE ledger_entries SET vendor_micros = CASE kind WHEN 'settle' THEN price_micros ELSE -price_micros END
FROM jobs JOIN paid_calls ON job_id = id
WHERE reference = id AND jobs.call = 'charged' AND resumes IS NULL
    AND (kind = 'settle' AND (paid_calls.state = 'charged' OR refunded_micros > 0) OR kind = 'refund')
"""
# Months that were folded before have no days: they are on the day on which the month began.
FOLDED = """
INSERT INTO daily_rollups (day, tenant, model, operation, folded, admitted, jobs, video_ms, charged_micros,
    vendor_micros, slot_ms)
SELECT CAST(timezone('UTC', period_time) AS date), tenant, model, operation, true, sum(jobs), sum(jobs), sum(video_ms),
    sum(spent_micros), 0, 0
FROM ledger_entries WHERE kind = 'balance' GROUP BY 1, 2, 3, 4
"""


def upgrade() -> None:
    """Makes the columns and the tables."""
    for name, comment in (("vendor_micros", "What vendors are paid."), ("slot_ms", "Of a local backend's slots.")):
        column = sa.Column(name, sa.BigInteger(), server_default="0", nullable=False, comment=comment)
        op.add_column("ledger_entries", column)
    op.create_table(
        "daily_rollups",
        sa.Column("day", sa.Date(), nullable=False, comment="Of the admission, in UTC."),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column(
            "folded", sa.Boolean(), nullable=False, comment="Of bookings that were folded; false: computed again."
        ),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("admitted", "jobs", "video_ms")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("charged_micros", "vendor_micros", "slot_ms")),
        sa.PrimaryKeyConstraint("day", "tenant", "model", "operation", "folded"),
    )
    op.create_index("daily_rollups_of_tenant", "daily_rollups", ["tenant", "day"])
    op.create_table(
        "rollup_rounds",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), comment="NULL: everything is to be computed."),
        sa.CheckConstraint("id = 1", name=op.f("rollup_rounds_one_row")),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("paid_calls_of_provider", "paid_calls", ["provider", "submit_time", "submission_id"])
    op.execute("INSERT INTO rollup_rounds (id) VALUES (1)")
    op.execute(COSTS)
    op.execute(FOLDED)


def downgrade() -> None:
    """Removes what `upgrade` made."""
    op.drop_index("paid_calls_of_provider", "paid_calls")
    op.drop_table("rollup_rounds")
    op.drop_table("daily_rollups")
    op.drop_column("ledger_entries", "slot_ms")
    op.drop_column("ledger_entries", "vendor_micros")
