"""Indexes for lists of jobs and of the ledger, and tables for an audit of what has changed.

Revision: 0014. Stop all processes of the version before: the audit would report what they settle as a difference. It
takes the holds that are settled now as right.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision: str | None = "0015"

AUDITED = """
INSERT INTO audited_counters (counter, used)
SELECT id, coalesce(summed.used, 0) + removed FROM counters LEFT JOIN (
    SELECT counter, sum(used) AS used FROM holds, unnest(counters, settled) AS each (counter, used)
    WHERE settled_all GROUP BY counter
) AS summed ON counter = id
"""


def upgrade() -> None:
    """Makes the indexes and the tables, and enters what is settled now as audited."""
    op.create_index("jobs_by_state", "jobs", ["tenant", "user", "state", "id"])
    op.create_index("ledger_entries_of_tenant", "ledger_entries", ["tenant", "time"])
    op.create_index(
        "ledger_entries_rare",
        "ledger_entries",
        ["tenant", "time"],
        postgresql_where=sa.text("kind NOT IN ('reserve', 'settle')"),
    )
    op.create_index("counters_credited", "counters", ["tenant", "subject"], postgresql_where=sa.text("credit <> 0"))
    op.create_table(
        "unaudited_settlements",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "before",
            postgresql.ARRAY(sa.BigInteger()),
            nullable=True,
            comment="What of the holds was used before; NULL: nothing.",
        ),
        sa.PrimaryKeyConstraint("job_id", "kind", name=op.f("unaudited_settlements_pkey")),
    )
    op.create_table(
        "audited_counters",
        sa.Column("counter", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False, comment="Sum of its settled holds, as of the last audit."),
        sa.Column(
            "wrong", sa.Boolean(), server_default="false", nullable=False, comment="It differed at the last audit."
        ),
        sa.PrimaryKeyConstraint("counter", name=op.f("audited_counters_pkey")),
    )
    op.create_index("audited_counters_wrong", "audited_counters", ["counter"], postgresql_where=sa.text("wrong"))
    op.create_table(
        "counter_audits",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=True, comment="NULL: there was none yet."),
        sa.Column("differences", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("counter_audits_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("counter_audits_pkey")),
    )
    op.execute("INSERT INTO counter_audits (id) VALUES (1)")
    op.execute(AUDITED)


def downgrade() -> None:
    """Removes what `upgrade` made."""
    for table in ("counter_audits", "audited_counters", "unaudited_settlements"):
        op.drop_table(table)
    op.drop_index("counters_credited", "counters")
    op.drop_index("ledger_entries_rare", "ledger_entries")
    op.drop_index("ledger_entries_of_tenant", "ledger_entries")
    op.drop_index("jobs_by_state", "jobs")
