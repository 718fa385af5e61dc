"""PostgresLegalHolds: the tenants of which nothing is removed."""

from collections.abc import Mapping

import sqlalchemy as sa

from services.errors import NotFound
from services.orchestrator.domain.audit import Act
from services.orchestrator.store import audit_log
from services.orchestrator.store.access_schema import tenants
from services.orchestrator.store.database import Database


class PostgresLegalHolds:
    """The legal holds of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Mapping[str, str]:
        """Returns the reason of each hold, by tenant."""
        query = sa.select(tenants.c.id, tenants.c.legal_hold_reason).where(tenants.c.legal_hold).order_by(tenants.c.id)
        async with self._database.reading() as connection:
            return {row.id: row.legal_hold_reason for row in await connection.execute(query)}

    async def set(self, tenant: str, reason: str, act: Act) -> None:
        """Keeps everything of a tenant from now on; waits for a removal under way. Raises NotFound."""
        await self._change(tenant, reason, act)

    async def clear(self, tenant: str, act: Act) -> None:
        """Ends a hold, if there is one. Raises NotFound."""
        await self._change(tenant, None, act)

    async def _change(self, tenant: str, reason: str | None, act: Act) -> None:
        """Stores the reason of a hold; None: there is no hold."""
        found = sa.select(tenants.c.legal_hold_reason).where(tenants.c.id == tenant).with_for_update(key_share=True)
        async with self._database.writing() as connection:
            row = (await connection.execute(found)).one_or_none()
            if row is None:
                raise NotFound("tenant", f"tenants/{tenant}")
            changed = {"legal_hold": reason is not None, "legal_hold_reason": reason}
            await connection.execute(sa.update(tenants).where(tenants.c.id == tenant).values(changed))
            await audit_log.write(connection, act, {"legal_hold": row.legal_hold_reason}, {"legal_hold": reason})
