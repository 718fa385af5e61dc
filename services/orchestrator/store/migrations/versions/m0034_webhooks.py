"""Webhooks: endpoints of tenants, and the outbox of their deliveries.

Revision: 0034. Old processes go on: what they record is sent to no endpoint.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0034"
down_revision: str | None = "0032"

WAITING = sa.text("state = 'waiting'")
INDEXES: dict[str, tuple[list[str], sa.TextClause | None]] = {
    "due": (["endpoint", "next_try_time"], WAITING),
    "in_order": (["endpoint", "subject", "number"], WAITING),
    "claimed": (["endpoint"], sa.text("claimed")),
    "listing": (["endpoint", "state", "number"], None),
    "of_user": (["tenant", "user"], sa.text("\"user\" <> ''")),
    "old": (["create_time", "number"], None),
}
# Of those that old processes raise too. The counter has what the statement of the warning has made of it.
DELIVER = """
CREATE FUNCTION deliver_usage_warning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_deliveries
        (endpoint, tenant, "user", event_type, subject, body, create_time, next_try_time)
    SELECT endpoint.number, counter.tenant,
        CASE WHEN left(counter.subject, 5) = 'user:' THEN substr(counter.subject, 6) ELSE '' END,
        'usage.warning', 'counters/' || counter.id,
        jsonb_build_object('subject', counter.subject, 'measure', counter.measure, 'period', counter.period,
            'threshold', NEW.threshold, 'counted', counter.used + counter.held,
            'most', counter."limit" + counter.credit),
        NEW.time, NEW.time
    FROM counters AS counter JOIN webhook_endpoints AS endpoint ON endpoint.tenant = counter.tenant
    WHERE counter.id = NEW.counter AND endpoint.state IN ('active', 'paused')
        AND 'usage.warning' = ANY (endpoint.event_types);
    RETURN NULL;
END $$
"""
TRIGGER = """
CREATE TRIGGER usage_warnings_delivered AFTER INSERT OR UPDATE OF time ON usage_warnings FOR EACH ROW
EXECUTE FUNCTION deliver_usage_warning()
"""


def upgrade() -> None:
    """Makes the tables, and the trigger of warnings."""
    op.create_table(
        "webhook_endpoints",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="The request_id that made it."),
        sa.Column("url", sa.Text(), nullable=False, comment="Empty: it is deleted."),
        sa.Column("event_types", ARRAY(sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("salt", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("secret_time", sa.DateTime(timezone=True), nullable=False, comment="When the salt was made."),
        sa.Column("rotation", sa.Text(), comment="The request_id that made the salt; NULL: it is the first one."),
        sa.Column("old_salt", sa.Uuid(), comment="Of the secret before the rotation."),
        sa.Column("old_secret_expire_time", sa.DateTime(timezone=True)),
        sa.Column("failing_since", sa.DateTime(timezone=True), comment="NULL: the last try succeeded."),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False, comment="Since then."),
        sa.Column("hold_until", sa.DateTime(timezone=True), comment="Nothing is sent before."),
        sa.Column("claim_time", sa.DateTime(timezone=True), comment="When a process last took some of its deliveries."),
        sa.Column("pause_reason", sa.Text()),
        sa.Column("pause_time", sa.DateTime(timezone=True)),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delete_time", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "state IN ('active', 'paused', 'disabled', 'deleted')", name=op.f("webhook_endpoints_state_known")
        ),
        sa.CheckConstraint(
            "(state = 'deleted') = (delete_time IS NOT NULL)", name=op.f("webhook_endpoints_deleted_at_a_time")
        ),
        sa.CheckConstraint("(state = 'deleted') = (url = '')", name=op.f("webhook_endpoints_url_until_deleted")),
        sa.CheckConstraint(
            "(old_salt IS NULL) = (old_secret_expire_time IS NULL)", name=op.f("webhook_endpoints_old_secret_expires")
        ),
        sa.CheckConstraint(
            "num_nonnulls(pause_reason, pause_time) = CASE WHEN state = 'paused' THEN 2 ELSE 0 END",
            name=op.f("webhook_endpoints_paused_for_a_reason"),
        ),
        sa.CheckConstraint("failures >= 0", name=op.f("webhook_endpoints_failures_not_negative")),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("webhook_endpoints_tenant_fkey")),
        sa.PrimaryKeyConstraint("number", name=op.f("webhook_endpoints_pkey")),
        sa.UniqueConstraint("tenant", "id", name=op.f("webhook_endpoints_tenant_id_key")),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("endpoint", sa.BigInteger(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), server_default="", nullable=False, comment="Whom it is about; empty: the tenant."),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="Deliveries of one subject are sent in their order."),
        sa.Column("sequence", sa.BigInteger(), comment="Of the job's event."),
        sa.Column(
            "body",
            JSONB(),
            nullable=False,
            comment="What happened, as its table has it; the payload follows from it.",
        ),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False, comment="When it happened."),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column(
            "next_try_time",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="While it is claimed: the end of the lease.",
        ),
        sa.Column("claimed", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("claim", sa.BigInteger(), server_default="0", nullable=False, comment="Number of the newest claim."),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False, comment="Since the last replay."),
        sa.Column("last_try_time", sa.DateTime(timezone=True)),
        sa.Column("last_status", sa.Integer(), comment="Of the HTTP answer; NULL: there was none."),
        sa.Column("last_error", sa.Text(), server_default="", nullable=False),
        sa.Column("delivered_time", sa.DateTime(timezone=True)),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name=op.f("webhook_deliveries_state_known")),
        sa.CheckConstraint(
            "(state = 'delivered') = (delivered_time IS NOT NULL)", name=op.f("webhook_deliveries_delivered_at_a_time")
        ),
        sa.CheckConstraint("NOT claimed OR state = 'waiting'", name=op.f("webhook_deliveries_claimed_while_waiting")),
        sa.CheckConstraint("tries >= 0", name=op.f("webhook_deliveries_tries_not_negative")),
        sa.PrimaryKeyConstraint("number", name=op.f("webhook_deliveries_pkey")),
        sa.UniqueConstraint("id", name=op.f("webhook_deliveries_id_key")),
    )
    for name, (columns, where) in INDEXES.items():
        op.create_index(f"webhook_deliveries_{name}", "webhook_deliveries", columns, postgresql_where=where)
    op.execute(DELIVER)
    op.execute(TRIGGER)


def downgrade() -> None:
    """Removes the tables and the trigger."""
    op.execute("DROP TRIGGER usage_warnings_delivered ON usage_warnings")
    op.execute("DROP FUNCTION deliver_usage_warning()")
    op.drop_table("webhook_deliveries")
    op.drop_table("webhook_endpoints")
