"""The table of sessions."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from services.orchestrator.store.table_metadata import TIME, metadata

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False, comment="Digest of the token or ticket, which is kept nowhere."),
    sa.Column("key", sa.Text, sa.ForeignKey("api_keys.id"), comment="The key that it stands for; NULL: a JWT."),
    sa.Column("scopes", ARRAY(sa.Text), nullable=False),
    sa.Column("create_time", TIME, nullable=False),
    sa.Column("expire_time", TIME, nullable=False),
    sa.Column("ticket_expire_time", TIME, comment="Until then a ticket begins it; NULL: it has begun."),
    sa.UniqueConstraint("sha256"),
    sa.Index("sessions_of_user", "tenant", "user", "number"),
    sa.Index("sessions_old", sa.text("LEAST(expire_time, ticket_expire_time)")),
    sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_hex"),
)
