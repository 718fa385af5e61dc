"""Counters of any limit, in place of accounts of money; one row of holds a job; a ledger that outlives the jobs.

Revision: 0009. Stop all processes of the version before: their statements name tables and columns that are gone. A
database cannot go back to the version before, which has no place for other limits: restore a backup.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision: str | None = "0008"

BUDGETS = """
INSERT INTO counters (tenant, subject, measure, period, "limit", used, held, credit)
SELECT tenant, CASE WHEN "user" = '' THEN '' ELSE 'user:' || "user" END, 'spend', period, budget_micros, spent_micros,
    reserved_micros, 0
FROM accounts
"""
UNFINISHED = """
INSERT INTO counters (tenant, subject, measure, period, "limit", used, held, credit)
SELECT tenant, CASE WHEN "user" = '' THEN '' ELSE 'user:' || "user" END, 'unfinished', '', NULL, 0, sum(active_jobs), 0
FROM accounts GROUP BY tenant, "user"
"""
LEDGER = """
INSERT INTO ledger_entries (reference, kind, tenant, "user", key, model, operation, capability, card_version, quote_id,
    reserved_micros, spent_micros, jobs, video_ms, period_time, time)
SELECT jobs.id, old.kind, jobs.tenant, jobs."user", '', spec->>'model', spec->'operation'->>'kind',
    coalesce(spec->>'capability', ''), '', '', old.reserved_micros, old.spent_micros,
    CASE old.kind WHEN 'settle' THEN made.jobs WHEN 'refund' THEN kept.jobs - made.jobs ELSE 0 END,
    CASE old.kind WHEN 'settle' THEN made.video_ms WHEN 'refund' THEN kept.video_ms - made.video_ms ELSE 0 END,
    jobs.create_time, old.time
FROM old_ledger_entries AS old
JOIN accounts ON accounts.id = old.account AND accounts."user" <> ''
JOIN jobs ON jobs.id = old.job_id
CROSS JOIN LATERAL (SELECT coalesce((spec->>'duration_ms')::bigint, 0) AS asked_ms) AS length
-- What a job counts for is in services/orchestrator/domain/limits/measure.py.
CROSS JOIN LATERAL (
    SELECT CASE WHEN resumes IS NULL AND (state = 'succeeded' OR charged_micros > 0) THEN 1 ELSE 0 END AS jobs,
        CASE WHEN resumes IS NOT NULL OR quote_micros = 0 AND state <> 'succeeded' THEN 0
            WHEN state = 'succeeded' THEN asked_ms
            ELSE ceil(asked_ms::numeric * charged_micros / quote_micros) END AS video_ms
) AS made
CROSS JOIN LATERAL (
    SELECT CASE WHEN resumes IS NULL AND (state = 'succeeded' OR charged_micros > price_micros) THEN 1 ELSE 0 END
            AS jobs,
        CASE WHEN resumes IS NOT NULL OR quote_micros = 0 AND state <> 'succeeded' THEN 0
            WHEN state = 'succeeded' THEN asked_ms
            ELSE ceil(asked_ms::numeric * (charged_micros - price_micros) / quote_micros) END AS video_ms
) AS kept
"""
HOLDS = """
INSERT INTO holds (job_id, counters, measures, amounts, settled)
SELECT jobs.id, array_agg(counters.id ORDER BY counters.subject, counters.measure),
    array_agg(counters.measure ORDER BY counters.subject, counters.measure),
    array_agg(CASE counters.measure WHEN 'spend' THEN old.amount_micros ELSE 1 END
              ORDER BY counters.subject, counters.measure),
    CASE WHEN jobs.ended THEN array_agg(
        CASE counters.measure WHEN 'spend' THEN old.settled_micros - jobs.refunded_micros ELSE 0 END
        ORDER BY counters.subject, counters.measure) END
FROM old_holds AS old
JOIN accounts ON accounts.id = old.account
JOIN jobs ON jobs.id = old.job_id
JOIN counters ON counters.tenant = accounts.tenant
    AND counters.subject = CASE WHEN accounts."user" = '' THEN '' ELSE 'user:' || accounts."user" END
    AND (counters.measure = 'spend' AND counters.period = accounts.period OR counters.measure = 'unfinished')
GROUP BY jobs.id
"""


def upgrade() -> None:
    """Turns accounts into counters, and copies the ledger and the holds of every job."""
    # All locks at once, in the order in which submissions take them: else the two would wait for each other.
    op.execute("LOCK TABLE accounts, jobs, holds, ledger_entries IN ACCESS EXCLUSIVE MODE")
    for table, trigger, function in (
        ("ledger_entries", "ledger_entries_settle_hold", "settle_hold_of_entry"),
        ("jobs", "jobs_hold_accounts", "hold_accounts_of_job"),
    ):
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
        op.execute(f"DROP FUNCTION {function}()")
    _move_away("holds", ["holds_pkey", "holds_open", "holds_settled", "holds_account_fkey"])
    _move_away("ledger_entries", ["ledger_entries_pkey"])
    op.execute("DROP INDEX ledger_entries_newest")
    for name, what in (
        ("key", "Id of the API key; empty: none."),
        ("capability", "Of its model; empty: none."),
        ("card_version", "Of the price card of the quote."),
        ("quote_id", "Of the quote token; empty: none."),
    ):
        op.add_column("jobs", sa.Column(name, sa.Text(), server_default="", nullable=False, comment=what))
    _create_counters()
    _create_ledger()
    _create_holds()
    op.execute("UPDATE jobs SET capability = spec->>'capability' WHERE spec ? 'capability'")
    for statement in (BUDGETS, UNFINISHED, LEDGER, HOLDS):
        op.execute(statement)
    op.drop_table("old_holds")
    op.drop_table("old_ledger_entries")
    op.drop_constraint("jobs_id_ended_key", "jobs")
    for column in ("tenant_account", "user_account", "settled_id", "settled_kind"):
        op.drop_column("jobs", column)
    op.drop_table("accounts")
    op.create_foreign_key(
        "jobs_held", "jobs", "holds", ["id", "ended"], ["job_id", "settled_all"], initially="DEFERRED", deferrable=True
    )


def downgrade() -> None:
    """Refuses: the version before has no place for other limits than four."""
    raise RuntimeError("migration 0009 cannot be undone; restore a backup of the database")


def _move_away(table: str, constraints: list[str]) -> None:
    """Renames a table, and drops those constraints whose names the new one needs."""
    for constraint in reversed(constraints):
        op.drop_constraint(op.f(constraint), table)
    op.rename_table(table, f"old_{table}")


def _create_counters() -> None:
    op.create_table(
        "counters",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="Empty: the tenant as a whole; user:… or key:…."),
        sa.Column("measure", sa.Text(), nullable=False, comment="What is counted; the class Measure knows its unit."),
        sa.Column("period", sa.Text(), nullable=False, comment="Empty: at a time."),
        sa.Column("limit", sa.BigInteger(), nullable=True, comment="As of the last admission; NULL: unlimited."),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False, comment="What operators have added to the limit."),
        sa.CheckConstraint("used >= 0 AND held >= 0", name=op.f("counters_not_negative")),
        sa.CheckConstraint('used + held <= "limit" + credit', name=op.f("counters_within_limit")),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("counters_tenant_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("counters_pkey")),
        sa.UniqueConstraint(
            "tenant", "subject", "measure", "period", name=op.f("counters_tenant_subject_measure_period_key")
        ),
    )


def _create_ledger() -> None:
    op.create_table(
        "ledger_entries",
        sa.Column("reference", sa.Text(), nullable=False, comment="The job, or the id of a credit or a debit."),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False, comment="Empty: the tenant as a whole."),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("key", "model", "operation", "capability", "card_version", "quote_id")
        ),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=False),
        sa.Column("spent_micros", sa.BigInteger(), nullable=False),
        sa.Column("credit_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "jobs", sa.Integer(), server_default="0", nullable=False, comment="That brought a video or cost something."
        ),
        sa.Column("video_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True, comment="Of a credit or a debit."),
        sa.Column("actor", sa.Text(), nullable=True, comment="Who gave the credit or the debit."),
        sa.Column(
            "period_time",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Decides the period: when the job was admitted.",
        ),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind = 'reserve' AND reserved_micros >= 0 AND spent_micros = 0 AND credit_micros = 0)"
            " OR (kind = 'settle' AND reserved_micros <= 0 AND spent_micros BETWEEN 0 AND -reserved_micros"
            " AND credit_micros = 0)"
            " OR (kind = 'refund' AND reserved_micros = 0 AND spent_micros <= 0 AND credit_micros = 0)"
            " OR (kind = 'credit' AND reserved_micros = 0 AND spent_micros = 0 AND credit_micros > 0)"
            " OR (kind = 'debit' AND reserved_micros = 0 AND spent_micros = 0 AND credit_micros < 0)"
            " OR (kind = 'balance' AND reserved_micros = 0)",
            name=op.f("ledger_entries_booking_known"),
        ),
        sa.CheckConstraint(
            "(kind IN ('credit', 'debit')) = (reason IS NOT NULL AND actor IS NOT NULL)",
            name=op.f("ledger_entries_reason_when_by_hand"),
        ),
        sa.PrimaryKeyConstraint("reference", "kind", name=op.f("ledger_entries_pkey")),
    )
    op.create_index("ledger_entries_newest", "ledger_entries", ["tenant", "user", "time"])
    op.create_index("ledger_entries_period", "ledger_entries", ["tenant", "period_time"])


def _create_holds() -> None:
    op.create_table(
        "holds",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column(
            "counters",
            postgresql.ARRAY(sa.BigInteger()),
            nullable=False,
            comment="Ids, in the order of their names.",
        ),
        sa.Column("measures", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "amounts",
            postgresql.ARRAY(sa.BigInteger()),
            nullable=False,
            comment="What is set aside on each counter.",
        ),
        sa.Column(
            "settled",
            postgresql.ARRAY(sa.BigInteger()),
            nullable=True,
            comment="What of it was used; NULL: the holds are open.",
        ),
        sa.Column("settled_all", sa.Boolean(), sa.Computed("settled IS NOT NULL", persisted=True), nullable=False),
        sa.Column(
            "settled_kind",
            sa.Text(),
            sa.Computed("CASE WHEN settled IS NOT NULL THEN 'settle' END", persisted=True),
            nullable=True,
        ),
        sa.CheckConstraint(
            "cardinality(measures) = cardinality(counters) AND cardinality(amounts) = cardinality(counters)"
            " AND cardinality(settled) = cardinality(counters) AND array_position(counters, NULL) IS NULL"
            " AND array_position(amounts, NULL) IS NULL AND array_position(settled, NULL) IS NULL",
            name=op.f("holds_complete"),
        ),
        sa.CheckConstraint("0 <= ALL (amounts) AND 0 <= ALL (settled)", name=op.f("holds_not_negative")),
        sa.ForeignKeyConstraint(
            ["job_id", "settled_kind"], ["ledger_entries.reference", "ledger_entries.kind"], name="holds_settled"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("holds_pkey")),
        sa.UniqueConstraint("job_id", "settled_all", name=op.f("holds_job_id_settled_all_key")),
    )
