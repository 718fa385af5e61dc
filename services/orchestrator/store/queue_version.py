"""Whether the programs of this release can use the tables of the queue, which are DBOS's."""

import sqlalchemy as sa

from services.errors import Unavailable
from services.orchestrator.store.database import connected
from services.orchestrator.store.schema_version import MIGRATE
from services.reasons import ServiceReason

WANTED = 125
"""The version of DBOS's tables that its pinned release makes. A test compares it with the library, which a process that
only answers callers does not load."""


def check_queue(url: str) -> None:
    """Raises Unavailable with SCHEMA_MISMATCH if DBOS's tables are older than the library; it uses newer ones."""
    with connected(url) as connection:
        found = _version(connection)
    if found < WANTED:
        message = f"the schema of its queue is at {found}, and this program needs {WANTED}: {MIGRATE}"
        raise Unavailable(message, reason=ServiceReason.SCHEMA_MISMATCH)


def _version(connection: sa.Connection) -> int:
    if connection.scalar(sa.text("SELECT to_regclass('dbos.dbos_migrations')")) is None:
        return 0
    return int(connection.scalar(sa.text("SELECT version FROM dbos.dbos_migrations")) or 0)
