"""PostgresApiKeys: the API keys of tenants. Only digests of their texts are stored."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import NotFound, PreconditionFailed
from services.orchestrator.domain.api_key import ApiKey
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.tenant import demand_not_deleted
from services.orchestrator.store import access_rows, audit_log, tenants
from services.orchestrator.store.access_schema import api_keys
from services.orchestrator.store.database import Database
from services.reasons import AccessReason

MOST = 1000
"""Working keys of a tenant."""


class PostgresApiKeys:
    """The keys of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, key: ApiKey, sha256: str, act: Act) -> None:
        """Stores a key and the digest of its text. Raises NotFound, PreconditionFailed."""
        async with self._database.writing() as connection:
            demand_not_deleted(await tenants.locked(connection, key.tenant))
            await self._add(connection, key, sha256, act)
            await audit_log.write(connection, act, {}, access_rows.key_columns(key))
            await access_rows.notify(connection)

    async def get(self, tenant: str, key_id: str) -> ApiKey:
        """Returns a key. Raises NotFound."""
        async with self._database.reading() as connection:
            return await self._one(connection, sa.select(api_keys), tenant, key_id)

    async def page(self, tenant: str, *, after: str, limit: int) -> Sequence[ApiKey]:
        """Returns the tenant's keys with ids after one, in the order of their ids, ended ones too."""
        query = sa.select(api_keys).where(api_keys.c.tenant == tenant, api_keys.c.id > after)
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(api_keys.c.id).limit(limit))
            return [access_rows.key(row) for row in rows]

    async def change(self, tenant: str, key_id: str, decide: Callable[[ApiKey], ApiKey], act: Act) -> ApiKey:
        """Stores what `decide` returns for the locked key. Raises NotFound, and what `decide` raises."""
        async with self._database.writing() as connection:
            before = await self._locked(connection, tenant, key_id)
            after = decide(before)
            await self._store(connection, after)
            await audit_log.write(connection, act, access_rows.key_columns(before), access_rows.key_columns(after))
            await access_rows.notify(connection)
            return after

    async def rotate(
        self, tenant: str, key_id: str, decide: Callable[[ApiKey], tuple[ApiKey, ApiKey]], sha256: str, act: Act
    ) -> tuple[ApiKey, ApiKey]:
        """Stores the changed key and its successor, as `decide` returns them. Raises as `create` and `change`."""
        async with self._database.writing() as connection:
            demand_not_deleted(await tenants.locked(connection, tenant))
            before = await self._locked(connection, tenant, key_id)
            after, successor = decide(before)
            await self._store(connection, after)
            await self._add(connection, successor, sha256, act)
            changed = access_rows.key_columns(after) | {"successor": successor.id}
            await audit_log.write(connection, act, access_rows.key_columns(before), changed)
            await access_rows.notify(connection)
            return after, successor

    async def _add(self, connection: AsyncConnection, key: ApiKey, sha256: str, act: Act) -> None:
        """Adds a key of a tenant whose row is locked, so that the count is right."""
        expired = sa.and_(api_keys.c.expire_time.is_not(None), api_keys.c.expire_time <= act.time)
        working = sa.select(sa.func.count()).where(
            api_keys.c.tenant == key.tenant, api_keys.c.revoke_time.is_(None), ~expired
        )
        if (await connection.execute(working)).scalar_one() >= MOST:
            what = f"The tenant has {MOST} working keys, the most allowed. Revoke some."
            raise PreconditionFailed(what, reason=AccessReason.KEYS_MOST, metadata={"limit": str(MOST)})
        await connection.execute(sa.insert(api_keys).values(access_rows.key_columns(key) | {"sha256": sha256}))

    async def _store(self, connection: AsyncConnection, key: ApiKey) -> None:
        ends = {"expire_time": key.expire_time, "revoke_time": key.revoke_time}
        await connection.execute(sa.update(api_keys).where(api_keys.c.id == key.id).values(ends))

    async def _locked(self, connection: AsyncConnection, tenant: str, key_id: str) -> ApiKey:
        return await self._one(connection, sa.select(api_keys).with_for_update(), tenant, key_id)

    async def _one(
        self, connection: AsyncConnection, query: "sa.Select[tuple[object, ...]]", tenant: str, key_id: str
    ) -> ApiKey:
        query = query.where(api_keys.c.tenant == tenant, api_keys.c.id == key_id)
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("key", f"tenants/{tenant}/keys/{key_id}")
        return access_rows.key(row)
