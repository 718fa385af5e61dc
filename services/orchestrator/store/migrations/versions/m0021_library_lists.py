"""Indexes for the lists of the library.

Revision: 0021. Old processes go on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision: str | None = "0023"

ORDERS: dict[str, str | sa.TextClause] = {
    "creation": "create_time",
    "update": "update_time",
    "cost": "cost_micros",
    "size": "size_bytes",
    "title": sa.text('lower("left"(title, 80))'),
}
SETS = ("words", "tags")


def upgrade() -> None:
    """Makes an index for each order, for words and for tags."""
    for name, key in ORDERS.items():
        op.create_index(f"library_entries_by_{name}", "library_entries", ["tenant", "user", key, "id"])
    for name in SETS:
        op.create_index(f"library_entries_of_{name}", "library_entries", [name], postgresql_using="gin")


def downgrade() -> None:
    """Removes what `upgrade` made."""
    for name in SETS:
        op.drop_index(f"library_entries_of_{name}", "library_entries")
    for name in ORDERS:
        op.drop_index(f"library_entries_by_{name}", "library_entries")
