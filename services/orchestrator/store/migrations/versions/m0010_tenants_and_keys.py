"""Tenants with a state, a calendar and a next plan; API keys with ids, scopes and an end; operators; the audit log.

Revision: 0010. Keys of the version before keep working, with all scopes but that of a tenant's admin. Processes of the
version before must be stopped: they store keys without an id.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision: str | None = "0009"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Adds the columns and the tables."""
    for column in (
        sa.Column("state", sa.Text(), nullable=False, server_default="active"),
        sa.Column("time_zone", sa.Text(), nullable=False, server_default="UTC"),
        sa.Column("anniversary", sa.Date(), nullable=False, server_default=sa.text("CURRENT_DATE")),
        sa.Column("next_plan", sa.Text(), nullable=False, server_default="", comment="Holds from next_plan_time on."),
        sa.Column("next_plan_time", TIME, nullable=True),
        sa.Column("delete_time", TIME, nullable=True),
    ):
        op.add_column("tenants", column)
    op.execute("UPDATE tenants SET anniversary = (create_time AT TIME ZONE 'UTC')::date")
    for name, condition in (
        ("state_known", "state IN ('active', 'suspended', 'deleted')"),
        ("deleted_at_a_time", "(state = 'deleted') = (delete_time IS NOT NULL)"),
        ("next_plan_at_a_time", "(next_plan = '') = (next_plan_time IS NULL)"),
    ):
        op.create_check_constraint(op.f(f"tenants_{name}"), "tenants", condition)
    _upgrade_keys()
    _create_tables()


def _upgrade_keys() -> None:
    op.add_column("api_keys", sa.Column("id", sa.Text(), nullable=True))
    op.add_column("api_keys", sa.Column("name", sa.Text(), nullable=True))
    op.add_column("api_keys", sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=True))
    for name in ("expire_time", "revoke_time", "last_use_time"):
        op.add_column("api_keys", sa.Column(name, TIME, nullable=True))
    op.execute(
        "UPDATE api_keys SET id = substr(sha256, 1, 12), name = 'from before there were names',"
        " scopes = ARRAY['assets', 'read', 'submit', 'usage']"
    )
    for name in ("id", "name", "scopes"):
        op.alter_column("api_keys", name, nullable=False)
    op.drop_constraint(op.f("api_keys_pkey"), "api_keys")
    op.create_primary_key(op.f("api_keys_pkey"), "api_keys", ["id"])
    op.create_unique_constraint(op.f("api_keys_sha256_key"), "api_keys", ["sha256"])
    op.create_index("api_keys_of_tenant", "api_keys", ["tenant", "id"])


def _create_tables() -> None:
    op.create_table(
        "operators",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False, comment="Digest of the key; the key itself is kept nowhere."),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("create_time", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("expire_time", TIME, nullable=True),
        sa.Column("revoke_time", TIME, nullable=True),
        sa.Column("last_use_time", TIME, nullable=True),
        sa.CheckConstraint("role IN ('viewer', 'operator', 'admin')", name=op.f("operators_role_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("operators_pkey")),
        sa.UniqueConstraint("sha256", name=op.f("operators_sha256_key")),
    )
    op.create_table(
        "limit_overrides",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="As in the counters: empty, user:NAME or key:ID."),
        sa.Column("limit", sa.Text(), nullable=False, comment="Subject, measure and period: user spend month."),
        sa.Column("most", sa.BigInteger(), nullable=True, comment="NULL: unlimited."),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.CheckConstraint("most >= 0", name=op.f("limit_overrides_most_not_negative")),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("limit_overrides_tenant_fkey")),
        sa.PrimaryKeyConstraint("tenant", "subject", "limit", name=op.f("limit_overrides_pkey")),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False, comment="Empty: it concerns no tenant."),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("call", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False, comment="Empty: it began, and its end was not recorded."),
        sa.Column("before", postgresql.JSONB(), nullable=False),
        sa.Column("after", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_log_pkey")),
    )
    op.create_index("audit_log_of_tenant", "audit_log", ["tenant", "id"])


def downgrade() -> None:
    """Goes back: ended keys and those of deleted tenants are removed, because they would work again."""
    op.execute(
        "DELETE FROM api_keys WHERE revoke_time IS NOT NULL OR expire_time IS NOT NULL"
        " OR tenant IN (SELECT id FROM tenants WHERE state <> 'active')"
    )
    for table in ("audit_log", "limit_overrides", "operators"):
        op.drop_table(table)
    op.drop_index("api_keys_of_tenant", "api_keys")
    op.drop_constraint(op.f("api_keys_sha256_key"), "api_keys")
    op.drop_constraint(op.f("api_keys_pkey"), "api_keys")
    op.create_primary_key(op.f("api_keys_pkey"), "api_keys", ["sha256"])
    for column in ("id", "name", "scopes", "expire_time", "revoke_time", "last_use_time"):
        op.drop_column("api_keys", column)
    for column in ("state", "time_zone", "anniversary", "next_plan", "next_plan_time", "delete_time"):
        op.drop_column("tenants", column)
