"""The tables of the workers and of what they work for: their list, how long jobs run, and drained backends."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.orchestrator.store.table_metadata import TIME, metadata

executors = sa.Table(
    "executors",
    metadata,
    sa.Column("id", sa.Text, primary_key=True, comment="One life of a worker; its jobs carry it in DBOS's tables."),
    sa.Column("worker", sa.Text, comment="Its name; null: from a version whose ids are the names."),
    sa.Column("beat_time", TIME, nullable=False),
    sa.Column("slots", JSONB, comment="Jobs at a time, by backend."),
    sa.Column(
        "servers",
        JSONB,
        comment="By backend: the servers that are ready, each with its jobs at a time of all workers.",
    ),
    sa.Column("obstacles", JSONB, comment="By backend: why not ready; empty: ready."),
)

run_rates = sa.Table(
    "run_rates",
    metadata,
    sa.Column("backend", sa.Text, primary_key=True),
    sa.Column("variant", sa.Text, primary_key=True, comment="What runs equally long per second of video."),
    sa.Column("jobs", sa.BigInteger, nullable=False, comment="That were measured."),
    sa.Column("seconds_per_second", sa.Double, nullable=False, comment="Of a slot per second of video."),
    sa.CheckConstraint("jobs > 0 AND seconds_per_second >= 0", name="measured"),
)

backend_drains = sa.Table(
    "backend_drains",
    metadata,
    sa.Column("backend", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False, comment="As the operator said; may be empty."),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("create_time", TIME, nullable=False),
)
