"""The tables of tenants and of who may do what: API keys, operators, overrides of limits, and the audit log."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.orchestrator.store.table_metadata import TIME, metadata

tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="active"),
    sa.Column("time_zone", sa.Text, nullable=False, server_default="UTC"),
    sa.Column("anniversary", sa.Date, nullable=False, server_default=sa.text("CURRENT_DATE")),
    sa.Column("next_plan", sa.Text, nullable=False, server_default="", comment="Holds from next_plan_time on."),
    sa.Column("next_plan_time", TIME),
    sa.Column("create_time", TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("delete_time", TIME),
    sa.Column("legal_hold", sa.Boolean, nullable=False, server_default="false"),
    sa.Column("legal_hold_reason", sa.Text),
    sa.CheckConstraint("legal_hold = (legal_hold_reason IS NOT NULL)", name="legal_hold_has_reason"),
    sa.CheckConstraint("state IN ('active', 'suspended', 'deleted')", name="state_known"),
    sa.CheckConstraint("(state = 'deleted') = (delete_time IS NOT NULL)", name="deleted_at_a_time"),
    sa.CheckConstraint("(next_plan = '') = (next_plan_time IS NULL)", name="next_plan_at_a_time"),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("sha256", sa.Text, nullable=False, comment="Digest of the key; the key itself is kept nowhere."),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", ARRAY(sa.Text), nullable=False),
    sa.Column("create_time", TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("expire_time", TIME),
    sa.Column("revoke_time", TIME),
    sa.Column("last_use_time", TIME),
    sa.UniqueConstraint("sha256"),
    sa.Index("api_keys_of_tenant", "tenant", "id"),
)

operators = sa.Table(
    "operators",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, nullable=False, comment="Digest of the key; the key itself is kept nowhere."),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("create_time", TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("expire_time", TIME),
    sa.Column("revoke_time", TIME),
    sa.Column("last_use_time", TIME),
    sa.UniqueConstraint("sha256"),
    sa.CheckConstraint("role IN ('viewer', 'operator', 'admin')", name="role_known"),
)

limit_overrides = sa.Table(
    "limit_overrides",
    metadata,
    sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id"), primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True, comment="As in the counters: empty, user:NAME or key:ID."),
    sa.Column("limit", sa.Text, primary_key=True, comment="Subject, measure and period: user spend month."),
    sa.Column("most", sa.BigInteger, comment="NULL: unlimited."),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("create_time", TIME, nullable=False),
    sa.CheckConstraint("most >= 0", name="most_not_negative"),
)

audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("time", TIME, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    # No foreign keys: an entry outlives what it is about.
    sa.Column("tenant", sa.Text, nullable=False, comment="Empty: it concerns no tenant."),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("call", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False, comment="Empty: it began, and its end was not recorded."),
    sa.Column("before", JSONB, nullable=False),
    sa.Column("after", JSONB, nullable=False),
    sa.Index("audit_log_of_tenant", "tenant", "id"),
)
