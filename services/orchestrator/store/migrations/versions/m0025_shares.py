"""Shares of assets and collections.

Revision: 0025. Old processes go on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision: str | None = "0026"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "shares",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="The request_id that made it."),
        sa.Column("token_sha256", sa.Text(), nullable=False, comment="Digest of the token, which is kept nowhere."),
        sa.Column("entry", sa.BigInteger()),
        sa.Column("collection", sa.BigInteger()),
        sa.Column("pass_phrase", sa.Text(), server_default="", nullable=False, comment="Its scrypt hash; empty: none."),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("expire_time", TIME, nullable=False),
        sa.Column("revoke_time", TIME),
        sa.Column("views", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("view_time", TIME),
        sa.Column("downloads", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("download_time", TIME),
        sa.Column("attempts_until", TIME, comment="When all attempts at the pass phrase are possible again."),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"]),
        sa.ForeignKeyConstraint(["entry"], ["library_entries.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["collection"], ["collections.number"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("tenant", "user", "id"),
        sa.UniqueConstraint("token_sha256"),
        sa.CheckConstraint("num_nonnulls(entry, collection) = 1", name=op.f("shares_one_target")),
        sa.CheckConstraint("views >= 0 AND downloads >= 0", name=op.f("shares_counts_positive")),
        sa.CheckConstraint("token_sha256 ~ '^[0-9a-f]{64}$'", name=op.f("shares_token_hex")),
    )
    op.create_index("shares_listing", "shares", ["tenant", "user", "number"])
    op.create_index("shares_entry", "shares", ["entry"], postgresql_where=sa.text("entry IS NOT NULL"))
    op.create_index("shares_collection", "shares", ["collection"], postgresql_where=sa.text("collection IS NOT NULL"))


def downgrade() -> None:
    """Removes the table: all links end."""
    op.drop_table("shares")
