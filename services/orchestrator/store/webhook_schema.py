"""The tables of webhooks: endpoints, and the outbox of deliveries."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.orchestrator.store.table_metadata import TIME, metadata

WAITING = sa.text("state = 'waiting'")

webhook_endpoints = sa.Table(
    "webhook_endpoints",
    metadata,
    sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("id", sa.Text, nullable=False, comment="The request_id that made it."),
    sa.Column("url", sa.Text, nullable=False, comment="Empty: it is deleted."),
    sa.Column("event_types", ARRAY(sa.Text), nullable=False),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("state", sa.Text, nullable=False, server_default="active"),
    # A secret follows from its salt and from a secret of the service, so neither of the two signs alone.
    sa.Column("salt", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
    sa.Column("secret_time", TIME, nullable=False, comment="When the salt was made."),
    sa.Column("rotation", sa.Text, comment="The request_id that made the salt; NULL: it is the first one."),
    sa.Column("old_salt", sa.Uuid, comment="Of the secret before the rotation."),
    sa.Column("old_secret_expire_time", TIME),
    sa.Column("failing_since", TIME, comment="NULL: the last try succeeded."),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0", comment="Since then."),
    sa.Column("hold_until", TIME, comment="Nothing is sent before."),
    sa.Column("claim_time", TIME, comment="When a process last took some of its deliveries."),
    sa.Column("pause_reason", sa.Text),
    sa.Column("pause_time", TIME),
    sa.Column("create_time", TIME, nullable=False),
    sa.Column("update_time", TIME, nullable=False),
    sa.Column("delete_time", TIME),
    sa.UniqueConstraint("tenant", "id"),
    sa.CheckConstraint("state IN ('active', 'paused', 'disabled', 'deleted')", name="state_known"),
    sa.CheckConstraint("(state = 'deleted') = (delete_time IS NOT NULL)", name="deleted_at_a_time"),
    sa.CheckConstraint("(state = 'deleted') = (url = '')", name="url_until_deleted"),
    sa.CheckConstraint("(old_salt IS NULL) = (old_secret_expire_time IS NULL)", name="old_secret_expires"),
    sa.CheckConstraint(
        "num_nonnulls(pause_reason, pause_time) = CASE WHEN state = 'paused' THEN 2 ELSE 0 END",
        name="paused_for_a_reason",
    ),
    sa.CheckConstraint("failures >= 0", name="failures_not_negative"),
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()"), unique=True),
    # No foreign key: each event would lock the row of the endpoint. The row stays until its deliveries are removed.
    sa.Column("endpoint", sa.BigInteger, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False, server_default="", comment="Whom it is about; empty: the tenant."),
    sa.Column("event_type", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False, comment="Deliveries of one subject are sent in their order."),
    sa.Column("sequence", sa.BigInteger, comment="Of the job's event."),
    sa.Column(
        "body", JSONB, nullable=False, comment="What happened, as its table has it; the payload follows from it."
    ),
    sa.Column("create_time", TIME, nullable=False, comment="When it happened."),
    sa.Column("state", sa.Text, nullable=False, server_default="waiting"),
    sa.Column("next_try_time", TIME, nullable=False, comment="While it is claimed: the end of the lease."),
    sa.Column("claimed", sa.Boolean, nullable=False, server_default="false"),
    sa.Column("claim", sa.BigInteger, nullable=False, server_default="0", comment="Number of the newest claim."),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0", comment="Since the last replay."),
    sa.Column("last_try_time", TIME),
    sa.Column("last_status", sa.Integer, comment="Of the HTTP answer; NULL: there was none."),
    sa.Column("last_error", sa.Text, nullable=False, server_default=""),
    sa.Column("delivered_time", TIME),
    sa.Index("webhook_deliveries_due", "endpoint", "next_try_time", postgresql_where=WAITING),
    sa.Index("webhook_deliveries_in_order", "endpoint", "subject", "number", postgresql_where=WAITING),
    sa.Index("webhook_deliveries_claimed", "endpoint", postgresql_where=sa.text("claimed")),
    sa.Index("webhook_deliveries_listing", "endpoint", "state", "number"),
    sa.Index("webhook_deliveries_of_user", "tenant", "user", postgresql_where=sa.text("\"user\" <> ''")),
    sa.Index("webhook_deliveries_old", "create_time", "number"),
    sa.CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name="state_known"),
    sa.CheckConstraint("(state = 'delivered') = (delivered_time IS NOT NULL)", name="delivered_at_a_time"),
    sa.CheckConstraint("NOT claimed OR state = 'waiting'", name="claimed_while_waiting"),
    sa.CheckConstraint("tries >= 0", name="tries_not_negative"),
)
