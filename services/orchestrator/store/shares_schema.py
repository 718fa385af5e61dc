"""The table of shares: links to an asset or a collection."""

import sqlalchemy as sa

from services.orchestrator.store.table_metadata import TIME, metadata

shares = sa.Table(
    "shares",
    metadata,
    sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("id", sa.Text, nullable=False, comment="The request_id that made it."),
    sa.Column("token_sha256", sa.Text, nullable=False, comment="Digest of the token, which is kept nowhere."),
    # A share goes with what it shares.
    sa.Column("entry", sa.BigInteger, sa.ForeignKey("library_entries.id", ondelete="CASCADE")),
    sa.Column("collection", sa.BigInteger, sa.ForeignKey("collections.number", ondelete="CASCADE")),
    sa.Column("pass_phrase", sa.Text, nullable=False, server_default="", comment="Its scrypt hash; empty: none."),
    sa.Column("create_time", TIME, nullable=False),
    sa.Column("expire_time", TIME, nullable=False),
    sa.Column("revoke_time", TIME),
    sa.Column("views", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("view_time", TIME),
    sa.Column("downloads", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("download_time", TIME),
    sa.Column("attempts_until", TIME, comment="When all attempts at the pass phrase are possible again."),
    sa.UniqueConstraint("tenant", "user", "id"),
    sa.UniqueConstraint("token_sha256"),
    sa.Index("shares_listing", "tenant", "user", "number"),
    sa.Index("shares_entry", "entry", postgresql_where=sa.text("entry IS NOT NULL")),
    sa.Index("shares_collection", "collection", postgresql_where=sa.text("collection IS NOT NULL")),
    sa.CheckConstraint("num_nonnulls(entry, collection) = 1", name="one_target"),
    sa.CheckConstraint("views >= 0 AND downloads >= 0", name="counts_positive"),
    sa.CheckConstraint("token_sha256 ~ '^[0-9a-f]{64}$'", name="token_hex"),
)
