"""Retention: legal holds, what is due in an order of its own, and events that can be removed quickly.

Revision: 0012. When an event was removed, its follower was looked up by `previous`, which no index has: each removed
event read all events of its job. Now the earlier event has the number of the `next` one, so the lookup goes by the
primary key. This rewrites `job_events`; processes of the version before must be stopped.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision: str | None = "0011"

FOLLOW = """
ALTER TABLE job_events
    DROP CONSTRAINT job_events_follow,
    DROP CONSTRAINT job_events_job_id_sequence_terminal_key,
    DROP COLUMN previous,
    DROP COLUMN previous_terminal,
    ADD COLUMN next bigint GENERATED ALWAYS AS (sequence + 1) STORED,
    ADD COLUMN previous_terminal boolean GENERATED ALWAYS AS (CASE WHEN sequence > 1 THEN false END) STORED,
    ADD CONSTRAINT job_events_job_id_next_terminal_key UNIQUE (job_id, next, terminal)
"""
PRECEDE = """
ALTER TABLE job_events
    DROP CONSTRAINT job_events_follow,
    DROP CONSTRAINT job_events_job_id_next_terminal_key,
    DROP COLUMN next,
    DROP COLUMN previous_terminal,
    ADD COLUMN previous bigint GENERATED ALWAYS AS (NULLIF(sequence - 1, 0)) STORED,
    ADD COLUMN previous_terminal boolean GENERATED ALWAYS AS (false) STORED,
    ADD CONSTRAINT job_events_job_id_sequence_terminal_key UNIQUE (job_id, sequence, terminal)
"""


def upgrade() -> None:
    """Adds the columns and indexes."""
    op.add_column("tenants", sa.Column("legal_hold", sa.Boolean(), nullable=False, server_default="false"))
    op.add_column("tenants", sa.Column("legal_hold_reason", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("tenants_legal_hold_has_reason"), "tenants", "legal_hold = (legal_hold_reason IS NOT NULL)"
    )
    op.add_column(
        "counters",
        sa.Column(
            "removed",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="Of what is used: by jobs that retention has removed with their holds.",
        ),
    )
    op.add_column(
        "jobs",
        sa.Column(
            "events_kept",
            sa.Boolean(),
            nullable=False,
            server_default="true",
            comment="False: retention has removed its events.",
        ),
    )
    op.create_index("jobs_ended", "jobs", ["end_time", "id"], postgresql_where=sa.text("end_time IS NOT NULL"))
    op.create_index(
        "jobs_with_events", "jobs", ["end_time", "id"], postgresql_where=sa.text("events_kept AND end_time IS NOT NULL")
    )
    op.create_index("jobs_resumes", "jobs", ["resumes"], postgresql_where=sa.text("resumes IS NOT NULL"))
    op.create_index(
        "jobs_output", "jobs", [sa.text("(output ->> 'asset')")], postgresql_where=sa.text("output IS NOT NULL")
    )
    op.add_column(
        "assets",
        sa.Column(
            "kept",
            sa.Boolean(),
            nullable=False,
            server_default="false",
            comment="Retention does not remove it: it was uploaded, or is the video of a removed job.",
        ),
    )
    op.create_index("assets_sha256", "assets", ["tenant", "sha256"])
    op.execute(FOLLOW)
    op.create_foreign_key(
        "job_events_follow",
        "job_events",
        "job_events",
        ["job_id", "sequence", "previous_terminal"],
        ["job_id", "next", "terminal"],
    )
    op.create_index(
        "job_events_fragment",
        "job_events",
        [sa.text("(body ->> 'asset')")],
        postgresql_where=sa.text("kind = 'FragmentReady'"),
    )


def downgrade() -> None:
    """Goes back. Jobs without events stay without."""
    op.drop_index("job_events_fragment", "job_events")
    op.execute(PRECEDE)
    op.create_foreign_key(
        "job_events_follow",
        "job_events",
        "job_events",
        ["job_id", "previous", "previous_terminal"],
        ["job_id", "sequence", "terminal"],
    )
    op.drop_index("assets_sha256", "assets")
    op.drop_column("assets", "kept")
    for index in ("jobs_output", "jobs_resumes", "jobs_with_events", "jobs_ended"):
        op.drop_index(index, "jobs")
    op.drop_column("jobs", "events_kept")
    op.drop_column("counters", "removed")
    op.drop_column("tenants", "legal_hold_reason")
    op.drop_column("tenants", "legal_hold")
