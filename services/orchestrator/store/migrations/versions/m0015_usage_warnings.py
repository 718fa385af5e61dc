"""Warnings of limits, and counters of stored bytes.

Revision: 0015. Stop all processes of the version before: what they store would not be counted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision: str | None = "0012"

STORED = """
INSERT INTO counters (tenant, subject, measure, period, "limit", used, held, credit)
SELECT tenant, subject, 'bytes', '', NULL, sum(size_bytes), 0, 0
FROM assets, unnest(ARRAY['', 'user:' || "user"]) AS subject
GROUP BY tenant, subject
ON CONFLICT (tenant, subject, measure, period) DO UPDATE SET used = excluded.used, "limit" = NULL
"""


def upgrade() -> None:
    """Creates the table of warnings, and counts what is stored."""
    op.create_table(
        "usage_warnings",
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("threshold", sa.SmallInteger(), autoincrement=False, nullable=False, comment="Percent of the limit."),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "again_time",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="From when it may be raised again; NULL: not in this period.",
        ),
        sa.Column(
            "taken",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="A process has logged and counted it.",
        ),
        sa.ForeignKeyConstraint(
            ["counter"], ["counters.id"], name=op.f("usage_warnings_counter_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("counter", "threshold", name=op.f("usage_warnings_pkey")),
    )
    op.create_index(
        "usage_warnings_open", "usage_warnings", ["time"], unique=False, postgresql_where=sa.text("NOT taken")
    )
    op.execute("LOCK TABLE assets IN EXCLUSIVE MODE")
    op.execute(STORED)


def downgrade() -> None:
    """Goes back."""
    op.execute("DELETE FROM counters WHERE measure = 'bytes'")
    op.drop_table("usage_warnings")
