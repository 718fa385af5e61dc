"""Sounds among the assets, what vendors promised of videos, and prompts that were written.

Revision: 0003.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Goes forward."""
    op.add_column(
        "jobs",
        sa.Column(
            "written",
            postgresql.JSONB(astext_type=sa.Text()),
            comment="The prompt that was written from the spec's scene.",
        ),
    )
    op.alter_column("assets", "width", nullable=True)
    op.alter_column("assets", "height", nullable=True)
    op.add_column("assets", sa.Column("audio_s", sa.Double(), comment="Of the sound of a video; NULL: it has none."))
    op.add_column("assets", sa.Column("sample_rate", sa.Integer()))
    op.add_column("assets", sa.Column("channels", sa.Integer()))
    op.add_column(
        "assets",
        sa.Column("promised", postgresql.JSONB(astext_type=sa.Text()), comment="What a vendor said of it."),
    )
    op.create_check_constraint(
        op.f("assets_measured"),
        "assets",
        "CASE WHEN media_type LIKE 'audio/%' THEN num_nonnulls(duration_s, sample_rate, channels) = 3"
        " ELSE num_nonnulls(width, height) = 2 END",
    )


def downgrade() -> None:
    """Goes back; sounds cannot stay."""
    op.execute("DELETE FROM assets WHERE media_type LIKE 'audio/%'")
    op.drop_constraint(op.f("assets_measured"), "assets")
    for name in ("promised", "channels", "sample_rate", "audio_s"):
        op.drop_column("assets", name)
    op.alter_column("assets", "height", nullable=False)
    op.alter_column("assets", "width", nullable=False)
    op.drop_column("jobs", "written")
