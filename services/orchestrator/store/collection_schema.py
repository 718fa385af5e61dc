"""The tables of collections: albums of the library, and the entries in them."""

import sqlalchemy as sa

from services.orchestrator.store.table_metadata import TIME, metadata

collections = sa.Table(
    "collections",
    metadata,
    sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("id", sa.Text, nullable=False, comment="The request_id that made it."),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("create_time", TIME, nullable=False),
    sa.Column("update_time", TIME, nullable=False),
    sa.UniqueConstraint("tenant", "user", "id"),
    sa.Index("collections_listing", "tenant", "user", "number"),
)

collection_members = sa.Table(
    "collection_members",
    metadata,
    # A member goes with its collection, and with its entry.
    sa.Column("collection", sa.BigInteger, sa.ForeignKey("collections.number", ondelete="CASCADE"), primary_key=True),
    sa.Column("entry", sa.BigInteger, sa.ForeignKey("library_entries.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("cover", sa.Boolean, nullable=False, server_default="false", comment="It was chosen as the cover."),
    sa.Column("add_time", TIME, nullable=False),
    sa.Index("collection_members_entry", "entry"),
    sa.Index("collection_members_cover", "collection", unique=True, postgresql_where=sa.text("cover")),
)
