"""Deletions of users: their table, and triggers that refuse what is new of a user while one is under way.

Revision: 0026. Processes of the version before answer INTERNAL to what a trigger refuses. Their workers delete no user.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision: str | None = "0029"

COUNTS = {
    "entries": None,
    "size_bytes": "Of assets.",
    "jobs": None,
    "collections": None,
    "uploads": None,
    "bookings": "That have the pseudonym now.",
}
# The begin of a deletion takes the same lock exclusively: it waits for what is being stored, and what comes later waits
# for it. The query afterwards has a snapshot of its own, so it sees the deletion.
REFUSE = """
CREATE FUNCTION refuse_user_in_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended(NEW.tenant || chr(10) || NEW."user", 26));
    IF EXISTS (SELECT FROM user_deletions WHERE tenant = NEW.tenant AND "user" = NEW."user") THEN
        RAISE EXCEPTION 'the user is being deleted' USING ERRCODE = 'I2V01';
    END IF;
    RETURN NEW;
END $$
"""
# What jobs make is stored also during a deletion: they end as always, and are deleted then.
TABLES = {
    "jobs": "",
    "uploads": "",
    "collections": "",
    "assets": "WHEN (NEW.kept)",
    "library_entries": "WHEN (NEW.job_id IS NULL)",
    "ledger_entries": "WHEN (NEW.kind IN ('credit', 'debit') AND NEW.\"user\" <> '')",
}


def upgrade() -> None:
    """Makes the table, the column and the triggers."""
    op.create_table(
        "user_deletions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="The request_id that began it."),
        sa.Column("user", sa.Text(), comment="NULL as soon as everything of the user is erased."),
        sa.Column("pseudonym", sa.Text(), nullable=False, comment="Stands for the user in what is kept."),
        sa.Column("state", sa.Text(), server_default="deleting", nullable=False),
        sa.Column(
            "obstacle", sa.Text(), server_default="", nullable=False, comment="What it waits for; empty: nothing."
        ),
        *(
            sa.Column(name, sa.BigInteger(), server_default="0", nullable=False, comment=comment)
            for name, comment in COUNTS.items()
        ),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erase_time", sa.DateTime(timezone=True), comment="When the last row was erased."),
        sa.Column("end_time", sa.DateTime(timezone=True), comment="When the last bytes were removed."),
        sa.CheckConstraint("state IN ('deleting', 'removing-bytes', 'done')", name=op.f("user_deletions_state_known")),
        sa.CheckConstraint(
            "(state = 'deleting') = (\"user\" IS NOT NULL)", name=op.f("user_deletions_user_while_deleting")
        ),
        sa.CheckConstraint("(state = 'deleting') = (erase_time IS NULL)", name=op.f("user_deletions_erased_at_a_time")),
        sa.CheckConstraint("(state = 'done') = (end_time IS NOT NULL)", name=op.f("user_deletions_ended_at_a_time")),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("user_deletions_tenant_fkey")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("user_deletions_pkey")),
    )
    op.create_index(
        "user_deletions_under_way",
        "user_deletions",
        ["tenant", "user"],
        unique=True,
        postgresql_where=sa.text('"user" IS NOT NULL'),
    )
    op.create_index(
        "user_deletions_open", "user_deletions", ["create_time"], postgresql_where=sa.text("state <> 'done'")
    )
    op.add_column(
        "blob_removals", sa.Column("deletion", sa.Text(), comment="The deletion of a user that waits for it.")
    )
    op.execute(REFUSE)
    for table, when in TABLES.items():
        op.execute(
            f"CREATE TRIGGER {table}_user_in_deletion BEFORE INSERT ON {table} FOR EACH ROW {when}"
            " EXECUTE FUNCTION refuse_user_in_deletion()"
        )


def downgrade() -> None:
    """Removes what `upgrade` made. Deletions under way end where they are."""
    for table in TABLES:
        op.execute(f"DROP TRIGGER {table}_user_in_deletion ON {table}")
    op.execute("DROP FUNCTION refuse_user_in_deletion()")
    op.drop_column("blob_removals", "deletion")
    op.drop_table("user_deletions")
