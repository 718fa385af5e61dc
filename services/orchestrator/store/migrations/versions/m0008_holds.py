"""Holds: one row for each account that a job was booked on, in place of two columns of the job.

Revision: 0008. The columns stay until the next version, for processes of the previous one, and both versions fill them.
A job that an API of the previous one admits gets its holds by a trigger. Its workers and APIs settle and refund by the
columns; another trigger settles the holds.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"

ENDED = "('succeeded', 'failed', 'cancelled')"

COPY = """
INSERT INTO holds (job_id, account, amount_micros, settled_micros)
SELECT jobs.id, account, quote_micros, charged_micros FROM jobs, unnest(ARRAY[tenant_account, user_account]) AS account
"""
HOLD = """
CREATE FUNCTION hold_accounts_of_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO holds (job_id, account, amount_micros)
    SELECT NEW.id, account, NEW.quote_micros FROM unnest(ARRAY[NEW.tenant_account, NEW.user_account]) AS account
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$
"""
HOLD_TRIGGER = """
CREATE TRIGGER jobs_hold_accounts AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION hold_accounts_of_job()
"""
SETTLE = """
CREATE FUNCTION settle_hold_of_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE holds SET settled_micros = NEW.spent_micros
    WHERE job_id = NEW.job_id AND account = NEW.account AND settled_micros IS NULL;
    RETURN NULL;
END $$
"""
SETTLE_TRIGGER = """
CREATE TRIGGER ledger_entries_settle_hold AFTER INSERT ON ledger_entries FOR EACH ROW
WHEN (NEW.kind = 'settle') EXECUTE FUNCTION settle_hold_of_entry()
"""


def upgrade() -> None:
    """Adds the holds of every job, of ended ones as settled."""
    # All locks at once, in the order in which submissions take them: else the two would wait for each other.
    op.execute("LOCK TABLE accounts, jobs, ledger_entries IN ACCESS EXCLUSIVE MODE")
    op.add_column("jobs", sa.Column("ended", sa.Boolean(), sa.Computed(f"state IN {ENDED}", persisted=True)))
    op.create_unique_constraint(op.f("jobs_id_ended_key"), "jobs", ["id", "ended"])
    op.create_table(
        "holds",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("account", sa.BigInteger(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False, comment="What is set aside on the account."),
        sa.Column(
            "settled_micros", sa.BigInteger(), nullable=True, comment="What of it was spent; NULL: the hold is open."
        ),
        sa.Column(
            "job_ended",
            sa.Boolean(),
            sa.Computed("CASE WHEN settled_micros IS NULL THEN false END", persisted=True),
            nullable=True,
        ),
        sa.Column(
            "settled_kind",
            sa.Text(),
            sa.Computed("CASE WHEN settled_micros IS NOT NULL THEN 'settle' END", persisted=True),
            nullable=True,
        ),
        sa.CheckConstraint("amount_micros >= 0", name=op.f("holds_amount_not_negative")),
        sa.CheckConstraint("settled_micros BETWEEN 0 AND amount_micros", name=op.f("holds_settled_within_amount")),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("holds_account_fkey")),
        sa.ForeignKeyConstraint(
            ["account", "job_id", "settled_kind"],
            ["ledger_entries.account", "ledger_entries.job_id", "ledger_entries.kind"],
            name="holds_settled",
        ),
        sa.ForeignKeyConstraint(
            ["job_id", "job_ended"], ["jobs.id", "jobs.ended"], name="holds_open", initially="DEFERRED", deferrable=True
        ),
        sa.PrimaryKeyConstraint("job_id", "account", name=op.f("holds_pkey")),
    )
    op.execute(COPY)
    for name in ("jobs_settled", "jobs_tenant_account_fkey", "jobs_user_account_fkey"):
        op.drop_constraint(op.f(name), "jobs")
    for statement in (HOLD, HOLD_TRIGGER, SETTLE, SETTLE_TRIGGER):
        op.execute(statement)


def downgrade() -> None:
    """Goes back: the accounts of each job are columns of it alone."""
    op.execute("DROP TRIGGER ledger_entries_settle_hold ON ledger_entries")
    op.execute("DROP FUNCTION settle_hold_of_entry()")
    op.execute("DROP TRIGGER jobs_hold_accounts ON jobs")
    op.execute("DROP FUNCTION hold_accounts_of_job()")
    for column in ("tenant_account", "user_account"):
        op.create_foreign_key(op.f(f"jobs_{column}_fkey"), "jobs", "accounts", [column], ["id"])
    op.create_foreign_key(
        "jobs_settled",
        "jobs",
        "ledger_entries",
        ["tenant_account", "settled_id", "settled_kind"],
        ["account", "job_id", "kind"],
        initially="DEFERRED",
        deferrable=True,
    )
    op.drop_table("holds")
    op.drop_constraint(op.f("jobs_id_ended_key"), "jobs")
    op.drop_column("jobs", "ended")
