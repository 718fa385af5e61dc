"""The table of uploads that can continue after a break."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.orchestrator.store.table_metadata import TIME, metadata

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id"), primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True, comment="A UUID that the caller chose."),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False, comment="Of the whole file, as stated; empty: not given."),
    sa.Column("details", JSONB, nullable=False),
    sa.Column("received_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("parts", ARRAY(sa.Text), nullable=False, server_default="{}", comment="Blob keys, in order."),
    sa.Column("asset", sa.Text, nullable=False, server_default="", comment="That it became; empty: not finished."),
    sa.Column("create_time", TIME, nullable=False),
    sa.Index("uploads_by_age", "create_time"),
    sa.CheckConstraint("received_bytes BETWEEN 0 AND size_bytes", name="received_within_size"),
)
