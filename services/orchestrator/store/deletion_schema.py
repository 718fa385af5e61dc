"""The table of deletions of users."""

import sqlalchemy as sa

from services.orchestrator.store.table_metadata import TIME, metadata


def _count(name: str, comment: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0", comment=comment)


user_deletions = sa.Table(
    "user_deletions",
    metadata,
    sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id"), primary_key=True),
    sa.Column("id", sa.Text, primary_key=True, comment="The request_id that began it."),
    sa.Column("user", sa.Text, comment="NULL as soon as everything of the user is erased."),
    sa.Column("pseudonym", sa.Text, nullable=False, comment="Stands for the user in what is kept."),
    sa.Column("state", sa.Text, nullable=False, server_default="deleting"),
    sa.Column("obstacle", sa.Text, nullable=False, server_default="", comment="What it waits for; empty: nothing."),
    # What it has deleted so far.
    _count("entries"),
    _count("size_bytes", "Of assets."),
    _count("jobs"),
    _count("collections"),
    _count("uploads"),
    _count("bookings", "That have the pseudonym now."),
    sa.Column("create_time", TIME, nullable=False),
    sa.Column("erase_time", TIME, comment="When the last row was erased."),
    sa.Column("end_time", TIME, comment="When the last bytes were removed."),
    # While one is under way, triggers refuse what is new of the user; see `refuse_user_in_deletion` in the migrations.
    sa.Index("user_deletions_under_way", "tenant", "user", unique=True, postgresql_where=sa.text('"user" IS NOT NULL')),
    sa.Index("user_deletions_open", "create_time", postgresql_where=sa.text("state <> 'done'")),
    sa.CheckConstraint("state IN ('deleting', 'removing-bytes', 'done')", name="state_known"),
    sa.CheckConstraint("(state = 'deleting') = (\"user\" IS NOT NULL)", name="user_while_deleting"),
    sa.CheckConstraint("(state = 'deleting') = (erase_time IS NULL)", name="erased_at_a_time"),
    sa.CheckConstraint("(state = 'done') = (end_time IS NOT NULL)", name="ended_at_a_time"),
)
