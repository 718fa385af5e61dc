"""Runs the migrations on the connection that `store.database.migrate` hands in."""

from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo

from services.orchestrator.store.schema import metadata


def check_constraints(*, ctx: MigrationContext, step: MigrationInfo, heads: Any, run_args: Any) -> None:
    """Checks deferred constraints after each migration: the next one cannot alter a table that has checks to come."""
    connection = ctx.connection
    assert connection is not None
    for mode in ("IMMEDIATE", "DEFERRED"):
        connection.execute(sa.text(f"SET CONSTRAINTS ALL {mode}"))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    on_version_apply=check_constraints,  # type: ignore[arg-type]  # alembic calls it by keywords, its type says otherwise
)
with context.begin_transaction():
    context.run_migrations()
