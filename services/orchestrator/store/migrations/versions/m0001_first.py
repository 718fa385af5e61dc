"""Jobs, events, accounts, the ledger, assets, workers.

Revision: 0001, the first.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Goes forward."""
    op.create_table(
        "executors",
        sa.Column("id", sa.Text(), nullable=False, comment="Name of a worker; its jobs carry it in DBOS's tables."),
        sa.Column("beat_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("executors_pkey")),
    )
    op.create_table(
        "tenants",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("tenants_pkey")),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False, comment="Empty: the account of the tenant as a whole."),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("budget_micros", sa.BigInteger(), nullable=False),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=False),
        sa.Column("spent_micros", sa.BigInteger(), nullable=False),
        sa.Column("active_jobs", sa.Integer(), nullable=False),
        sa.CheckConstraint("reserved_micros + spent_micros <= budget_micros", name=op.f("accounts_within_budget")),
        sa.CheckConstraint(
            "reserved_micros >= 0 AND spent_micros >= 0 AND active_jobs >= 0", name=op.f("accounts_not_negative")
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("accounts_tenant_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("accounts_pkey")),
        sa.UniqueConstraint("tenant", "user", "period", name=op.f("accounts_tenant_user_period_key")),
    )
    op.create_table(
        "api_keys",
        sa.Column("sha256", sa.Text(), nullable=False, comment="Digest of the key; the key itself is kept nowhere."),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("api_keys_tenant_fkey")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("api_keys_pkey")),
    )
    op.create_table(
        "assets",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=True),
        sa.Column("fps", sa.Double(), nullable=True),
        sa.Column("duration_s", sa.Double(), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("assets_sha256_hex")),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("assets_tenant_fkey")),
        sa.PrimaryKeyConstraint("tenant", "user", "sha256", name=op.f("assets_pkey")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="Digest of the spec as it was asked."),
        sa.Column("backend", sa.Text(), nullable=False),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("quote_micros", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("charged_micros", sa.BigInteger(), nullable=True),
        sa.Column("output", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_account", sa.BigInteger(), nullable=False),
        sa.Column("user_account", sa.BigInteger(), nullable=False),
        sa.Column(
            "settled_id",
            sa.Text(),
            sa.Computed("CASE WHEN state IN ('succeeded', 'failed', 'cancelled') THEN id END", persisted=True),
            nullable=True,
        ),
        sa.Column(
            "settled_kind",
            sa.Text(),
            sa.Computed("CASE WHEN state IN ('succeeded', 'failed', 'cancelled') THEN 'settle' END", persisted=True),
            nullable=True,
        ),
        sa.CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name=op.f("jobs_error_when_failed")),
        sa.CheckConstraint("(state = 'succeeded') = (output IS NOT NULL)", name=op.f("jobs_output_when_succeeded")),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (charged_micros IS NOT NULL)",
            name=op.f("jobs_charged_when_ended"),
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'cancelling', 'reconciling', 'succeeded', 'failed', 'cancelled')",
            name=op.f("jobs_state_known"),
        ),
        sa.CheckConstraint("charged_micros BETWEEN 0 AND quote_micros", name=op.f("jobs_charged_within_quote")),
        sa.ForeignKeyConstraint(["tenant_account"], ["accounts.id"], name=op.f("jobs_tenant_account_fkey")),
        sa.ForeignKeyConstraint(["user_account"], ["accounts.id"], name=op.f("jobs_user_account_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("jobs_pkey")),
        sa.UniqueConstraint("tenant", "user", "request_id", name=op.f("jobs_tenant_user_request_id_key")),
    )
    op.create_index("jobs_listing", "jobs", ["tenant", "user", "id"], unique=False)
    op.create_index(
        "jobs_unfinished",
        "jobs",
        ["expire_time"],
        unique=False,
        postgresql_where=sa.text("state NOT IN ('succeeded', 'failed', 'cancelled')"),
    )
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("terminal", sa.Boolean(), nullable=False),
        sa.Column("previous", sa.BigInteger(), sa.Computed("NULLIF(sequence - 1, 0)", persisted=True), nullable=True),
        sa.Column("previous_terminal", sa.Boolean(), sa.Computed("false", persisted=True), nullable=True),
        sa.CheckConstraint("sequence >= 1", name=op.f("job_events_from_one")),
        sa.ForeignKeyConstraint(
            ["job_id", "previous", "previous_terminal"],
            ["job_events.job_id", "job_events.sequence", "job_events.terminal"],
            name="job_events_follow",
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("job_events_job_id_fkey")),
        sa.PrimaryKeyConstraint("job_id", "sequence", name=op.f("job_events_pkey")),
        sa.UniqueConstraint("job_id", "sequence", "terminal", name=op.f("job_events_job_id_sequence_terminal_key")),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("account", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=False),
        sa.Column("spent_micros", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind = 'reserve' AND reserved_micros >= 0 AND spent_micros = 0)"
            " OR (kind = 'settle' AND reserved_micros <= 0 AND spent_micros BETWEEN 0 AND -reserved_micros)",
            name=op.f("ledger_entries_booking_known"),
        ),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("ledger_entries_account_fkey")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("ledger_entries_job_id_fkey")),
        sa.PrimaryKeyConstraint("account", "job_id", "kind", name=op.f("ledger_entries_pkey")),
    )
    op.create_index("ledger_entries_newest", "ledger_entries", ["account", "time"], unique=False)
    # The two tables point at each other, so this one comes last.
    op.create_foreign_key(
        "jobs_settled",
        "jobs",
        "ledger_entries",
        ["tenant_account", "settled_id", "settled_kind"],
        ["account", "job_id", "kind"],
        initially="DEFERRED",
        deferrable=True,
    )


def downgrade() -> None:
    """Goes back."""
    op.drop_constraint("jobs_settled", "jobs")
    op.drop_index("ledger_entries_newest", table_name="ledger_entries")
    op.drop_table("ledger_entries")
    op.drop_table("job_events")
    op.drop_index("jobs_unfinished", table_name="jobs")
    op.drop_index("jobs_listing", table_name="jobs")
    op.drop_table("jobs")
    op.drop_table("assets")
    op.drop_table("api_keys")
    op.drop_table("accounts")
    op.drop_table("tenants")
    op.drop_table("executors")
