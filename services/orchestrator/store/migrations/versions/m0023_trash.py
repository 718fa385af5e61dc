"""The trash: assets that cannot be read, and bytes that are to be removed.

Revision: 0023. Processes of the version before show what is in the trash. Stop them before the first deletion.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision: str | None = "0019"

# A function, because each of its statements sees what was committed meanwhile: the first waits for a deletion of
# the same asset, the second for the collector, which may just have begun to remove these bytes.
KEEP_BYTES = """
CREATE FUNCTION keep_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM assets WHERE tenant = NEW.tenant AND "user" = NEW."user" AND sha256 = NEW.sha256 FOR UPDATE;
    DELETE FROM blob_removals WHERE tenant = NEW.tenant AND sha256 = NEW.sha256 AND NOT removing;
    IF EXISTS (SELECT FROM blob_removals WHERE tenant = NEW.tenant AND sha256 = NEW.sha256) THEN
        RAISE EXCEPTION 'the bytes % are being removed', NEW.sha256 USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEW;
END $$
"""
TRIGGER = "CREATE TRIGGER assets_keep_bytes BEFORE INSERT ON assets FOR EACH ROW EXECUTE FUNCTION keep_bytes()"


def upgrade() -> None:
    """Makes the column, the table, the index and the trigger."""
    op.add_column(
        "assets",
        sa.Column(
            "hidden",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="Its entry is in the trash, or it is a fragment of such a video.",
        ),
    )
    op.create_table(
        "blob_removals",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removing", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("tenant", "sha256", name=op.f("blob_removals_pkey")),
    )
    op.create_index(
        "library_entries_trash",
        "library_entries",
        ["delete_time", "id"],
        postgresql_where=sa.text("delete_time IS NOT NULL"),
    )
    op.execute(KEEP_BYTES)
    op.execute(TRIGGER)


def downgrade() -> None:
    """Removes what `upgrade` made. What is in the trash can be read again; bytes that wait for removal stay."""
    op.execute("DROP TRIGGER assets_keep_bytes ON assets")
    op.execute("DROP FUNCTION keep_bytes()")
    op.drop_index("library_entries_trash", "library_entries")
    op.drop_table("blob_removals")
    op.drop_column("assets", "hidden")
