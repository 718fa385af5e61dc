"""The library: an entry for each upload and for the video of each job that has succeeded.

Revision: 0017. Stop all processes of the version before: what they store gets no entry.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision: str | None = "0016"

# array_to_string counts as STABLE, because the texts of some types depend on settings. Those of text do not.
JOINED_TAGS = """
CREATE FUNCTION joined_tags(tags text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_to_string(tags, ' ')
"""
WORDS = """
setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', joined_tags(tags)), 'A')
|| setweight(to_tsvector('simple', description), 'B') || setweight(to_tsvector('simple', prompt), 'C')
"""
OF_VIDEOS = """
INSERT INTO library_entries (tenant, "user", sha256, kind, size_bytes, duration_ms, title, job_id, operation, model,
    seed, prompt, cost_micros, parents, create_time, update_time)
SELECT assets.tenant, assets."user", assets.sha256, split_part(assets.media_type, '/', 1), assets.size_bytes,
    round(assets.duration_s * 1000), rtrim(left(made.prompt, 80)), jobs.id, jobs.spec #>> '{operation,kind}',
    jobs.spec ->> 'model', (jobs.spec ->> 'seed')::bigint, made.prompt, jobs.charged_micros,
    array_remove(ARRAY[jobs.spec #>> '{operation,image}', nullif(jobs.spec #>> '{operation,audio}', ''),
        nullif(jobs.spec #>> '{operation,mask}', '')], NULL), jobs.end_time, jobs.end_time
FROM jobs
    JOIN assets ON assets.tenant = jobs.tenant AND assets."user" = jobs."user"
        AND assets.sha256 = jobs.output ->> 'asset',
    LATERAL (SELECT coalesce(jobs.written ->> 'prompt', jobs.spec #>> '{operation,prompt}', '') AS prompt) AS made
WHERE jobs.output IS NOT NULL ORDER BY jobs.id ON CONFLICT DO NOTHING
"""
OF_UPLOADS = """
INSERT INTO library_entries (tenant, "user", sha256, kind, size_bytes, duration_ms, create_time, update_time)
SELECT tenant, "user", sha256, split_part(media_type, '/', 1), size_bytes, round(duration_s * 1000), create_time,
    create_time
FROM assets WHERE kept ORDER BY create_time ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    """Makes the table, and the entries of what is stored."""
    op.execute(JOINED_TAGS)
    op.create_table(
        "library_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True, comment="NULL: a picture."),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("source_module", sa.Text(), server_default="", nullable=False),
        sa.Column("custom", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("favorite", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("rating", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column(
            "job_id",
            sa.Text(),
            nullable=True,
            comment="That made it, also after the job is removed; NULL: it was uploaded.",
        ),
        sa.Column("operation", sa.Text(), server_default="", nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("prompt", sa.Text(), server_default="", nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("parents", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "phash",
            sa.BigInteger(),
            nullable=True,
            comment="Perceptual hash of the picture, or of the video's first frame.",
        ),
        sa.Column("downloads", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("shares", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("access_time", sa.DateTime(timezone=True), nullable=True, comment="When its bytes were last read."),
        sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "delete_time",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Since when it is in the trash; NULL: it is not.",
        ),
        sa.Column("words", postgresql.TSVECTOR(), sa.Computed(WORDS, persisted=True), nullable=True),
        sa.CheckConstraint("kind IN ('image', 'video', 'audio')", name=op.f("library_entries_kind_known")),
        sa.CheckConstraint("rating BETWEEN 0 AND 5", name=op.f("library_entries_rating_stars")),
        sa.CheckConstraint(
            "downloads >= 0 AND shares >= 0 AND cost_micros >= 0", name=op.f("library_entries_counts_positive")
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "user", "sha256"],
            ["assets.tenant", "assets.user", "assets.sha256"],
            name="library_entries_of_asset",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("library_entries_pkey")),
        sa.UniqueConstraint("tenant", "user", "sha256", name=op.f("library_entries_tenant_user_sha256_key")),
    )
    op.create_index(
        "library_entries_of_job", "library_entries", ["job_id"], postgresql_where=sa.text("job_id IS NOT NULL")
    )
    op.execute(OF_VIDEOS)
    op.execute(OF_UPLOADS)


def downgrade() -> None:
    """Removes what `upgrade` made."""
    op.drop_table("library_entries")
    op.execute("DROP FUNCTION joined_tags(text[])")
