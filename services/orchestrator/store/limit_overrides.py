"""PostgresLimitOverrides: the limits that differ from the plan's."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import NotFound, PreconditionFailed
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.limits.override import MOST, Override
from services.orchestrator.domain.tenant import demand_not_deleted
from services.orchestrator.store import access_rows, audit_log, tenants
from services.orchestrator.store.access_schema import limit_overrides
from services.orchestrator.store.database import Database
from services.reasons import AccessReason

UNLIMITED = "unlimited"
"""How the log writes the absence of an amount."""


class PostgresLimitOverrides:
    """The overrides of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, tenant: str, override: Override, act: Act) -> None:
        """Stores an override in place of the one before. Raises NotFound, PreconditionFailed."""
        columns = {
            "most": override.limit.most,
            "reason": override.reason,
            "actor": override.actor,
            "create_time": override.create_time,
        }
        named = {"tenant": tenant, "subject": override.subject, "limit": override.limit.key}
        async with self._database.writing() as connection:
            demand_not_deleted(await tenants.locked(connection, tenant))
            before = await self._now(connection, tenant, override)
            if not before:
                await self._demand_room(connection, tenant)
            stored = insert(limit_overrides).values(named | columns)
            await connection.execute(
                stored.on_conflict_do_update(index_elements=["tenant", "subject", "limit"], set_=columns)
            )
            await audit_log.write(connection, act, before, _amount(override))
            await access_rows.notify(connection)

    async def remove(self, tenant: str, override: Override, act: Act) -> None:
        """Removes an override. Raises NotFound if there is none."""
        async with self._database.writing() as connection:
            await tenants.locked(connection, tenant)
            before = await self._now(connection, tenant, override)
            if not before:
                raise NotFound("limit", f"{override.subject} {override.limit.key}".strip())
            await connection.execute(sa.delete(limit_overrides).where(_is(tenant, override)))
            await audit_log.write(connection, act, before, dict.fromkeys(before))
            await access_rows.notify(connection)

    async def of_tenant(self, tenant: str) -> Sequence[Override]:
        """Returns a tenant's overrides, by subject and limit. Raises NotFound."""
        async with self._database.reading() as connection:
            await tenants.demand_known(connection, tenant)
            return await of(connection, tenant)

    async def _now(self, connection: AsyncConnection, tenant: str, override: Override) -> dict[str, object]:
        row = (await connection.execute(sa.select(limit_overrides).where(_is(tenant, override)))).one_or_none()
        return {} if row is None else _amount(access_rows.override(row))

    async def _demand_room(self, connection: AsyncConnection, tenant: str) -> None:
        count = sa.select(sa.func.count()).where(limit_overrides.c.tenant == tenant)
        if (await connection.execute(count)).scalar_one() >= MOST:
            what = f"The tenant has {MOST} overrides, the most allowed. Remove some, or give it another plan."
            raise PreconditionFailed(what, reason=AccessReason.LIMITS_MOST, metadata={"limit": str(MOST)})


async def of(connection: AsyncConnection, tenant: str) -> list[Override]:
    """Returns a tenant's overrides, by subject and limit."""
    query = sa.select(limit_overrides).where(limit_overrides.c.tenant == tenant)
    ordered = query.order_by(limit_overrides.c.subject, limit_overrides.c.limit)
    return [access_rows.override(row) for row in await connection.execute(ordered)]


def _is(tenant: str, override: Override) -> sa.ColumnElement[bool]:
    return sa.and_(
        limit_overrides.c.tenant == tenant,
        limit_overrides.c.subject == override.subject,
        limit_overrides.c.limit == override.limit.key,
    )


def _amount(override: Override) -> dict[str, object]:
    most = override.limit.most
    return {f"{override.subject} {override.limit.key}".strip(): UNLIMITED if most is None else most}
