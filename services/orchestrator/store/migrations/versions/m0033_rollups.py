"""Daily rollups, and what vendors and slots cost in the ledger.

Revision: 0033. Old processes go on: what they book has no cost, and what they fold has no rollup until a full round.
The first round is one, and enters the cost of what was booked before: an UPDATE here would keep the ledger locked.
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision: str | None = "0031"

# Months that were folded before have no days: they are on the day on which the month began.
FOLDED = """
INSERT INTO daily_rollups (day, tenant, model, operation, folded, admitted, jobs, video_ms, charged_micros,
    vendor_micros, slot_ms)
SELECT CAST(timezone('UTC', period_time) AS date), tenant, model, operation, true, sum(jobs), sum(jobs), sum(video_ms),
    sum(spent_micros), 0, 0
FROM ledger_entries WHERE kind = 'balance' GROUP BY 1, 2, 3, 4
"""


def upgrade() -> None:
    """Makes the tables and the columns; the index of paid calls is made after the migrations."""
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
    op.execute("INSERT INTO rollup_rounds (id) VALUES (1)")
    op.execute(FOLDED)
    # Last, because from here on until the end no one else reads or writes the ledger. In the order of bookings, which
    # have their job's row when they come to the ledger: a migration after this one changes `jobs`.
    op.execute("LOCK TABLE jobs, ledger_entries IN ACCESS EXCLUSIVE MODE")
    for name, comment in (("vendor_micros", "What vendors are paid."), ("slot_ms", "Of a local backend's slots.")):
        column = sa.Column(name, sa.BigInteger(), server_default="0", nullable=False, comment=comment)
        op.add_column("ledger_entries", column)


def downgrade() -> None:
    """Removes what `upgrade` made, and the index."""
    op.execute("DROP INDEX IF EXISTS paid_calls_of_provider")
    op.drop_table("rollup_rounds")
    op.drop_table("daily_rollups")
    op.drop_column("ledger_entries", "slot_ms")
    op.drop_column("ledger_entries", "vendor_micros")
