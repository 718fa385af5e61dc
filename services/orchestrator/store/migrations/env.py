"""Runs the migrations on the connection that `store.database.migrate` hands in."""

from alembic import context

from services.orchestrator.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
