"""PostgresTenants: tenants, and what they have."""

from collections.abc import Callable, Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import NotFound, PreconditionFailed
from services.orchestrator.domain.api_key import USUAL, ApiKey
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.tenant import Holdings, Tenant, demand_id
from services.orchestrator.store import access_rows, audit_log, webhook_endpoints
from services.orchestrator.store.access_schema import api_keys, tenants
from services.orchestrator.store.collection_schema import collections
from services.orchestrator.store.database import Database
from services.orchestrator.store.money_schema import ledger_entries
from services.orchestrator.store.schema import assets, jobs
from services.reasons import AccessReason

UNFINISHED = ~jobs.c.ended
OF_USERS = (assets, jobs, collections, ledger_entries)
"""Tables with what a user has. Each has an index that begins with the tenant and the user."""


class PostgresTenants:
    """The tenants of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, tenant: Tenant, act: Act) -> None:
        """Stores a new tenant. Raises PreconditionFailed if the id is or was in use."""
        columns = access_rows.tenant_columns(tenant)
        async with self._database.writing() as connection:
            added = insert(tenants).values(columns).on_conflict_do_nothing().returning(tenants.c.id)
            if (await connection.execute(added)).one_or_none() is None:
                what = f"There is or was a tenant {tenant.id}. Use another id."
                raise PreconditionFailed(what, reason=AccessReason.TENANT_EXISTS, metadata={"tenant": tenant.id})
            await audit_log.write(connection, act, {}, columns)
            await access_rows.notify(connection)

    async def get(self, tenant: str) -> Tenant:
        """Returns a tenant. Raises NotFound."""
        async with self._database.reading() as connection:
            row = (await connection.execute(sa.select(tenants).where(tenants.c.id == tenant))).one_or_none()
        if row is None:
            raise NotFound("tenant", f"tenants/{tenant}")
        return access_rows.tenant(row)

    async def page(self, *, after: str, limit: int) -> Sequence[Tenant]:
        """Returns the tenants with ids after one, in the order of their ids."""
        query = sa.select(tenants).where(tenants.c.id > after).order_by(tenants.c.id).limit(limit)
        async with self._database.reading() as connection:
            return [access_rows.tenant(row) for row in await connection.execute(query)]

    async def change(self, tenant: str, decide: Callable[[Tenant], Tenant], act: Act) -> Tenant:
        """Stores what `decide` returns for the locked tenant. Raises NotFound, and what `decide` raises."""
        async with self._database.writing() as connection:
            before = await locked(connection, tenant)
            return await self._store(connection, before, decide(before), act)

    async def delete(self, tenant: str, decide: Callable[[Tenant, int], Tenant], act: Act) -> Tenant:
        """As `change`, with the number of unfinished jobs; revokes the keys, and deletes the endpoints of webhooks."""
        count = sa.select(sa.func.count()).where(jobs.c.tenant == tenant, UNFINISHED)
        async with self._database.writing() as connection:
            before = await locked(connection, tenant)
            after = decide(before, (await connection.execute(count)).scalar_one())
            ended = sa.update(api_keys).where(api_keys.c.tenant == tenant, api_keys.c.revoke_time.is_(None))
            await connection.execute(ended.values(revoke_time=act.time))
            await connection.execute(webhook_endpoints.DELETE_ALL, {"tenant": tenant, "now": act.time})
            return await self._store(connection, before, after, act)

    async def holdings(self, tenant: str) -> Holdings:
        """Returns what a tenant has. Raises NotFound."""
        of_jobs = sa.select(
            sa.func.count().filter(UNFINISHED).label("unfinished"),
            sa.func.count().filter(jobs.c.state == "queued").label("queued"),
            sa.func.coalesce(sa.func.sum(jobs.c.quote_micros).filter(UNFINISHED), 0).label("reserved"),
            sa.func.count().label("jobs"),
        ).where(jobs.c.tenant == tenant)
        of_assets = sa.select(
            sa.func.count().label("assets"), sa.func.coalesce(sa.func.sum(assets.c.size_bytes), 0).label("size")
        ).where(assets.c.tenant == tenant)
        works = sa.and_(
            api_keys.c.revoke_time.is_(None),
            sa.or_(api_keys.c.expire_time.is_(None), api_keys.c.expire_time > sa.func.now()),
        )
        of_keys = sa.select(sa.func.count()).where(api_keys.c.tenant == tenant, works)
        async with self._database.reading() as connection:
            await demand_known(connection, tenant)
            row = (await connection.execute(of_jobs)).one()
            stored = (await connection.execute(of_assets)).one()
            keys = (await connection.execute(of_keys)).scalar_one()
        return Holdings(row.unfinished, row.queued, int(row.reserved), row.jobs, stored.assets, int(stored.size), keys)

    async def unfinished(self, tenant: str, limit: int) -> Sequence[str]:
        """Returns ids of jobs that have not ended and were not asked to stop, the oldest first."""
        query = (
            sa.select(jobs.c.id)
            .where(jobs.c.tenant == tenant, jobs.c.state.in_(("queued", "running")))
            .order_by(jobs.c.id)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return list((await connection.execute(query)).scalars())

    async def users(self, tenant: str, *, after: str, limit: int) -> Sequence[str]:
        """Returns the first users by name, after one, who have anything. Raises NotFound for an unknown tenant."""
        # Each step reads one row of an index, so that a user with a million assets takes no longer than another.
        found = sa.select(_next_user(tenant, sa.literal(after)).label("name")).cte("found", recursive=True)
        following = sa.select(_next_user(tenant, found.c.name)).where(found.c.name.is_not(None))
        found = found.union_all(following)
        query = sa.select(found.c.name).where(found.c.name.is_not(None)).limit(limit)
        async with self._database.reading() as connection:
            await demand_known(connection, tenant)
            return list((await connection.execute(query)).scalars())

    async def without_plan(self, plans: Collection[str], limit: int) -> list[Tenant]:
        """Returns tenants whose plan, or whose next one, is none of these, the first by id. Deleted ones need none."""
        lacking = sa.or_(tenants.c.plan.not_in(list(plans)), tenants.c.next_plan.not_in(["", *plans]))
        query = sa.select(tenants).where(lacking, tenants.c.state != "deleted").order_by(tenants.c.id).limit(limit)
        async with self._database.reading() as connection:
            return [access_rows.tenant(row) for row in await connection.execute(query)]

    async def put(self, tenant: str, plan: str, key_sha256: str) -> None:
        """Stores a tenant, or its new plan, and one of its keys, as the settings demand it. Raises InvalidInput."""
        demand_id(tenant)
        key = ApiKey(key_sha256[:12], tenant, "of the settings", USUAL)
        columns = {name: value for name, value in access_rows.key_columns(key).items() if value is not None}
        async with self._database.writing() as connection:
            await connection.execute(
                insert(tenants)
                .values(id=tenant, plan=plan)
                .on_conflict_do_update(index_elements=["id"], set_={"plan": plan})
            )
            await connection.execute(insert(api_keys).values(columns | {"sha256": key_sha256}).on_conflict_do_nothing())
            await access_rows.notify(connection)

    async def _store(self, connection: AsyncConnection, before: Tenant, after: Tenant, act: Act) -> Tenant:
        columns: Mapping[str, object] = access_rows.tenant_columns(after)
        await connection.execute(sa.update(tenants).where(tenants.c.id == after.id).values(columns))
        await audit_log.write(connection, act, access_rows.tenant_columns(before), columns)
        await access_rows.notify(connection)
        return after


def _next_user(tenant: str, after: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """Returns the first user after one, NULL if there is none. The ledger's empty name is the tenant itself."""
    firsts = [
        sa.select(sa.func.min(table.c.user)).where(table.c.tenant == tenant, table.c.user > after).scalar_subquery()
        for table in OF_USERS
    ]
    return sa.func.least(*firsts)


async def demand_known(connection: AsyncConnection, tenant: str) -> None:
    """Raises NotFound if there is no such tenant."""
    if (await connection.execute(sa.select(tenants.c.id).where(tenants.c.id == tenant))).one_or_none() is None:
        raise NotFound("tenant", f"tenants/{tenant}")


async def locked(connection: AsyncConnection, tenant: str) -> Tenant:
    """Returns a tenant, and locks its row against other changes, but not against admissions. Raises NotFound."""
    query = sa.select(tenants).where(tenants.c.id == tenant).with_for_update(key_share=True)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("tenant", f"tenants/{tenant}")
    return access_rows.tenant(row)
