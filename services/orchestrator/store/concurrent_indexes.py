"""Indexes of large tables that a migration must not lock: they are made after it, while rows are written."""

import logging
import time

import sqlalchemy as sa

from services.orchestrator.store.schema import metadata

LOOK_S = 0.2
TRY_LOCK = sa.text("SELECT pg_try_advisory_lock(hashtext('i2v-indexes'))")
UNLOCK = sa.text("SELECT pg_advisory_unlock(hashtext('i2v-indexes'))")
VALID = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")

log = logging.getLogger(__name__)


def make(connection: sa.Connection) -> None:
    """Makes the indexes that are missing; `connection` is in autocommit mode.

    Several processes may do so at once: one works, the others wait. One that was interrupted is made again.
    """
    indexes = [index for table in metadata.sorted_tables for index in table.indexes if _is_concurrent(index)]
    if all(connection.scalar(VALID, {"name": index.name}) for index in indexes):
        return
    while not connection.scalar(TRY_LOCK):
        # Waiting inside a statement would hold a snapshot, for whose end the making of the index would wait.
        time.sleep(LOOK_S)
    try:
        for index in indexes:
            _make(connection, index)
    finally:
        connection.execute(UNLOCK)


def _make(connection: sa.Connection, index: sa.Index) -> None:
    valid = connection.scalar(VALID, {"name": index.name})
    if valid:
        return
    if valid is not None:
        index.drop(connection)
    log.info("making an index", extra={"index": index.name})
    index.create(connection)


def _is_concurrent(index: sa.Index) -> bool:
    return bool(index.dialect_options["postgresql"]["concurrently"])
