"""The journal of paid calls, and what a job knows of its own.

Revision: 0002. Jobs from before have no paid call; what they cost is what they were quoted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"

ENDED = "('succeeded', 'failed', 'cancelled')"
BOOKINGS = (
    "(kind = 'reserve' AND reserved_micros >= 0 AND spent_micros = 0)"
    " OR (kind = 'settle' AND reserved_micros <= 0 AND spent_micros BETWEEN 0 AND -reserved_micros)"
)


def upgrade() -> None:
    """Goes forward."""
    op.add_column(
        "jobs",
        sa.Column("price_micros", sa.BigInteger(), comment="The part of the quote that the video costs."),
    )
    op.execute("UPDATE jobs SET price_micros = quote_micros")
    op.alter_column("jobs", "price_micros", nullable=False)
    op.add_column("jobs", sa.Column("resumes", sa.Text(), comment="The job whose paid work this one attaches to."))
    op.add_column("jobs", sa.Column("call", sa.Text(), nullable=False, server_default="none"))
    op.add_column(
        "jobs",
        sa.Column("workflow", sa.Text(), nullable=False, server_default="", comment="Empty: that of the admission."),
    )
    op.create_foreign_key(op.f("jobs_resumes_fkey"), "jobs", "jobs", ["resumes"], ["id"])
    op.create_index(
        "jobs_one_resume", "jobs", ["resumes"], unique=True, postgresql_where=sa.text(f"state NOT IN {ENDED}")
    )
    op.create_index("jobs_reconciling", "jobs", ["create_time"], postgresql_where=sa.text("state = 'reconciling'"))
    op.create_check_constraint(op.f("jobs_call_known"), "jobs", "call IN ('none', 'submitting', 'accepted', 'charged')")
    op.create_check_constraint(op.f("jobs_price_within_quote"), "jobs", "price_micros BETWEEN 0 AND quote_micros")
    op.create_check_constraint(
        op.f("jobs_paid_when_ended"),
        "jobs",
        f"CASE WHEN state IN {ENDED} THEN call = 'none' OR (call = 'charged' AND charged_micros >= price_micros)"
        " ELSE call <> 'charged' END",
    )
    op.drop_constraint(op.f("ledger_entries_booking_known"), "ledger_entries")
    op.create_check_constraint(
        op.f("ledger_entries_booking_known"),
        "ledger_entries",
        BOOKINGS + " OR (kind = 'refund' AND reserved_micros = 0 AND spent_micros <= 0)",
    )
    op.create_table(
        "paid_calls",
        sa.Column("submission_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("external_ref", sa.Text(), nullable=True, comment="The vendor's name of the task."),
        sa.Column("submit_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settle_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('submitting', 'accepted', 'charged', 'released')", name=op.f("paid_calls_state_known")
        ),
        sa.CheckConstraint(
            "(state <> 'submitting' OR external_ref IS NULL) AND (state <> 'accepted' OR external_ref IS NOT NULL)",
            name=op.f("paid_calls_accepted_by_reference"),
        ),
        sa.CheckConstraint(
            "(state IN ('charged', 'released')) = (settle_time IS NOT NULL)", name=op.f("paid_calls_settled_when_known")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("paid_calls_job_id_fkey")),
        sa.PrimaryKeyConstraint("submission_id", name=op.f("paid_calls_pkey")),
        sa.UniqueConstraint("job_id", "attempt", name=op.f("paid_calls_job_id_attempt_key")),
        sa.UniqueConstraint("provider", "external_ref", name=op.f("paid_calls_provider_external_ref_key")),
    )
    op.create_index(
        "paid_calls_one_live", "paid_calls", ["job_id"], unique=True, postgresql_where=sa.text("state <> 'released'")
    )


def downgrade() -> None:
    """Goes back. Refuses to forget money: not while a job has a paid call or a refund."""
    op.drop_table("paid_calls")
    op.drop_constraint(op.f("ledger_entries_booking_known"), "ledger_entries")
    op.create_check_constraint(op.f("ledger_entries_booking_known"), "ledger_entries", BOOKINGS)
    for name in ("jobs_paid_when_ended", "jobs_price_within_quote", "jobs_call_known"):
        op.drop_constraint(op.f(name), "jobs")
    for name in ("jobs_reconciling", "jobs_one_resume"):
        op.drop_index(name, table_name="jobs")
    for name in ("workflow", "call", "resumes", "price_micros"):
        op.drop_column("jobs", name)
