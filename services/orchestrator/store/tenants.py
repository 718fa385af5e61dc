"""PostgresTenants: tenants, their plans and the digests of their API keys."""

import re
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from services.orchestrator.ports.tenants import Tenant
from services.orchestrator.store.database import Database
from services.orchestrator.store.schema import api_keys, tenants


class PostgresTenants:
    """The tenants of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_key(self, key_sha256: str) -> Tenant | None:
        """Returns the tenant of an API key by the key's digest, None if the key is unknown."""
        query = (
            sa.select(tenants.c.id, tenants.c.plan)
            .join(api_keys, api_keys.c.tenant == tenants.c.id)
            .where(api_keys.c.sha256 == key_sha256)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else Tenant(row.id, row.plan)

    async def without_plan(self, plans: Collection[str], limit: int) -> list[Tenant]:
        """Returns tenants whose plan is none of these, the first by id."""
        query = sa.select(tenants.c.id, tenants.c.plan).where(tenants.c.plan.not_in(list(plans)))
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(tenants.c.id).limit(limit))
            return [Tenant(row.id, row.plan) for row in rows]

    async def put(self, tenant: str, plan: str, key_sha256: str) -> None:
        """Stores a tenant, or its new plan, and one of its keys. Raises ValueError if the id is malformed."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", tenant):  # it becomes a part of blob keys
            raise ValueError(f"a tenant's id is 1 to 63 of a-z, 0-9 and -, not {tenant!r}")
        async with self._database.writing() as connection:
            await connection.execute(
                insert(tenants)
                .values(id=tenant, plan=plan)
                .on_conflict_do_update(index_elements=["id"], set_={"plan": plan})
            )
            await connection.execute(insert(api_keys).values(sha256=key_sha256, tenant=tenant).on_conflict_do_nothing())
