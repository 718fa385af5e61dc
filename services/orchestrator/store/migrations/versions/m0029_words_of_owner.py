"""The owner of an entry is among its words, so that a search reads the entries of its user alone.

Revision: 0029. Old processes go on. The table is written once more, in which time no entry can be read or written.
"""

from alembic import op

revision = "0029"
down_revision: str | None = "0022"

WORDS = """
setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', joined_tags(tags)), 'A')
|| setweight(to_tsvector('simple', description), 'B') || setweight(to_tsvector('simple', prompt), 'C')
"""
OWNER = """array_to_tsvector(ARRAY[' ' || tenant || ' ' || "user"])"""


def _rewrite(words: str) -> None:
    op.execute(
        f"ALTER TABLE library_entries DROP COLUMN words, ADD COLUMN words tsvector GENERATED ALWAYS AS ({words}) STORED"
    )
    op.create_index("library_entries_of_words", "library_entries", ["words"], postgresql_using="gin")


def upgrade() -> None:
    """Makes the words with the owner."""
    _rewrite(f"{WORDS} || {OWNER}")


def downgrade() -> None:
    """Makes them without."""
    _rewrite(WORDS)
