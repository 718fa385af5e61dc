"""Sessions of people who are signed in to the pages.

Revision: 0038. Old processes go on: they know no session, and refuse its token as an unknown key.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0038"
down_revision: str | None = "0034"


def upgrade() -> None:
    """Makes the table, and the trigger that refuses sessions of a user who is being deleted."""
    op.create_table(
        "sessions",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False, comment="Digest of the token or ticket, which is kept nowhere."),
        sa.Column("key", sa.Text(), comment="The key that it stands for; NULL: a JWT."),
        sa.Column("scopes", ARRAY(sa.Text()), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "ticket_expire_time",
            sa.DateTime(timezone=True),
            comment="Until then a ticket begins it; NULL: it has begun.",
        ),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("sessions_sha256_hex")),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("sessions_tenant_fkey")),
        sa.ForeignKeyConstraint(["key"], ["api_keys.id"], name=op.f("sessions_key_fkey")),
        sa.PrimaryKeyConstraint("number", name=op.f("sessions_pkey")),
        sa.UniqueConstraint("sha256", name=op.f("sessions_sha256_key")),
    )
    op.create_index("sessions_of_user", "sessions", ["tenant", "user", "number"])
    op.create_index("sessions_old", "sessions", [sa.text("LEAST(expire_time, ticket_expire_time)")])
    op.execute(
        "CREATE TRIGGER sessions_user_in_deletion BEFORE INSERT ON sessions FOR EACH ROW"
        " EXECUTE FUNCTION refuse_user_in_deletion()"
    )


def downgrade() -> None:
    """Removes the table: everyone is signed out."""
    op.drop_table("sessions")
