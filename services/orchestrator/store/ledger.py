"""PostgresLedger: the bookings of one database."""

from collections.abc import Sequence

import sqlalchemy as sa

from services.orchestrator.domain.ledger import Entry
from services.orchestrator.store import row_mapping
from services.orchestrator.store.database import Database
from services.orchestrator.store.schema import ledger_entries


class PostgresLedger:
    """The ledger of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, tenant: str, user: str, *, limit: int) -> Sequence[Entry]:
        """Returns the newest entries of a user, the newest first."""
        table = ledger_entries
        query = sa.select(table).where(table.c.tenant == tenant, table.c.user == user)
        query = query.order_by(table.c.time.desc(), table.c.kind.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [row_mapping.entry(row) for row in await connection.execute(query)]
