"""Collections of the library.

Revision: 0022. Old processes go on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision: str | None = "0021"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "collections",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="The request_id that made it."),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("tenant", "user", "id"),
    )
    op.create_index("collections_listing", "collections", ["tenant", "user", "number"])
    op.create_table(
        "collection_members",
        sa.Column("collection", sa.BigInteger(), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("cover", sa.Boolean(), server_default="false", nullable=False, comment="It was chosen as the cover."),
        sa.Column("add_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["collection"], ["collections.number"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["entry"], ["library_entries.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("collection", "entry"),
    )
    op.create_index("collection_members_entry", "collection_members", ["entry"])
    op.create_index(
        "collection_members_cover",
        "collection_members",
        ["collection"],
        unique=True,
        postgresql_where=sa.text("cover"),
    )


def downgrade() -> None:
    """Removes the tables: collections are lost, and no asset."""
    op.drop_table("collection_members")
    op.drop_table("collections")
