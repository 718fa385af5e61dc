"""The tables of the library: what people see of assets."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR

from services.orchestrator.store.table_metadata import TIME, metadata

# The words of any language, without stems: `simple`. A title counts more than a prompt. The owner is among them, so
# that a search reads the entries of its user alone; no text has that word, because words of texts have no space.
WORDS = """
setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', joined_tags(tags)), 'A')
|| setweight(to_tsvector('simple', description), 'B') || setweight(to_tsvector('simple', prompt), 'C')
|| array_to_tsvector(ARRAY[' ' || tenant || ' ' || "user"])
"""

library_entries = sa.Table(
    "library_entries",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    # Of the asset, which never changes: lists are sorted and filtered by them.
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("duration_ms", sa.BigInteger, comment="NULL: a picture."),
    sa.Column("title", sa.Text, nullable=False, server_default=""),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("tags", ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("source_module", sa.Text, nullable=False, server_default=""),
    sa.Column("custom", JSONB, nullable=False, server_default="{}"),
    sa.Column("favorite", sa.Boolean, nullable=False, server_default="false"),
    sa.Column("rating", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("job_id", sa.Text, comment="That made it, also after the job is removed; NULL: it was uploaded."),
    sa.Column("operation", sa.Text, nullable=False, server_default=""),
    sa.Column("model", sa.Text, nullable=False, server_default=""),
    sa.Column("seed", sa.BigInteger),
    sa.Column("prompt", sa.Text, nullable=False, server_default=""),
    sa.Column("cost_micros", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("parents", ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("phash", sa.BigInteger, comment="Perceptual hash of the picture, or of the video's first frame."),
    sa.Column("downloads", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("shares", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("access_time", TIME, comment="When its bytes were last read."),
    sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("create_time", TIME, nullable=False),
    sa.Column("update_time", TIME, nullable=False),
    sa.Column("delete_time", TIME, comment="Since when it is in the trash; NULL: it is not."),
    sa.Column("words", TSVECTOR, sa.Computed(WORDS, persisted=True)),
    sa.UniqueConstraint("tenant", "user", "sha256"),
    sa.ForeignKeyConstraint(
        ["tenant", "user", "sha256"], ["assets.tenant", "assets.user", "assets.sha256"], name="library_entries_of_asset"
    ),
    sa.Index("library_entries_trash", "delete_time", "id", postgresql_where=sa.text("delete_time IS NOT NULL")),
    sa.Index("library_entries_of_job", "job_id", postgresql_where=sa.text("job_id IS NOT NULL")),
    sa.Index("library_entries_by_creation", "tenant", "user", "create_time", "id"),
    sa.Index("library_entries_by_update", "tenant", "user", "update_time", "id"),
    sa.Index("library_entries_by_cost", "tenant", "user", "cost_micros", "id"),
    sa.Index("library_entries_by_size", "tenant", "user", "size_bytes", "id"),
    sa.Index("library_entries_by_title", "tenant", "user", sa.text('lower("left"(title, 80))'), "id"),
    sa.Index("library_entries_of_words", "words", postgresql_using="gin"),
    # For processes of the release before; the next one removes it.
    sa.Index("library_entries_of_tags", "tags", postgresql_using="gin"),
    sa.Index(
        "library_entries_of_owned_tags",
        sa.text('owned_tags(tenant, "user", tags)'),
        postgresql_using="gin",
        postgresql_concurrently=True,
    ),
    sa.CheckConstraint("kind IN ('image', 'video', 'audio')", name="kind_known"),
    sa.CheckConstraint("rating BETWEEN 0 AND 5", name="rating_stars"),
    sa.CheckConstraint("downloads >= 0 AND shares >= 0 AND cost_micros >= 0", name="counts_positive"),
)

# The tags of `library_entries` again, each in the order of the library. Triggers keep it.
library_tags = sa.Table(
    "library_tags",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("tag", sa.Text, primary_key=True),
    sa.Column("create_time", TIME, primary_key=True),
    sa.Column("entry", sa.BigInteger, primary_key=True, autoincrement=False),
)

renditions = sa.Table(
    "renditions",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, primary_key=True, comment="Of the asset; its users share the renditions."),
    sa.Column("variant", sa.Text, primary_key=True),
    sa.Column("media_type", sa.Text, comment="NULL: it has not been made."),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("reason", sa.Text, comment="Why it could not be made."),
    sa.Column("claim", sa.Text, comment="Who is making it."),
    sa.Column("create_time", TIME, nullable=False, comment="When it was made, failed, or its claim was last renewed."),
    sa.CheckConstraint("(media_type IS NULL) = (size_bytes IS NULL)", name="sized"),
    sa.CheckConstraint("num_nonnulls(media_type, reason, claim) <= 1", name="one_state"),
    sa.Index("renditions_claim", "claim", postgresql_where=sa.text("claim IS NOT NULL")),
)

# Bytes that no asset of the tenant needs any more. An upload of the same takes its row away; see `keep_bytes` in the
# migrations.
blob_removals = sa.Table(
    "blob_removals",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("since", TIME, nullable=False),
    sa.Column("removing", sa.Boolean, nullable=False, server_default="false"),
    sa.Column("deletion", sa.Text, comment="The deletion of a user that waits for it."),
)
