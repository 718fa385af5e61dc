"""A function that makes tags those of their owner, so that a filter by a tag reads the entries of its user alone.

Revision: 0030. Old processes go on. Its index is made after the migrations, while entries are written; see
`concurrent_indexes`.
"""

from alembic import op

revision = "0030"
down_revision: str | None = "0033"


def upgrade() -> None:
    """Makes the function."""
    op.execute("""
        CREATE FUNCTION owned_tags(tenant text, owner text, tags text[]) RETURNS text[]
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN ARRAY(SELECT tenant || ' ' || owner || ' ' || tag FROM unnest(tags) AS tag)
    """)


def downgrade() -> None:
    """Removes the index and the function."""
    op.execute("DROP INDEX IF EXISTS library_entries_of_owned_tags")
    op.execute("DROP FUNCTION owned_tags(text, text, text[])")
