"""A table of the tags of entries in the order of the library, so that a page of a tag reads its own entries alone.

Revision: 0040. Old processes go on: triggers keep the table for them. While it is filled, about 25 seconds a million
tags, entries cannot be written, so jobs wait for their end.
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision: str | None = "0039"

KEEP = """
CREATE FUNCTION keep_library_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM library_tags WHERE tenant = OLD.tenant AND "user" = OLD."user" AND tag = ANY(OLD.tags)
            AND create_time = OLD.create_time AND entry = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO library_tags (tenant, "user", tag, create_time, entry)
        SELECT DISTINCT NEW.tenant, NEW."user", tag, NEW.create_time, NEW.id FROM unnest(NEW.tags) AS tag;
    END IF;
    RETURN NULL;
END $$
"""
TRIGGERS = (
    "library_entries_tagged AFTER INSERT ON library_entries FOR EACH ROW WHEN (NEW.tags <> '{}')",
    "library_entries_untagged AFTER DELETE ON library_entries FOR EACH ROW WHEN (OLD.tags <> '{}')",
    """library_entries_tagged_again AFTER UPDATE ON library_entries FOR EACH ROW
    WHEN ((OLD.tags, OLD.create_time) IS DISTINCT FROM (NEW.tags, NEW.create_time))""",
)


def upgrade() -> None:
    """Makes the table, keeps it by triggers, and fills it."""
    op.create_table(
        "library_tags",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user", "tag", "create_time", "entry", name=op.f("library_tags_pkey")),
    )
    op.execute(KEEP)
    for trigger in TRIGGERS:
        op.execute(f"CREATE TRIGGER {trigger} EXECUTE FUNCTION keep_library_tags()")
    op.execute("""
        INSERT INTO library_tags SELECT DISTINCT tenant, "user", unnest(tags), create_time, id
        FROM library_entries WHERE tags <> '{}'
    """)


def downgrade() -> None:
    """Removes the table and what keeps it; the tags stay in the entries."""
    for trigger in TRIGGERS:
        op.execute(f"DROP TRIGGER {trigger.split()[0]} ON library_entries")
    op.execute("DROP FUNCTION keep_library_tags()")
    op.drop_table("library_tags")
