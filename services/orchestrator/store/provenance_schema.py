"""The table of manifests: how each finished video was made."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.orchestrator.store.table_metadata import TIME, metadata

manifests = sa.Table(
    "manifests",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, primary_key=True, comment="Of the asset that it describes."),
    sa.Column("body", JSONB, nullable=False),
    sa.Column("create_time", TIME, nullable=False),
    # It goes with its asset.
    sa.ForeignKeyConstraint(
        ["tenant", "user", "sha256"],
        ["assets.tenant", "assets.user", "assets.sha256"],
        name="manifests_asset",
        ondelete="CASCADE",
    ),
)
